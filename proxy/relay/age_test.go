package relay

import (
	"sync"
	"testing"
	"time"
)

const tooOld = "session too old"

// A session ends within a tenth of the largest age, and sessions that began
// together do not end together.
func TestLifetimes(t *testing.T) {
	const most = time.Hour
	tenth := (most / 10).Milliseconds()
	var tenths [3]int // of the hour around its end: early, middle, late
	const sessions = 3000
	for range sessions {
		s := session{nonce: newNonce()}
		lives := s.lifetime(most)
		if lives != s.lifetime(most) {
			t.Fatal("a session has two lifetimes")
		}
		off := lives - most.Milliseconds() + tenth
		if off < 0 || off > 2*tenth {
			t.Fatalf("a session lives for %v", time.Duration(lives)*time.Millisecond)
		}
		tenths[min(2, off*3/(2*tenth))]++
	}
	for i, n := range tenths {
		if n < sessions/4 || n > sessions*5/12 {
			t.Errorf("%d of %d sessions end in part %d", n, sessions, i)
		}
	}
}

// Sessions that are too old are closed, whether they are idle or not, each in
// its own time.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	const age, sessions = time.Second, 40
	r := start(t, Options{MaxAge: age})
	var group sync.WaitGroup
	for i := range sessions {
		l := r.join(t)
		group.Go(func() {
			hello := masked(textFrame, "hello")
			messages, traffic := uint64(0), Traffic{}
			if i%2 == 0 { // some have something to say all the time
				for ; messages < 5; messages++ {
					if err := exchange(l.client, l.upstream, hello); err != nil {
						t.Error(err)
						return
					}
				}
				traffic = Traffic{Bytes: messages * uint64(len(hello)), Messages: messages}
			}
			f, err := readFrame(l.client.in)
			lasted := time.Since(l.began)
			if err != nil || f != (wireFrame{closeFrame, false, body(1012, tooOld)}) {
				t.Errorf("client: %v, %v", f, err)
				return
			}
			if lasted < age*9/10-5*time.Millisecond { // clocks are cut to milliseconds
				t.Errorf("closed after %v", lasted)
			}
			echo := masked(closeFrame, body(1012, ""))
			traffic.Bytes += uint64(len(echo))
			if err := exchange(l.client, l.upstream, echo); err != nil {
				t.Error(err)
			}
			l.hangUp()
			select {
			case e := <-l.ended:
				want := End{Cause: Expired, Code: 1012, Reason: tooOld, Duration: e.Duration, Client: traffic}
				if e != want {
					t.Errorf("ended with %+v, want %+v", e, want)
				}
			case <-time.After(patience):
				t.Error("session did not end")
			}
		})
	}
	group.Wait()
}

// The sweep finds a session soon after its lifetime. A busy machine may hide that;
// then it still shows that the sweep is not the one of longer times, which would
// find the last of them after more than two seconds.
func TestMaxAgeIsPrompt(t *testing.T) {
	t.Parallel()
	const age = 800 * time.Millisecond
	const prompt = age*11/10 + age/4 + 50*time.Millisecond // the sweep, and the way of the frame
	r := start(t, Options{MaxAge: age})
	best := patience
	for try := 1; ; try++ {
		var links [40]*link
		for i := range links {
			links[i] = r.join(t)
		}
		var slowest time.Duration
		for _, l := range links {
			l.client.wantsClose(1012, tooOld)
			slowest = max(slowest, time.Since(l.began))
			l.hangUp()
		}
		best = min(best, slowest)
		if best <= prompt || try == 5 && best <= 2*time.Second {
			return
		}
		if try == 5 {
			t.Fatalf("closed after %v, want at most %v", best, prompt)
		}
	}
}

// Neither side needs to answer: both are told, and both connections end.
func TestMaxAgeWithoutAnswers(t *testing.T) {
	t.Parallel()
	l := start(t, Options{MaxAge: 100 * time.Millisecond, CloseWait: 100 * time.Millisecond}).join(t)
	l.client.wantsClose(1012, tooOld)
	l.upstream.wantsClose(1012, tooOld)
	l.client.eof()
	l.upstream.eof()
	l.end(End{Cause: Expired, Code: 1012, Reason: tooOld})
}

