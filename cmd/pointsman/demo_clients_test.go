package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/emulator"
)

// pipeListener is a listener whose connections are pipes: they may live in a
// bubble of virtual time, where sockets may not.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// crowdTest is a crowd in a bubble with a server it can talk to.
type crowdTest struct {
	tally *demoTally
	crowd *demoCrowd
	leave func() // ends the crowd and waits for it

	mu       sync.Mutex
	name     string // of the upstream that takes new sessions
	sessions map[*websocket.Conn]struct{}
}

// startCrowd runs clients and visitors against a server that answers each
// message with reply(message), or not at all if that is nil.
func startCrowd(t *testing.T, clients, rate int, refuse func() bool, reply func([]byte) []byte) *crowdTest {
	ct := &crowdTest{
		tally:    newDemoTally(clients, newDemoFailback(clients)),
		name:     demoPrimary,
		sessions: make(map[*websocket.Conn]struct{}),
	}
	ln := newPipeListener()
	server := &http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refuse != nil && refuse() {
				http.Error(w, "not now", http.StatusServiceUnavailable)
				return
			}
			ct.mu.Lock()
			w.Header().Set(emulator.NameHeader, ct.name)
			ct.mu.Unlock()
			ct.echo(w, r, reply)
		}),
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ln)
	}()
	ct.crowd = &demoCrowd{
		url:     "ws://router.test/",
		client:  &http.Client{Transport: &http.Transport{DialContext: ln.dial}},
		tally:   ct.tally,
		clients: clients,
		rate:    rate,
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	ct.tally.begin(phaseConnect)
	go func() {
		defer close(gone)
		ct.crowd.run(ctx)
	}()
	ct.leave = func() {
		cancel()
		<-gone
		_ = server.Close()
		<-served
	}
	return ct
}

func (ct *crowdTest) echo(w http.ResponseWriter, r *http.Request, reply func([]byte) []byte) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer c.CloseNow()
	ct.mu.Lock()
	ct.sessions[c] = struct{}{}
	ct.mu.Unlock()
	defer func() {
		ct.mu.Lock()
		delete(ct.sessions, c)
		ct.mu.Unlock()
	}()
	for {
		kind, message, err := c.Read(context.Background())
		if err != nil {
			return
		}
		if answer := reply(message); answer != nil {
			if c.Write(context.Background(), kind, answer) != nil {
				return
			}
		}
	}
}

// goTo names the upstream that takes new sessions from now on.
func (ct *crowdTest) goTo(name string) {
	ct.mu.Lock()
	defer ct.mu.Unlock()
	ct.name = name
}

// endAll ends every session: with a Close frame of that code and reason, or
// without one when code is 0.
func (ct *crowdTest) endAll(code websocket.StatusCode, reason string) (n int) {
	ct.mu.Lock()
	var all []*websocket.Conn
	for c := range ct.sessions {
		all = append(all, c)
	}
	ct.mu.Unlock()
	var ending sync.WaitGroup
	for _, c := range all {
		ending.Go(func() {
			if code == 0 {
				_ = c.CloseNow()
				return
			}
			_ = c.Close(code, reason)
		})
	}
	ending.Wait()
	return len(all)
}

func same(b []byte) []byte { return b }

func TestCrowdTalksAndLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, rate = 10, 20
		ct := startCrowd(t, clients, rate, nil, same)
		time.Sleep(10*time.Second + time.Millisecond)
		ct.leave()
		r := ct.tally.report(nil)
		if !r.Passed || len(r.Cuts) > 0 || r.Messages.InFlight > 0 {
			t.Errorf("undisturbed crowd: %+v", r)
		}
		if want := int64(clients + 10*rate); r.Handshakes.Tried != want {
			t.Errorf("%d handshakes, want %d", r.Handshakes.Tried, want)
		}
		// Pauses are 200 ms on average, and visitors say one thing each.
		if n := r.Messages.Echoed; n < 10*rate+clients*35 || n > 10*rate+clients*65 {
			t.Errorf("%d messages echoed in 10 s", n)
		}
		if open := ct.tally.openSessions(); open[demoPrimary] != 0 {
			t.Errorf("%d sessions open after everybody left", open[demoPrimary])
		}
	})
}

func TestCrowdComesBackWhenCut(t *testing.T) {
	for name, tt := range map[string]struct {
		code websocket.StatusCode
		want string
	}{
		"without a Close frame": {0, "1006"},
		"service restart":       {websocket.StatusServiceRestart, "1012"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const clients = 25
				ct := startCrowd(t, clients, 0, nil, same)
				if err := ct.tally.await(t.Context(), everybodyServed); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				ct.tally.begin(phaseSteady)
				if n := ct.endAll(tt.code, "anything"); n != clients {
					t.Fatalf("%d sessions were open, want %d", n, clients)
				}
				time.Sleep(reconnectWithin)
				synctest.Wait()
				if open := ct.tally.openSessions()[demoPrimary]; open != clients {
					t.Errorf("%d sessions %s after the cut, want %d", open, reconnectWithin, clients)
				}
				ct.leave()
				r := ct.tally.report(nil)
				if !r.Passed || len(r.Cuts) != 1 || r.Cuts[tt.want] != clients || r.Phases[1].Handshakes.Tried != clients {
					t.Errorf("after the cut: %+v", r)
				}
			})
		})
	}
}

