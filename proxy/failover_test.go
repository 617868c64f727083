package proxy

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/emulator"
	"github.com/pointsman/pointsman/pool"
)

// probed is how an upstream is judged by its own health answer, quickly. That it
// is slow to answer does not count.
func probed(t testing.TB, e *emulator.Emulator) health.Options {
	t.Helper()
	location, err := url.Parse(e.URL())
	if err != nil {
		t.Fatal(err)
	}
	return health.Options{
		Probe:    health.HTTPProbe(location, health.HTTPOptions{}),
		Interval: 50 * time.Millisecond, Recheck: 20 * time.Millisecond, Timeout: patience,
	}
}

// eastAndWest are two emulated upstreams and their members: a primary and a
// secondary that is up from the start and stays so.
func eastAndWest(t testing.TB) (east, west *emulator.Emulator, members []member) {
	t.Helper()
	east, west = emulate(t, "east"), emulate(t, "west")
	return east, west, []member{
		{name: "east", address: east.Addr()},
		{name: "west", address: west.Addr(), role: pool.Secondary},
	}
}

// reached opens a session and returns the name of the upstream that it reached.
func (r *rig) reached() (*peer, string) {
	r.t.Helper()
	c := r.ask(goodHead)
	return c, c.upgraded().Header.Get(emulator.NameHeader)
}

// manyClients is for a router whose clients come from where they say.
var manyClients = Forwarded{Trusted: loopback}

// reachedBy is reached by a client of another address for each number. Failures of
// one client would count once.
func (r *rig) reachedBy(number int) (*peer, string) {
	r.t.Helper()
	c := r.ask(strings.TrimSuffix(goodHead, "\r\n") + fmt.Sprintf("X-Forwarded-For: 192.0.2.%d\r\n\r\n", number))
	return c, c.upgraded().Header.Get(emulator.NameHeader)
}

// crowd lets several clients at once do something, each as often. A client
// whose visit ends the test stops, the others go on.
func crowd(clients, times int, visit func(client int)) {
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			for range times {
				visit(i)
			}
		})
	}
	group.Wait()
}

// TestRefusedPrimary is fault 2: the same handshake is tried elsewhere, and no
// client sees an error, whether or not the breaker has opened.
func TestRefusedPrimary(t *testing.T) {
	for _, judged := range []bool{false, true} {
		t.Run("judged "+strconv.FormatBool(judged), func(t *testing.T) {
			balanced(t)
			east, _, members := eastAndWest(t)
			if judged {
				members[0].health = probed(t, east)
			}
			r := start(t, Options{}, members...)
			until(t, "east to be up", r.upstream("east").Healthy)
			if c, name := r.reached(); name != "east" {
				t.Fatalf("reached %q", name)
			} else {
				c.Close()
			}
			if err := east.Refuse(false); err != nil {
				t.Fatal(err)
			}
			const clients, each = 8, 40
			var elsewhere atomic.Int64
			crowd(clients, each, func(int) {
				c, name := r.reached()
				if name != "west" {
					t.Errorf("reached %q", name)
				}
				elsewhere.Add(1)
				c.Close()
			})
			until(t, "all to be counted", func() bool { return r.Totals().Accepted == clients*each+1 })
			totals := r.Totals()
			if elsewhere.Load() != clients*each || totals.Refused != 0 {
				t.Errorf("%d of %d reached west, %+v", elsewhere.Load(), clients*each, totals)
			}
			if failures := r.upstream("east").Totals().HandshakeFailures; failures != totals.Failovers {
				t.Errorf("%d failovers, %d failures of east", totals.Failovers, failures)
			}
			if !judged && totals.Failovers != clients*each {
				t.Errorf("%d failovers", totals.Failovers)
			}
			if judged {
				until(t, "east to be down", func() bool { return !r.upstream("east").Healthy() })
				if err := east.Restore(); err != nil {
					t.Fatal(err)
				}
				until(t, "east to be up again", r.upstream("east").Healthy)
				if c, name := r.reached(); name != "east" {
					t.Errorf("reached %q after the recovery", name)
				} else {
					c.Close()
				}
			}
		})
	}
}

