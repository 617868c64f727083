package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// everyone keeps every session of a survey.
func everyone(any) bool { return true }

// tagged is a setup of a session with a tag.
func tagged(tag any) func(*Pair) { return func(p *Pair) { p.Tag = tag } }

// seen makes a survey and returns how often each tag was found.
func (r *rig) seen(ctx context.Context, keep func(any) bool) (map[any]int, error) {
	sights, err := r.relay.Survey(ctx, keep)
	found := make(map[any]int)
	for _, s := range sights {
		found[s.Tag]++
	}
	return found, err
}

// sees makes a survey and checks that it finds these tags, each once.
func (r *rig) sees(t testing.TB, tags ...any) {
	t.Helper()
	found, err := r.seen(t.Context(), everyone)
	if err != nil {
		t.Fatalf("survey: %v", err)
	}
	for _, tag := range tags {
		if n := found[tag]; n != 1 {
			t.Errorf("session %v was found %d times", tag, n)
		}
		delete(found, tag)
	}
	if len(found) != 0 {
		t.Errorf("sessions %v were found", found)
	}
}

// A survey finds every session, whichever loop it lives in, and its handle is
// one of that session.
func TestSurvey(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Loops: 3})
	r.sees(t)
	const sessions = 700 // several slices in each loop
	links := make([]*link, sessions)
	tags := make([]any, sessions)
	for i := range links {
		tags[i] = i
		links[i] = r.join(t, tagged(i))
	}
	for range 3 {
		r.sees(t, tags...)
	}
	sights, err := r.relay.Survey(t.Context(), func(tag any) bool { return tag.(int)%7 == 3 })
	if err != nil || len(sights) != sessions/7 {
		t.Fatalf("%d found, %v", len(sights), err)
	}
	for _, s := range sights {
		i := s.Tag.(int)
		if i%7 != 3 {
			t.Errorf("session %d was not to be kept", i)
		}
		s.Session.Close(3000, fmt.Sprint(i))
		links[i].client.wantsClose(3000, fmt.Sprint(i))
	}
}

// The tag may be anything, also nothing.
func TestSurveyOfTags(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	type key struct{ name string }
	own := &key{"own"}
	r.join(t)
	r.join(t, tagged(own))
	r.join(t, tagged("word"))
	r.sees(t, nil, own, "word")
}

// Sessions on their way to their end are not found.
func TestSurveyOfOpenSessions(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	for i, end := range []func(l *link){
		func(l *link) { // asked
			l.session.Close(1012, "moved")
			l.client.wantsClose(1012, "moved")
		},
		func(l *link) { // asked, in the middle of a frame
			frame := unmasked(binaryFrame, "0123456789")
			l.upstream.send(frame[:5])
			l.client.bytes(frame[:5])
			l.session.Close(1012, "moved")
		},
		func(l *link) { // closing
			bye := masked(closeFrame, body(1000, "bye"))
			l.client.send(bye)
			l.upstream.bytes(bye)
		},
		func(l *link) { // lost
			l.upstream.fin()
			l.client.wantsClose(1012, "upstream lost")
		},
		func(l *link) { // over
			l.hangUp()
			l.anyEnd()
		},
	} {
		l := r.join(t, tagged(i))
		end(l)
		r.sees(t)
	}
	r.join(t, tagged("open"))
	r.sees(t, "open")
}

