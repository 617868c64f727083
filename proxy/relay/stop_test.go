package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// pairUp joins a pair by hand: the test sees what Join says.
func (r *rig) pairUp(t testing.TB) (client, upstream *peer, p Pair) {
	t.Helper()
	farClient, p, farUpstream := r.ends(t)
	client, upstream = newPeer(t, "client", false, farClient), newPeer(t, "upstream", true, farUpstream)
	t.Cleanup(func() {
		farClient.Close()
		farUpstream.Close()
	})
	return client, upstream, p
}

// The end of Run is the end of every session, open or closing, idle or stuck.
func TestRunEnds(t *testing.T) { eachScheme(t, plainAndTLS, testRunEnds) }

func testRunEnds(t *testing.T, over scheme) {
	r := startSmall(t, Options{Loops: 2}, over)
	var idle []*link
	for range 20 {
		idle = append(idle, r.join(t))
	}
	hello := masked(textFrame, "hello")
	idle[0].client.send(hello)
	idle[0].upstream.bytes(hello)

	closing := r.join(t)
	bye := masked(closeFrame, body(1000, "bye"))
	closing.client.send(bye)
	closing.upstream.bytes(bye)

	asked := r.join(t)
	asked.session.Close(1001, "asked")
	asked.client.wantsClose(1001, "asked")

	stuck := r.joinSmall(t)
	frame := unmasked(binaryFrame, payload(randomness(t), 1<<20))
	stuck.upstream.fill(frame)

	r.stop()
	for i, l := range idle {
		l.client.cut()
		l.upstream.cut()
		want := End{Cause: Aborted}
		if i == 0 {
			want.Client = sent(1, hello)
		}
		l.end(want)
	}
	closing.client.cut()
	closing.upstream.cut()
	closing.end(End{Cause: ClientClosed, Code: 1000, Reason: "bye", Client: sent(0, bye)})
	asked.client.cut()
	asked.upstream.cut()
	asked.end(End{Cause: Asked, Code: 1001, Reason: "asked"})
	if e := stuck.anyEnd(); e.Cause != Aborted || e.Upstream.Messages != 1 {
		t.Errorf("stuck session ended with %+v", e)
	}
	stuck.upstream.gone()

	// On a relay that has stopped every request is harmless.
	idle[1].session.Close(1001, "late")
	r.relay.CloseAll(1001, "late")
}

func TestJoinAfterRun(t *testing.T) { eachScheme(t, plainAndTLS, testJoinAfterRun) }

func testJoinAfterRun(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	other := start(t, Options{}, over) // its listener lives on
	var tries []func()
	for _, from := range []*rig{r, r, other, other} {
		client, upstream, p := from.pairUp(t)
		p.FromClient = masked(textFrame, "early")
		p.Ended = func(e End) { t.Errorf("a session that never began ended: %+v", e) }
		tries = append(tries, func() {
			if s, err := r.relay.Join(p); s != nil || !errors.Is(err, net.ErrClosed) {
				t.Errorf("join: %v, %v", s, err)
			}
			client.cut()
			upstream.cut()
		})
	}
	r.stop()
	for _, try := range tries {
		try()
	}
}

// Sessions may be joined before Run and while it ends; each is either carried
// to its end or refused, and both of its connections are closed.
func TestJoinWhileRunEnds(t *testing.T) { eachScheme(t, plainAndTLS, testJoinWhileRunEnds) }

func testJoinWhileRunEnds(t *testing.T, over scheme) {
	for range over.times(20) {
		r := start(t, Options{Loops: 2}, over)
		other := start(t, Options{}, over)
		var group sync.WaitGroup
		for range 4 {
			client, upstream, p := other.pairUp(t)
			group.Go(func() {
				calls := make(chan End, 2)
				p.Ended = func(e End) { calls <- e }
				s, err := r.relay.Join(p)
				if (err == nil) != (s != nil) || err != nil && !errors.Is(err, net.ErrClosed) {
					t.Errorf("join: %v, %v", s, err)
				}
				for _, far := range []*peer{client, upstream} {
					if n, err := far.conn.Read(make([]byte, 1)); n != 0 || err != io.EOF {
						t.Errorf("%s: %d, %v", far.name, n, err)
					}
				}
				if err == nil {
					if e := <-calls; e.Cause != Aborted {
						t.Errorf("ended with %+v", e)
					}
				}
				if len(calls) > 0 {
					t.Error("Ended was called too often")
				}
			})
		}
		r.stop()
		group.Wait()
	}
}

// Sessions that are joined before Run wait for it.
func TestJoinBeforeRun(t *testing.T) { eachScheme(t, plainAndTLS, testJoinBeforeRun) }

func testJoinBeforeRun(t *testing.T, over scheme) {
	r := start(t, Options{}, over) // for its listener
	relay, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	client, upstream, p := r.pairUp(t)
	ended := make(chan End, 1)
	p.Ended = func(e End) { ended <- e }
	session, err := relay.Join(p)
	if err != nil {
		t.Fatal(err)
	}
	session.Close(1001, "at once")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- relay.Run(ctx) }()
	client.wantsClose(1001, "at once")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	if e := <-ended; e.Cause != Asked || e.Code != 1001 {
		t.Errorf("ended with %+v", e)
	}
	client.cut()
	upstream.cut()
	checkEmpty(t, relay)
}

func TestRunOfNothing(t *testing.T) {
	t.Parallel()
	relay, err := New(Options{Loops: 3})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := relay.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
	checkEmpty(t, relay)
}

// A session need not tell anybody of its end.
func TestNobodyToTell(t *testing.T) { eachScheme(t, plainAndTLS, testNobodyToTell) }

func testNobodyToTell(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	client, upstream, p := r.pairUp(t)
	if _, err := r.relay.Join(p); err != nil {
		t.Fatal(err)
	}
	client.conn.Close()
	upstream.eof()
	upstream.conn.Close()
}

func TestCauseNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{"": true, "unknown": true}
	for c := ClientClosed; c <= Aborted; c++ {
		if seen[c.String()] {
			t.Errorf("cause %d: %q", c, c)
		}
		seen[c.String()] = true
	}
	if s := (Aborted + 1).String(); s != "unknown" {
		t.Errorf("no cause: %q", s)
	}
	for _, c := range []Cause{UpstreamLost, UpstreamSilent, UpstreamStalled, UpstreamOffence} {
		if !c.UpstreamFault() {
			t.Errorf("%v is the upstream's fault", c)
		}
	}
	for _, c := range []Cause{ClientClosed, UpstreamClosed, ClientLost, ClientSilent, ClientStalled, ClientOffence, Exceeded, Idle, Expired, Asked, Aborted} {
		if c.UpstreamFault() {
			t.Errorf("%v is not the upstream's fault", c)
		}
	}
}