// A session that is too old ends between two frames.
func TestMaxAgeInsideFrame(t *testing.T) {
	t.Parallel()
	r := start(t, Options{MaxAge: 200 * time.Millisecond})
	frame := unmasked(binaryFrame, "0123456789")
	l := r.join(t, func(p *Pair) { p.FromUpstream = frame[:7] })
	l.client.bytes(frame[:7])
	if !within(patience, func() bool { // it is closing when it is not found any more
		sights, err := r.relay.Survey(t.Context(), everyone)
		return err == nil && len(sights) == 0
	}) {
		t.Fatal("the session does not grow old")
	}
	l.upstream.send(frame[7:])
	l.client.bytes(frame[7:])
	l.client.wantsClose(1012, tooOld)
	l.hangUp()
	if e := l.anyEnd(); e.Cause != Expired || e.Upstream != sent(1, frame) {
		t.Errorf("ended with %+v", e)
	}
}

// ticks lets some time pass, as pings of another relay show it.
type ticks struct{ l *link }

func newTicks(t testing.TB) ticks {
	return ticks{start(t, Options{PingInterval: 20 * time.Millisecond}).join(t)}
}

func (k ticks) pass(n int) {
	for range n {
		k.l.client.send(k.l.client.frameFrom(pongFrame, k.l.client.wantsPing()))
	}
}

// brisk are options that have no effect but that sessions are visited often, so
// that no test waits for a change of them to be noticed.
var brisk = Options{PingInterval: -1, PingTimeout: 80 * time.Millisecond, WriteTimeout: -1, CloseWait: 2 * patience}

// What Configure changes holds for sessions that are open.
func TestConfigureMaxAge(t *testing.T) {
	t.Parallel()
	r, clock := start(t, brisk), newTicks(t)
	old, with := r.join(t), brisk
	clock.pass(10)
	with.MaxAge = time.Hour
	r.relay.Configure(with)
	clock.pass(2)
	r.sees(t, nil) // not that old
	with.MaxAge = 100 * time.Millisecond
	r.relay.Configure(with)
	old.client.wantsClose(1012, tooOld)
	old.hangUp()
	if e := old.anyEnd(); e.Cause != Expired || e.Duration < 90*time.Millisecond {
		t.Errorf("ended with %+v", e)
	}

	for _, never := range []time.Duration{0, -1} {
		with.MaxAge = never
		r.relay.Configure(with)
		l := r.join(t)
		clock.pass(15)
		l.goodBye(Traffic{}, Traffic{})
	}
	clock.l.hangUp()
}

func TestConfigureIdleTimeout(t *testing.T) {
	t.Parallel()
	r := start(t, brisk)
	l := r.join(t)
	if err := exchange(l.client, l.upstream, masked(textFrame, "hello")); err != nil {
		t.Fatal(err)
	}
	with := brisk
	with.IdleTimeout = 100 * time.Millisecond
	r.relay.Configure(with)
	l.client.wantsClose(1001, "idle")
	l.hangUp()
	if e := l.anyEnd(); e.Cause != Idle {
		t.Errorf("ended with %+v", e)
	}
}

func TestConfigurePings(t *testing.T) {
	t.Parallel()
	r, clock := start(t, brisk), newTicks(t)
	l, on := r.join(t), brisk
	on.PingInterval, on.PingTimeout = 30*time.Millisecond, 2*patience
	var pings [2]int
	var traffic [2]Traffic
	// mark passes one frame each way, and counts the pings before it.
	mark := func() (before int) {
		t.Helper()
		pings = [2]int{}
		for i, from := range []*peer{l.client, l.upstream} {
			to := l.upstream
			if i == 1 {
				to = l.client
			}
			from.send(from.frameFrom(textFrame, "mark"))
			if f := to.next(&pings[1-i], &traffic[1-i]); f.payload != "mark" {
				t.Fatalf("%s: got %v", to.name, f)
			}
		}
		return pings[0] + pings[1]
	}
	clock.pass(5)
	if n := mark(); n != 0 {
		t.Errorf("%d pings while they were off", n)
	}
	for range 3 {
		r.relay.Configure(on)
		for range 3 {
			for _, p := range []*peer{l.client, l.upstream} {
				p.send(p.frameFrom(pongFrame, p.wantsPing()))
			}
		}
		r.relay.Configure(brisk)
		mark() // the last ones may be on their way
		clock.pass(10)
		if n := mark(); n > 2 {
			t.Errorf("%d pings since they were switched off", n)
		}
		clock.pass(10)
		if n := mark(); n != 0 {
			t.Errorf("%d pings while they were off", n)
		}
	}
	// Who does not answer is given up as the options say now.
	on.PingTimeout, on.CloseWait = 100*time.Millisecond, 100*time.Millisecond
	r.relay.Configure(on)
	if e := l.anyEnd(); e.Cause != ClientSilent && e.Cause != UpstreamSilent {
		t.Errorf("ended with %+v", e)
	}
	clock.l.hangUp()
}

