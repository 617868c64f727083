package proxy

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pointsman/pointsman/proxy/drain"
)

// goodbyes reads what the clients of a router that ends get, and answers it. It
// returns when all have ended.
func goodbyes(t testing.TB, clients []*visitor) (times []time.Time) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for i, v := range clients {
		group.Go(func() {
			defer v.Close()
			f, err := readFrame(v.in)
			at := time.Now()
			if err != nil || f.first != closeFrame || f.payload != status(1001, "shutting down") {
				t.Errorf("client %d got %v, %v", i, f, err)
				return
			}
			_, _ = v.Write(masked(closeFrame, f.payload))
			mu.Lock()
			defer mu.Unlock()
			times = append(times, at)
		})
	}
	group.Wait()
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// greetAll opens n sessions, each of which has had a message echoed.
func (r *rig) greetAll(n int) []*visitor {
	r.t.Helper()
	clients := make([]*visitor, n)
	for i := range clients {
		v, err := r.greet("/chat")
		if err != nil {
			r.t.Fatal(err)
		}
		clients[i] = v
	}
	return clients
}

// TestShutdownLead: the router says at once that it is not ready, and goes on to
// take clients for the lead. Then nobody gets in any more.
func TestShutdownLead(t *testing.T) {
	t.Parallel()
	const lead = 6 * soon
	r := newPair(t, Options{Shutdown: Shutdown{Lead: lead, Deadline: patience}}, nil)
	old := r.greetAll(1)
	began := time.Now()
	r.cancel()
	until(t, "it to say that it is not ready", func() bool { return !r.Ready() })
	if r.stopping.Load() && time.Since(began) < lead {
		t.Error("no client is taken during the lead")
	}
	var late []*visitor
	for { // until the listener is closed
		v, err := r.visit(goodHead)
		if v == nil {
			if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
			break
		}
		if err == nil {
			_, err = v.open()
		}
		if err == nil {
			late = append(late, v)
			apart()
			continue
		}
		v.Close()
		if err != nil && time.Since(began) < lead {
			t.Errorf("refused %v after the beginning, the lead is %v: %v", time.Since(began), lead, err)
		}
	}
	if took := time.Since(began); took < lead {
		t.Errorf("closed after %v", took)
	}
	if len(late) == 0 {
		t.Logf("this machine took %v, so nobody came during the lead", time.Since(began))
	}
	goodbyes(t, append(old, late...))
	r.stop()
}

// TestShutdownPace: clients are sent away at the rate, each once, and the end of
// the last is the end.
func TestShutdownPace(t *testing.T) {
	t.Parallel()
	const sessions, rate = 60, 40
	var l log
	r := newPair(t, Options{Shutdown: Shutdown{Rate: rate, Deadline: patience}, Logger: l.at(slog.LevelInfo)}, nil)
	clients, late := r.greetAll(sessions), watchLag(t)
	r.cancel()
	checkRate(t, goodbyes(t, clients), rate, late)
	r.stop()
	got := l.String()
	if strings.Contains(got, "faster than configured") || strings.Contains(got, "cut at the shutdown deadline") || strings.Count(got, "msg=\"shutting down\"") != 1 {
		t.Errorf("logged:\n%s", got)
	}
	if n := r.upstream("east").Totals().Lost; n != 0 {
		t.Errorf("%d sessions count as lost", n)
	}
}

// TestShutdownInTime: the rate is raised when the deadline demands it, so that
// nobody is cut.
func TestShutdownInTime(t *testing.T) {
	t.Parallel()
	const sessions, deadline = 100, 6 * time.Second
	var l log
	r := newPair(t, Options{Shutdown: Shutdown{Rate: 1, Deadline: deadline}, Logger: l.at(slog.LevelInfo)}, nil)
	clients, late := r.greetAll(sessions), watchLag(t)
	began := time.Now()
	r.cancel()
	goodbyes(t, clients)
	r.stop()
	// Nobody was cut, so it was in time but for what the machine adds at the end.
	if took := time.Since(began); took > deadline+late.worst()+leeway/4 {
		t.Errorf("it took %v", took)
	}
	if got := l.String(); !strings.Contains(got, "faster than configured") || !strings.Contains(got, "configured=1\n") {
		t.Errorf("logged:\n%s", got)
	}
}