// TestKilledPrimary is fault 1: sessions of a killed upstream end at once with a
// code that makes clients reconnect; no handshake fails meanwhile.
func TestKilledPrimary(t *testing.T) {
	balanced(t)
	east, _, members := eastAndWest(t)
	members[0].health = probed(t, east)
	r := start(t, Options{}, members...)
	until(t, "east to be up", r.upstream("east").Healthy)
	old := make([]*peer, 30)
	for i := range old {
		c, name := r.reached()
		if name != "east" {
			t.Fatalf("reached %q", name)
		}
		old[i] = c
	}
	var failed, west atomic.Int64
	killed := make(chan struct{})
	var visitors sync.WaitGroup
	visitors.Go(func() {
		crowd(4, 1, func(int) {
			for after := 0; after < 50; {
				c := r.dial()
				c.offer(goodHead)
				a, err := c.readAnswer("GET")
				switch {
				case err != nil || a.StatusCode != 101:
					failed.Add(1)
				case a.Header.Get(emulator.NameHeader) == "west":
					west.Add(1)
				}
				c.Close()
				select {
				case <-killed:
					after++
				default:
				}
			}
		})
	})
	if err := east.Refuse(true); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	close(killed)
	for _, c := range old {
		c.wantsClose(1012)
		c.send(masked(closeFrame, status(1012, "")))
		c.eof()
		c.Close()
	}
	if took := time.Since(began); took > leeway {
		t.Errorf("the old sessions ended after %v", took)
	}
	visitors.Wait()
	if failed.Load() != 0 || west.Load() < 100 {
		t.Errorf("%d handshakes failed, %d reached west", failed.Load(), west.Load())
	}
	until(t, "the lost sessions to be counted", func() bool { return r.upstream("east").Totals().Lost >= uint64(len(old)) })
}

// TestBlackHole is fault 3: the first handshake pays the connect time-out and
// gets its session elsewhere; once the breaker is open, nobody pays.
func TestBlackHole(t *testing.T) {
	balanced(t)
	hole := blackHole(t)
	west := emulate(t, "west")
	const connect = 2 * soon
	r := start(t, Options{Failover: Failover{ConnectTimeout: connect}},
		member{name: "east", address: hole, health: health.Options{
			// One probe has failed when the first handshake fails, and no more:
			// then they agree.
			Probe: health.TCPProbe(hole), Timeout: connect, Interval: time.Minute, Recheck: time.Minute, InitialUp: true, Fall: 2,
		}},
		member{name: "west", address: west.Addr(), role: pool.Secondary})
	began := time.Now()
	c, name := r.reached()
	if took := time.Since(began); name != "west" || took < connect || took > connect+leeway {
		t.Errorf("reached %q after %v", name, took)
	}
	c.Close()
	until(t, "the breaker to open", func() bool {
		if r.upstream("east").Healthy() {
			c, name := r.reached()
			c.Close()
			return name != "west"
		}
		return true
	})
	failovers := r.Totals().Failovers
	for range 20 {
		c, name := r.reached()
		if name != "west" {
			t.Errorf("reached %q", name)
		}
		c.Close()
	}
	if now := r.Totals().Failovers; now != failovers {
		t.Errorf("%d handshakes have paid with the breaker open", now-failovers)
	}
	if r.upstream("east").Healthy() {
		t.Error("the breaker has closed again")
	}
}

// TestSlowPrimary is fault 6: slowness alone takes no upstream out.
func TestSlowPrimary(t *testing.T) {
	balanced(t)
	east, west, members := eastAndWest(t)
	members[0].health = probed(t, east)
	r := start(t, Options{}, members...)
	until(t, "east to be up", r.upstream("east").Healthy)
	if err := east.Slow(100 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	crowd(5, 4, func(int) {
		c, name := r.reached()
		if name != "east" {
			t.Errorf("reached %q", name)
		}
		c.Close()
	})
	if s := r.upstream("east").Checker().Status(); !s.Healthy || s.Trips != 0 {
		t.Errorf("status %+v", s)
	}
	if n := west.State().Handshakes.Total; n != 0 {
		t.Errorf("%d handshakes went to west", n)
	}
}

// TestProbeFineTrafficFails is fault 12: the passive breaker wins, and until
// then no client notices. One client alone does not make it win: it may ask for
// what the upstream fails on.
func TestProbeFineTrafficFails(t *testing.T) {
	balanced(t)
	east, _, members := eastAndWest(t)
	members[0].health = probed(t, east)
	members[0].health.Interval = time.Minute // and so the penalty
	r := start(t, Options{Forwarded: manyClients}, members...)
	until(t, "east to be up", r.upstream("east").Healthy)
	if err := east.FailHandshakes(503, 1); err != nil {
		t.Fatal(err)
	}
	const insistent = 10
	for range insistent {
		c, name := r.reachedBy(1)
		if name != "west" || !r.upstream("east").Healthy() {
			t.Fatalf("one client reached %q; %+v", name, r.upstream("east").Checker().Status())
		}
		c.Close()
	}
	for i := 2; r.upstream("east").Healthy(); i++ {
		c, name := r.reachedBy(i)
		if name != "west" || i > 3 {
			t.Fatalf("handshake %d reached %q", i, name)
		}
		c.Close()
	}
	s := r.upstream("east").Checker().Status()
	// Half-open is the breaker's word for a probe under way.
	if s.Trips != 1 || s.LastProbe.Err != "" || s.Healthy || s.State != health.Open && s.State != health.HalfOpen {
		t.Errorf("status %+v", s)
	}
	if n := r.upstream("east").Totals().HandshakeFailures; n != insistent+2 {
		t.Errorf("%d handshakes failed before the breaker opened", n)
	}
}
