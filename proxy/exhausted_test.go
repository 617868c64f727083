package proxy

import (
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// TestNothingHealthy is fault 10: clients are turned away at once, and not all
// to the same moment.
func TestNothingHealthy(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{}, member{address: s.address(), health: health.Options{Fall: 1}})
	r.upstream("east").Checker().Lost(errGone)
	var took []time.Duration
	seconds := make(map[string]bool)
	for range 40 {
		began := time.Now()
		c := r.ask(goodHead)
		a := c.answer()
		took = append(took, time.Since(began))
		if a.StatusCode != 503 || !a.Close {
			t.Fatalf("got %s %v", a.Status, a.Header)
		}
		c.checkBody(a, "GET", 503)
		checkRetryAfter(t, a)
		seconds[a.Header.Get("Retry-After")] = true
		c.gone()
		c.Close()
	}
	// A busy machine delays some, and perhaps most of them a little; a router
	// that waits for something delays them all, or for long.
	slices.Sort(took)
	if best, median := took[0], took[len(took)/2]; best > 50*time.Millisecond || median > 2*time.Second {
		t.Errorf("the quickest refusal took %v, the median %v", best, median)
	}
	if len(seconds) < 2 {
		t.Errorf("everybody was asked to come back after the same time: %v", seconds)
	}
	if n := s.conns.Load(); n != 0 {
		t.Errorf("%d connections to an upstream that is down", n)
	}
}

// refusingAddress is one where nobody listens during the test: it is the local
// one of a connection, so the system gives it to no listener.
func refusingAddress(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return near.LocalAddr().String()
}

// TestEveryAttemptFails: the last attempt decides what the client is told.
func TestEveryAttemptFails(t *testing.T) {
	balanced(t)
	teller := func(text string) string {
		return newStub(t, func(c *stubConn) {
			if c.readHead() && c.reply(text) {
				c.hold()
			}
		}).address()
	}
	good := newAccepter(t)
	addresses := map[string]string{
		"refuses": refusingAddress(t),
		"hangs":   newStub(t, hold).address(),
		"lies":    teller(with("{accept}", "x")),
		"ends":    newStub(t, func(c *stubConn) { c.readHead() }).address(),
		"resets":  newStub(t, func(c *stubConn) { c.readHead(); reset(c) }).address(),
		"503":     teller("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"),
		"404":     teller("HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nunknown"),
		"accepts": good.address(),
	}
	for _, row := range []struct {
		primary, secondary string
		attempts           int
		hangs              time.Duration // time-out of a handshake; plenty if nobody hangs
		want               int
		body               string
		failures           [2]uint64
	}{
		{primary: "refuses", secondary: "refuses", want: 503, failures: [2]uint64{1, 1}},
		{primary: "hangs", secondary: "refuses", hangs: soon, want: 503, failures: [2]uint64{1, 1}},
		{primary: "lies", secondary: "resets", want: 503, failures: [2]uint64{1, 1}},
		{primary: "refuses", secondary: "hangs", hangs: soon, want: 504, failures: [2]uint64{1, 1}},
		{primary: "lies", secondary: "hangs", hangs: soon, want: 504, failures: [2]uint64{1, 1}},
		// Who is asked next has the same time to answer.
		{primary: "hangs", secondary: "lies", hangs: 3 * soon, want: 502, failures: [2]uint64{1, 1}},
		{primary: "503", secondary: "ends", want: 502, failures: [2]uint64{1, 1}},
		{primary: "503", secondary: "refuses", want: 503, failures: [2]uint64{1, 1}},
		{primary: "refuses", secondary: "503", want: 503, body: "busy", failures: [2]uint64{1, 1}},
		{primary: "503", secondary: "503", want: 503, body: "busy", failures: [2]uint64{1, 1}},
		{primary: "404", secondary: "accepts", want: 404, body: "unknown"},
		{primary: "refuses", secondary: "404", want: 404, body: "unknown", failures: [2]uint64{1, 0}},
		{primary: "refuses", secondary: "accepts", want: 101, failures: [2]uint64{1, 0}},
		{primary: "lies", secondary: "accepts", want: 101, failures: [2]uint64{1, 0}},
		{primary: "hangs", secondary: "accepts", hangs: 3 * soon, want: 101, failures: [2]uint64{1, 0}},
		{primary: "ends", secondary: "accepts", want: 101, failures: [2]uint64{1, 0}},
		{primary: "resets", secondary: "accepts", want: 101, failures: [2]uint64{1, 0}},
		{primary: "503", secondary: "accepts", want: 101, failures: [2]uint64{1, 0}},
		{primary: "refuses", secondary: "accepts", attempts: 1, want: 503, failures: [2]uint64{1, 0}},
	} {
		t.Run(fmt.Sprint(row.primary, " then ", row.secondary, " attempts ", row.attempts), func(t *testing.T) {
			r := start(t, Options{Failover: Failover{Attempts: row.attempts, HandshakeTimeout: row.hangs}},
				member{name: "first", address: addresses[row.primary]},
				member{name: "second", address: addresses[row.secondary], role: pool.Secondary})
			c := r.ask(goodHead)
			a := c.answer()
			if a.StatusCode != row.want {
				t.Fatalf("got %s, want %d: %s", a.Status, row.want, a.body)
			}
			switch {
			case row.want == 101:
				c.Close()
				good.session().Close()
			case row.body != "":
				if a.body != row.body {
					t.Errorf("body %q, want %q", a.body, row.body)
				}
			default:
				c.checkBody(a, "GET", row.want)
				checkRetryAfter(t, a)
			}
			for i, name := range []string{"first", "second"} {
				if got := r.upstream(name).Totals().HandshakeFailures; got != row.failures[i] {
					t.Errorf("%s: %d failures, want %d", name, got, row.failures[i])
				}
			}
		})
	}
}