// The times of a sight are those that have passed, to the millisecond.
func TestSight(t *testing.T) {
	t.Parallel()
	r := start(t, Options{PingInterval: 20 * time.Millisecond})
	const pause = 60 * time.Millisecond
	hello := masked(textFrame, "hello")
	answer := unmasked(textFrame, "answer")

	// look checks the times since moments of which only this is known: they lie
	// within these spans.
	type moment struct{ from, to time.Time }
	look := func(age, idle, silent moment) {
		t.Helper()
		before := time.Now()
		sights, err := r.relay.Survey(t.Context(), everyone)
		after := time.Now()
		if err != nil || len(sights) != 1 {
			t.Fatalf("%v, %v", sights, err)
		}
		check := func(what string, got time.Duration, m moment) {
			t.Helper()
			const cut = 2 * time.Millisecond // clocks are cut to milliseconds
			if least, most := before.Sub(m.to)-cut, after.Sub(m.from)+cut; got < least || got > most {
				t.Errorf("%s %v, want %v to %v", what, got, least, most)
			}
		}
		check("age", sights[0].Age, age)
		check("idle", sights[0].Idle, idle)
		check("silent", sights[0].Silent, silent)
	}
	during := func(f func()) moment {
		from := time.Now()
		f()
		return moment{from, time.Now()}
	}
	var l *link
	joined := during(func() { l = r.join(t) })
	look(joined, joined, joined)
	<-time.After(pause)
	// Pings of the relay go out meanwhile. They are no frames that pass, and the
	// upstream says nothing.
	look(joined, joined, joined)
	var pings int
	var traffic Traffic
	said := during(func() {
		l.client.send(hello)
		if f := l.upstream.nextMute(&pings); f.payload != "hello" {
			t.Fatalf("got %v", f)
		}
	})
	look(joined, said, joined)
	<-time.After(pause)
	answered := during(func() {
		l.upstream.send(answer)
		if f := l.client.next(&pings, &traffic); f.payload != "answer" {
			t.Fatalf("got %v", f)
		}
	})
	look(joined, answered, answered)
	<-time.After(pause)
	l.upstream.send(answer[:1]) // a byte, but no frame
	var sight Sight
	if !within(patience, func() bool {
		sights, err := r.relay.Survey(t.Context(), everyone)
		if err == nil && len(sights) == 1 {
			sight = sights[0]
		}
		return sight.Age > 0 && sight.Silent < sight.Idle-pause/2
	}) {
		t.Errorf("a byte of the upstream went unnoticed: %+v", sight)
	}
	l.hangUp()
}

// nextMute reads the next frame that is no Ping of the relay, and answers none.
func (p *peer) nextMute(pings *int) wireFrame {
	p.t.Helper()
	for {
		f := p.frame()
		if f.first != pingFrame {
			return f
		}
		*pings++
	}
}

// Sessions that are joined before Run wait for it, and so does a survey where
// only Run can answer it.
func TestSurveyBeforeRun(t *testing.T) {
	t.Parallel()
	r := prepare(t, Options{}, listen(t), listen(t))
	other := start(t, Options{}) // its connections need no loop of r
	for i := range 10 {
		client, upstream := other.strangers(t)
		if _, err := r.relay.Join(Pair{Client: client, Upstream: upstream, Tag: i}); err != nil {
			t.Fatal(err)
		}
	}
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.relay.Survey(impatient, everyone); !errors.Is(err, context.Canceled) {
		t.Errorf("before Run: %v", err)
	}
	type result struct {
		found map[any]int
		err   error
	}
	results := make(chan result, 3)
	for range cap(results) {
		go func() {
			found, err := r.seen(t.Context(), everyone)
			results <- result{found, err}
		}()
	}
	r.run()
	for range cap(results) {
		res := <-results
		if res.err != nil || len(res.found) != 10 {
			t.Errorf("%v, %v", res.found, res.err)
		}
	}
}

// strangers makes the near ends of a session, both of which were opened by
// somebody else than a relay. The far ends live as long as the test.
func (r *rig) strangers(t testing.TB) (client, upstream net.Conn) {
	t.Helper()
	farClient, client := r.pair(t)
	upstream, farUpstream := r.pair(t)
	t.Cleanup(func() {
		farClient.Close()
		farUpstream.Close()
	})
	return client, upstream
}

// A relay that has stopped has no sessions.
func TestSurveyAfterRun(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	for i := range 10 {
		r.join(t, tagged(i))
	}
	r.stop()
	r.sees(t)
}

// A survey ends also if the relay does meanwhile.
func TestSurveyWhileRunEnds(t *testing.T) {
	t.Parallel()
	for range 10 {
		r := start(t, Options{Loops: 2})
		for i := range 300 {
			r.join(t, tagged(i))
		}
		var group sync.WaitGroup
		ready := make(chan struct{}, 4)
		for range cap(ready) {
			group.Go(func() {
				for i := 0; ; i++ {
					found, err := r.seen(t.Context(), everyone)
					if err != nil || len(found) > 300 {
						t.Errorf("%d found, %v", len(found), err)
						return
					}
					if len(found) == 0 {
						return
					}
					if i == 0 {
						ready <- struct{}{}
					}
				}
			})
		}
		for range cap(ready) {
			<-ready
		}
		r.stop()
		group.Wait()
		for _, l := range r.links {
			l.hangUp()
		}
	}
}
