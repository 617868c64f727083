package proxy

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"
	"unique"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/relay"
)

// TestHungUpstream is fault 4: an upstream whose process hangs still accepts TCP
// connections. A probe that speaks HTTP sees it. A probe that only connects
// does not, and is documented so: then the first handshakes pay their time-out
// before the breaker, fed by them, opens.
func TestHungUpstream(t *testing.T) {
	balanced(t)
	east, west := emulate(t, "east"), emulate(t, "west")
	seen := probed(t, east)
	seen.Timeout = soon
	unseen := seen
	unseen.Probe = health.TCPProbe(east.Addr())
	unseen.Interval, unseen.Timeout, unseen.Fall = 20*time.Millisecond, patience, 2
	// A handshake that ends late on a busy machine counts all the same.
	unseen.HandshakeTimeout = patience
	r := start(t, Options{Failover: Failover{HandshakeTimeout: 4 * soon}, Forwarded: manyClients}, // enough for west
		member{name: "by http", address: east.Addr(), health: seen},
		member{name: "by tcp", address: east.Addr(), health: unseen},
		member{name: "west", address: west.Addr(), role: pool.Secondary})
	byHTTP, byTCP := r.upstream("by http"), r.upstream("by tcp")
	until(t, "both to be up", func() bool { return byHTTP.Healthy() && byTCP.Healthy() })

	if err := east.Hang(); err != nil {
		t.Fatal(err)
	}
	until(t, "the http probe to see it", func() bool { return !byHTTP.Healthy() })
	last := byTCP.Checker().Status().LastProbe.At
	until(t, "more tcp probes", func() bool { return byTCP.Checker().Status().LastProbe.At.After(last) })
	if s := byTCP.Checker().Status(); !s.Healthy || s.LastProbe.Err != "" {
		t.Fatalf("the tcp probe is said not to see it: %+v", s)
	}

	for i := 1; byTCP.Healthy(); i++ {
		c, name := r.reachedBy(i)
		c.Close()
		if name != "west" {
			t.Fatalf("reached %q", name)
		}
		if paid := byTCP.Totals().HandshakeFailures; paid > 2 {
			t.Fatalf("%d handshakes have paid, and the breaker does not open", paid)
		}
	}
	failovers := r.Totals().Failovers
	c, name := r.reached()
	if now := r.Totals().Failovers; name != "west" || now != failovers {
		t.Errorf("reached %q, %d attempts elsewhere with the breaker open", name, now-failovers)
	}
	c.Close()
}

// TestMuteUpstream is fault 5: the handshake is right and nothing follows. The
// http probe does not see it and says so here; the websocket probe does, if no
// Pong comes. A session that nobody answers is not the router's to judge,
// unless pings are on.
func TestMuteUpstream(t *testing.T) {
	balanced(t)
	mute := newStub(t, func(c *stubConn) {
		switch {
		case !c.readHead():
		case c.asked.Header.Get("Upgrade") == "":
			c.reply("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		case c.accept():
			c.hold()
		}
	})
	location, err := url.Parse("ws://" + mute.address())
	if err != nil {
		t.Fatal(err)
	}
	judged := health.Options{Interval: 20 * time.Millisecond, Recheck: 20 * time.Millisecond, Timeout: soon, InitialUp: true}
	byHTTP, byWebSocket := judged, judged
	byHTTP.Probe, byHTTP.Timeout = health.HTTPProbe(location, health.HTTPOptions{}), patience
	byWebSocket.Probe = health.WebSocketProbe(location, health.WebSocketOptions{})
	r := start(t, Options{},
		member{name: "by http", address: mute.address(), health: byHTTP},
		member{name: "by websocket", address: mute.address(), role: pool.Secondary, health: byWebSocket})
	until(t, "the websocket probe to see it", func() bool { return !r.upstream("by websocket").Healthy() })
	c := r.ask(goodHead)
	c.upgraded()
	c.send(masked(textFrame, "anybody?"))
	if s := r.upstream("by http").Checker().Status(); !s.Healthy || s.LastProbe.Err != "" {
		t.Errorf("the http probe is said not to see it: %+v", s)
	}
	c.Close()
	r.wantEnd("client lost")
}

// TestScore checks what counts against an upstream: a failure opens the breaker
// at once in these rows, so that health shows it.
func TestScore(t *testing.T) {
	for _, row := range []struct {
		name   string
		script func(*stubConn)
		visit  func(t *testing.T, r *rig)
		counts bool
	}{
		{"403", func(c *stubConn) { c.reply("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") }, refusedWith(403), false},
		{"401", func(c *stubConn) { c.reply("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n") }, refusedWith(401), false},
		{"429", func(c *stubConn) { c.reply("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n") }, refusedWith(429), false},
		{"302", func(c *stubConn) { c.reply("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n") }, refusedWith(302), false},
		{"500", func(c *stubConn) { c.reply("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n") }, refusedWith(500), true},
		{"503", func(c *stubConn) { c.reply("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n") }, refusedWith(503), true},
		{"wrong accept", func(c *stubConn) { c.reply(with("{accept}", "x")) }, refusedWith(502), true},
		{"closed", func(c *stubConn) { c.readHead() }, refusedWith(502), true},
		{"silent", hold, refusedWith(504), true},
		{"session ended by the client", func(c *stubConn) {
			if c.accept() {
				c.hold()
			}
		}, func(t *testing.T, r *rig) {
			c := r.ask(goodHead)
			c.upgraded()
			c.send(masked(closeFrame, ""))
			c.reset()
			r.wantEnd("client closed")
		}, false},
		{"session ended by the upstream", func(c *stubConn) {
			if c.reply(good101 + string(plain(closeFrame, status(1001, "")))) {
				c.hold()
			}
		}, func(t *testing.T, r *rig) {
			c := r.ask(goodHead)
			c.upgraded()
			c.wantsClose(1001)
			c.Close()
			r.wantEnd("upstream closed")
		}, false},
		{"session lost by the client", func(c *stubConn) {
			if c.accept() {
				c.hold()
			}
		}, func(t *testing.T, r *rig) {
			c := r.ask(goodHead)
			c.upgraded()
			c.reset()
			r.wantEnd("client lost")
		}, false},
		{"session lost by the upstream", func(c *stubConn) { c.accept() }, func(t *testing.T, r *rig) {
			c := r.ask(goodHead)
			c.upgraded()
			c.wantsClose(1012)
			c.Close()
			r.wantEnd("upstream lost")
		}, true},
		{"session reset by the upstream", func(c *stubConn) { c.accept(); reset(c) }, func(t *testing.T, r *rig) {
			c := r.ask(goodHead)
			c.upgraded()
			c.wantsClose(1012)
			c.Close()
			r.wantEnd("upstream lost")
		}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			s := newStub(t, row.script)
			judged := health.Options{Fall: 1} // and no probe that could count
			limit := patience
			if row.name == "silent" {
				limit = soon
			}
			r := start(t, Options{Failover: Failover{HandshakeTimeout: limit}, Relay: quickClose}, member{address: s.address(), health: judged})
			row.visit(t, r)
			if row.counts {
				until(t, "the breaker to open", func() bool { return !r.upstream("east").Healthy() })
				return
			}
			until(t, "the place to be given back", func() bool { return r.Sessions() == 0 })
			if s := r.upstream("east").Checker().Status(); !s.Healthy {
				t.Errorf("counts against the upstream: %s", s.Reason)
			}
			if n := r.upstream("east").Totals(); n.HandshakeFailures+n.Lost != 0 {
				t.Errorf("totals %+v", n)
			}
		})
	}
}