// TestAttempts checks that no more upstreams are tried than allowed, and none
// twice.
func TestAttempts(t *testing.T) {
	balanced(t)
	var members []member
	var stubs []*stub
	for i := range 5 {
		s := newStub(t, func(c *stubConn) { c.readHead() })
		stubs = append(stubs, s)
		members = append(members, member{name: fmt.Sprint("u", i), address: s.address()})
	}
	r := start(t, Options{Failover: Failover{Attempts: 4}}, members...)
	r.ask(goodHead).refusedBy(t, 502)
	total := int64(0)
	for _, s := range stubs {
		n := s.conns.Load()
		if n > 1 {
			t.Errorf("an upstream was tried %d times", n)
		}
		total += n
	}
	if got := r.Totals(); total != 4 || got.Failovers != 3 || got.Refused != 1 || got.Handshakes != 1 {
		t.Errorf("%d attempts, totals %+v", total, got)
	}
}

// refusedBy reads a refusal for lack of an upstream.
func (p *peer) refusedBy(t *testing.T, want int) {
	t.Helper()
	a := p.answer()
	if a.StatusCode != want {
		t.Fatalf("got %s, want %d: %s", a.Status, want, a.body)
	}
	p.checkBody(a, "GET", want)
	checkRetryAfter(t, a)
	p.gone()
	p.Close()
}

// TestMaxSessions: a full upstream gets no more, and others take its place.
func TestMaxSessions(t *testing.T) {
	balanced(t)
	east, west := newAccepter(t), newAccepter(t)
	r := start(t, Options{Relay: quickClose},
		member{name: "east", address: east.address(), max: 2},
		member{name: "west", address: west.address(), max: 1, role: pool.Secondary})
	c1, u1 := r.open(east)
	c2, _ := r.open(east)
	c3, _ := r.open(west)
	r.ask(goodHead).refusedBy(t, 503)
	if e, w := r.upstream("east").Sessions(), r.upstream("west").Sessions(); e != 2 || w != 1 {
		t.Errorf("%d and %d sessions", e, w)
	}
	c1.Close()
	u1.Close()
	r.ended()
	c4, _ := r.open(east)
	r.ask(goodHead).refusedBy(t, 503)
	if failures := r.upstream("east").Totals().HandshakeFailures; failures != 0 {
		t.Errorf("being full counted as %d failures", failures)
	}
	for _, c := range []*peer{c2, c3, c4} {
		c.Close()
	}
}

// TestSessionLimit: the router's own limit counts sessions being opened, too.
func TestSessionLimit(t *testing.T) {
	balanced(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	s := newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		if c.asked.URL.Path == "/slow" {
			close(asked)
			if !c.await(answer) {
				return
			}
		}
		if c.accept() {
			c.handOver()
		}
	})
	r := start(t, Options{Limits: Limits{Sessions: 2}, Relay: quickClose}, member{address: s.address()})
	c1, u1 := r.open(s)
	slow := r.ask(asking("/slow"))
	<-asked
	r.ask(goodHead).refusedBy(t, 503)
	if got := r.Totals(); got.Handshakes != 2 {
		t.Errorf("a client beyond the limit was counted as a handshake: %+v", got)
	}
	close(answer)
	slow.upgraded()
	r.ask(goodHead).refusedBy(t, 503)
	if n := r.Sessions(); n != 2 {
		t.Errorf("%d sessions", n)
	}
	c1.Close()
	u1.Close()
	r.ended()
	until(t, "the place to be free", func() bool { return r.Sessions() == 1 })
	c3 := r.ask(goodHead)
	c3.upgraded()
	c3.Close()
	slow.Close()
}