func TestCrowdIsLedHome(t *testing.T) {
	for name, tt := range map[string]struct {
		code         websocket.StatusCode
		reason       string
		to           string // where new sessions go then
		home, astray int64
		moved        int
		problem      string // "" for none
	}{
		"home":                  {1012, demoMoveReason, demoPrimary, 25, 0, 25, ""},
		"elsewhere":             {1012, demoMoveReason, demoSecondary, 0, 25, 25, "clients that were to move home landed elsewhere: 25"},
		"for another reason":    {1012, "upstream lost", demoPrimary, 0, 0, 0, "without being asked to move: 25"},
		"with another code":     {1001, demoMoveReason, demoPrimary, 0, 0, 0, "without being asked to move: 25"},
		"without a Close frame": {0, "", demoPrimary, 0, 0, 0, "without being asked to move: 25"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const clients = 25
				ct := startCrowd(t, clients, 0, nil, same)
				ct.tally.failback.rate = clients // all may go at once
				ct.goTo(demoSecondary)
				if err := ct.tally.await(t.Context(), everybodyServed); err != nil {
					t.Fatal(err)
				}
				ct.tally.begin(phaseFailback)
				ct.tally.revived()
				if ct.tally.everybodyHome() {
					t.Error("everybody is home before the first move")
				}
				time.Sleep(5 * time.Second)
				synctest.Wait()
				ct.goTo(tt.to)
				ct.endAll(tt.code, tt.reason)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if home := ct.tally.everybodyHome(); home != (tt.to == demoPrimary) {
					t.Errorf("everybody is home: %v", home)
				}
				ct.leave()
				r := ct.tally.report(nil)
				if d := r.Drain; d.Moved != tt.moved || d.Home != tt.home || d.Astray != tt.astray {
					t.Errorf("%d sessions moved, %d clients home, %d astray", d.Moved, d.Home, d.Astray)
				}
				problems := strings.Join(r.Problems, "; ")
				if r.Passed != (tt.problem == "") || !strings.Contains(problems, tt.problem) {
					t.Errorf("problems %q, want %q", problems, tt.problem)
				}
			})
		})
	}
}

// A client that finds nobody at first is still on its way home.
func TestCrowdRemembersThatItWasToMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refuseUntil time.Time
		ct := startCrowd(t, 1, 0, func() bool { return time.Now().Before(refuseUntil) }, same)
		if err := ct.tally.await(t.Context(), everybodyServed); err != nil {
			t.Fatal(err)
		}
		ct.tally.revived()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		ct.goTo(demoSecondary)
		refuseUntil = time.Now().Add(time.Second)
		ct.endAll(websocket.StatusServiceRestart, demoMoveReason)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		ct.leave()
		if r := ct.tally.report(nil); r.Handshakes.Failed == 0 || r.Drain.Astray != 1 {
			t.Errorf("refused at first: %+v", r)
		}
	})
}

func TestCrowdNoticesWrongMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ct := startCrowd(t, 3, 1, nil, func(b []byte) []byte { return append([]byte("x"), b[1:]...) })
		time.Sleep(2500 * time.Millisecond)
		ct.leave()
		r := ct.tally.report(nil)
		if r.Passed || r.Messages.Echoed > 0 || r.Messages.Mismatched < 3 || len(r.Errors) == 0 {
			t.Errorf("changed messages: %+v", r)
		}
	})
}

func TestCrowdNoticesSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ct := startCrowd(t, 3, 0, nil, func([]byte) []byte { return nil })
		time.Sleep(settleWithin + answerWithin)
		synctest.Wait()
		ct.leave()
		r := ct.tally.report(nil)
		if r.Passed || r.Messages.Stalled != 3 || len(r.Cuts) > 0 {
			t.Errorf("no answers: %+v", r)
		}
	})
}

func TestCrowdNoticesUnaskedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ct := startCrowd(t, 1, 0, nil, same)
		if err := ct.tally.await(t.Context(), everybodyServed); err != nil {
			t.Fatal(err)
		}
		ct.mu.Lock()
		for c := range ct.sessions {
			if err := c.Write(t.Context(), websocket.MessageText, []byte("psst")); err != nil {
				t.Error(err)
			}
		}
		ct.mu.Unlock()
		time.Sleep(time.Second)
		ct.leave()
		if r := ct.tally.report(nil); r.Passed || r.Messages.Mismatched == 0 {
			t.Errorf("an unasked message: %+v", r)
		}
	})
}

func TestCrowdCountsRefusedHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ct := startCrowd(t, 4, 0, func() bool { return time.Since(began) < 3*time.Second }, same)
		if err := ct.tally.await(t.Context(), everybodyServed); err != nil {
			t.Fatal(err)
		}
		ct.leave()
		r := ct.tally.report(nil)
		if r.Passed || r.Handshakes.Failed < 4 || r.Handshakes.Tried-r.Handshakes.Failed != 4 {
			t.Errorf("refused at first: %+v", r)
		}
		// 3 s of trials that are at least refusedPause apart.
		if most := int64(4 * (1 + 3*time.Second/refusedPause)); r.Handshakes.Failed > most {
			t.Errorf("%d trials in 3 s, want %d at most", r.Handshakes.Failed, most)
		}
	})
}

func TestNoTwoMessagesAreTheSame(t *testing.T) {
	seen := make(map[string]bool)
	for client := range 20 {
		for n := range 20 {
			m := newDemoMessage(client, n)
			if seen[string(m.body)] {
				t.Fatalf("message twice: %v", m)
			}
			seen[string(m.body)] = true
			if m.equal(demoMessage{websocket.MessageText + websocket.MessageBinary - m.kind, m.body}) {
				t.Fatalf("equal in spite of its type: %v", m)
			}
		}
	}
}