// refusedWith is a client that expects this status.
func refusedWith(want int) func(*testing.T, *rig) {
	return func(t *testing.T, r *rig) {
		t.Helper()
		c := r.ask(goodHead)
		if a := c.answer(); a.StatusCode != want {
			t.Errorf("got %s, want %d: %s", a.Status, want, strings.TrimSpace(a.body))
		}
		c.gone()
		c.Close()
	}
}

// TestLateLoss: a session that is lost after a while says nothing about how the
// upstream takes new ones; a probe shall tell.
func TestLateLoss(t *testing.T) {
	balanced(t)
	for duration, healthy := range map[time.Duration]bool{earlyLoss - 1: false, earlyLoss: true, time.Hour: true} {
		probes := make(chan struct{}, 100)
		probe := func(ctx context.Context) error {
			select {
			case probes <- struct{}{}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r := start(t, Options{}, member{address: refusingAddress(t), health: health.Options{
			Probe: probe, InitialUp: true, Fall: 1, Interval: time.Hour, Recheck: time.Millisecond,
		}})
		<-probes // the first
		u := r.upstream("east")
		w := r.world.Load()
		lease, err := w.routes[0].Set.Pick(pool.Request{}, pool.Tried{})
		if err != nil {
			t.Fatal(err)
		}
		c := &clientConn{proxy: r.Proxy, world: w, gate: new(gate)}
		if err := r.admit(c); err != nil {
			t.Fatal(err)
		}
		r.counters.handshakes.Add(1)
		r.counters.accepted.Add(1)
		(&session{home: w.routes[0].home, lease: lease, path: unique.Make("/")}).ended(relay.End{Cause: relay.UpstreamSilent, Duration: duration})
		<-probes // asked for at once in any case
		if u.Healthy() != healthy && healthy {
			t.Errorf("lost after %v: %s", duration, u.Checker().Status().Reason)
		}
		if trips := u.Checker().Status().Trips; (trips == 0) != healthy || u.Totals().Lost != 1 {
			t.Errorf("lost after %v: %d trips, %+v", duration, trips, u.Totals())
		}
		r.stop()
	}
}

// TestVanishedClient: a client that leaves before its 101 costs the upstream
// nothing, neither in its score nor in places.
func TestVanishedClient(t *testing.T) {
	balanced(t)
	asked, gone := make(chan struct{}), make(chan struct{})
	s := newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		close(asked)
		if c.await(gone) && c.accept() {
			c.hold() // until the router gives the session up
		}
	})
	r := start(t, Options{}, member{address: s.address(), max: 1, health: health.Options{Fall: 1}})
	c := r.ask(goodHead)
	<-asked
	if n := r.Sessions(); n != 1 {
		t.Errorf("%d sessions being opened", n)
	}
	c.reset()
	close(gone)
	until(t, "the client to be given up", func() bool { return r.Totals().Abandoned == 1 })
	until(t, "the place to be given back", func() bool { return r.Sessions() == 0 && r.upstream("east").Available() })
	if got := r.Totals(); got != (Totals{Handshakes: 1, Abandoned: 1}) {
		t.Errorf("totals %+v", got)
	}
}