func TestConfigureWriteTimeout(t *testing.T) {
	t.Parallel()
	r := startSmall(t, brisk)
	l := r.joinSmall(t)
	wrote := make(chan struct{})
	go func() { // more than the sockets hold
		_, _ = l.upstream.conn.Write(unmasked(binaryFrame, payload(randomness(t), 1<<20)))
		close(wrote)
	}()
	with := brisk
	with.WriteTimeout, with.CloseWait = 200*time.Millisecond, 200*time.Millisecond
	r.relay.Configure(with)
	if e := l.anyEnd(); e.Cause != ClientStalled {
		t.Errorf("ended with %+v", e)
	}
	l.hangUp()
	<-wrote
}

// configure changes the options and waits until the sessions have been visited
// with them: the pings that o asks for show it.
func (r *rig) configure(o Options, links ...*link) {
	r.t.Helper()
	o.PingTimeout, o.WriteTimeout, o.CloseWait = 2*patience, -1, 2*patience
	o.PingInterval = 20 * time.Millisecond
	r.relay.Configure(o)
	for _, l := range links {
		l.upstream.send(l.upstream.frameFrom(pongFrame, l.upstream.wantsPing()))
	}
	o.PingInterval = -1
	r.relay.Configure(o)
}

// The limits of sizes hold for open sessions, in both directions.
func TestConfigureSizes(t *testing.T) {
	t.Parallel()
	r := start(t, brisk)
	frame := masked(binaryFrame, payload(randomness(t), 1500))
	for _, limits := range []struct {
		o      Options
		reason string
	}{{Options{MaxFrame: 1499}, "frame over the size limit"}, {Options{MaxMessage: 1499}, "message over the size limit"}} {
		l := r.join(t)
		if err := exchange(l.client, l.upstream, frame); err != nil {
			t.Error(err)
		}
		r.configure(limits.o, l)
		l.client.send(frame)
		var pings int
		if f := l.upstream.next(&pings, new(Traffic)); f.first != closeFrame || f.payload != body(1009, limits.reason) {
			t.Errorf("upstream: got %v", f)
		}
		l.hangUp()
		if e := l.anyEnd(); e.Cause != ClientOffence || e.Code != 1009 {
			t.Errorf("ended with %+v", e)
		}
		other := r.join(t)
		r.configure(Options{MaxFrame: 1500}, other)
		if err := exchange(other.client, other.upstream, frame); err != nil {
			t.Error(err)
		}
		other.hangUp()
	}
}

// Options may be changed while sessions come, talk and go.
func TestConfigureAmongChurn(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			r.relay.Configure(Options{
				MaxAge:      time.Duration(1+i%3) * time.Hour,
				IdleTimeout: time.Duration(i%2) * time.Hour, PingInterval: time.Duration(1+i%5) * time.Hour,
				CloseWait: time.Duration(1+i%7) * time.Hour, MaxFrame: int64(1000 + i),
				MaxMessage: int64(i % 2 * (1000 + i)), Rate: Rate{Messages: i % 3 * 1000, Bytes: int64(i%2) << 20, Close: i%5 == 0},
			})
		}
	})
	for range 300 {
		l := r.join(t)
		if err := exchange(l.upstream, l.client, unmasked(textFrame, "hello")); err != nil {
			t.Fatal(err)
		}
		bye := masked(closeFrame, body(1000, "bye"))
		if err := exchange(l.client, l.upstream, bye); err != nil {
			t.Fatal(err)
		}
		l.hangUp()
		if e := l.anyEnd(); e.Cause != ClientClosed || e.Upstream.Messages != 1 {
			t.Fatalf("ended with %+v", e)
		}
	}
	close(stop)
	group.Wait()
}