// TestShutdownRate checks the arithmetic: so many in so long, and never slower
// than configured.
func TestShutdownRate(t *testing.T) {
	r := prepare(t, Options{}, member{address: "127.0.0.1:1"})
	for _, row := range []struct {
		sessions  int
		left      time.Duration
		wait      time.Duration // of the closing handshake
		rate      int
		min, most int
	}{
		{0, time.Second, time.Second, 200, 200, 200},
		{1000, 30 * time.Second, 5 * time.Second, 200, 200, 200},
		{10_000, 30 * time.Second, 5 * time.Second, 200, 550, 570}, // in 20 s, a tenth faster
		{10_000, 30 * time.Second, 5 * time.Second, 2000, 2000, 2000},
		{10_000, 10 * time.Second, 9 * time.Second, 200, 2200, 2300}, // in half of the time
		{10_000_000, time.Second, time.Second, 200, drain.MaxRate, drain.MaxRate},
		{10, time.Nanosecond, time.Second, 1, 11_000, 11_000}, // whatever the time
		{10, time.Second, time.Second, drain.MaxRate + 5, drain.MaxRate, drain.MaxRate},
	} {
		o := r.options().Relay
		o.CloseWait = row.wait
		r.relay.Configure(o)
		r.counters.open.Store(int64(row.sessions))
		cut, stop := context.WithTimeout(t.Context(), row.left)
		if got := r.shutdownRate(cut, Shutdown{Rate: row.rate}); got < row.min || got > row.most {
			t.Errorf("%+v: %d", row, got)
		}
		stop()
	}
	r.counters.open.Store(0)
}

// TestShutdownLatecomer: a session that is opened when all others have been sent
// away gets its Close, too.
func TestShutdownLatecomer(t *testing.T) {
	t.Parallel()
	o := stay
	o.Shutdown.Deadline = patience
	b := newBelated(t, o)
	clients := b.greetAll(3)
	late := b.begins()
	b.cancel()
	goodbyes(t, clients)
	b.goesOn()
	late.upgraded()
	late.wants(closeFrame, status(1001, "shutting down"))
	late.send(masked(closeFrame, status(1001, "")))
	late.Close()
	b.stop()
}

// TestShutdownHungHandshakes: who waits for an upstream that does not answer does
// not make the end wait, where the router can cut a handshake.
func TestShutdownHungHandshakes(t *testing.T) {
	t.Parallel()
	const deadline, attempt = 4 * soon, patience
	hung := newStub(t, hold)
	r := start(t, Options{
		Shutdown: Shutdown{Deadline: deadline}, Failover: Failover{HandshakeTimeout: attempt},
	}, member{address: hung.address()})
	var waiting []*peer
	for range 5 {
		waiting = append(waiting, r.ask(goodHead))
	}
	until(t, "the handshakes to reach the upstream", func() bool { return hung.conns.Load() == 5 })
	slow := r.ask(goodHead[:30]) // the limit of its head is further away, too
	until(t, "the slow client to be accepted", func() bool { return r.counters.atGate.Load() == 6 })
	began := time.Now()
	if cutsHandshakes {
		r.endsWithin(deadline + leeway)
	} else {
		hung.stop() // or it would take as long as the attempt
		slow.Close()
		r.endsWithin(patience)
	}
	if took := time.Since(began); cutsHandshakes && took < deadline/2 {
		t.Errorf("ended after %v, which is no time for handshakes", took)
	}
	for _, c := range waiting {
		c.Close()
	}
	until(t, "the upstream's sockets to be closed", func() bool { return hung.reading() == 0 })
}

// TestShutdownEndsDrains: what was under way gives way to the end.
func TestShutdownEndsDrains(t *testing.T) {
	t.Parallel()
	r := newPair(t, Options{Failback: Failback{Stay: true}, Shutdown: Shutdown{Deadline: patience}}, nil)
	clients := r.greetAll(5)
	d, _, err := r.Drain(drain.Plan{Selection: all("west"), Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	endsAs(t, d, drain.Done)
	d, _, err = r.Drain(drain.Plan{Selection: drain.Selection{Upstream: "east", Count: 5}, Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	d.Pause()
	comesTo(t, d, drain.Paused)
	asked := d.Status().Asked
	r.cancel()
	for _, v := range clients {
		f, err := readFrame(v.in)
		if err != nil || f.first != closeFrame {
			t.Errorf("a client got %v, %v", f, err)
		}
		_, _ = v.Write(masked(closeFrame, f.payload))
		v.Close()
	}
	r.stop()
	if s := d.Status(); s.State != drain.Cancelled || s.Why != "the router ends" || s.Asked != asked {
		t.Errorf("status %+v", s)
	}
	if s := r.Drains().List(); s[len(s)-1].Cause != drain.Shutdown || s[len(s)-1].Asked != 5-asked {
		t.Errorf("drains %+v", s)
	}
	if _, err := net.Dial("tcp4", r.address); err == nil {
		t.Error("a connection was accepted after the end")
	}
}

// reading counts the connections whose scripts have not ended.
func (s *stub) reading() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}
