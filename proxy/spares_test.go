package proxy

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// upward is an upstream that echoes, at the end of a detour.
type upward struct {
	*detour
	member
}

// newUpward starts one, with TLS or without, that has spare connections.
func newUpward(t testing.TB, secured bool, spares int, delay time.Duration) *upward {
	t.Helper()
	u := &upward{member: member{name: "east", spares: spares}}
	if secured {
		certificate, roots := testCertificate(t)
		u.detour = newDetour(t, tlsEcho(t, certificate), delay)
		u.tls = &tls.Config{RootCAs: roots}
	} else {
		u.detour = newDetour(t, emulate(t, "east").Addr(), delay)
	}
	u.member.address = u.detour.address()
	return u
}

// eachWay runs f with an upstream without TLS, and with it.
func eachWay(t *testing.T, f func(t *testing.T, secured bool)) {
	t.Helper()
	for _, secured := range []bool{false, true} {
		t.Run(map[bool]string{false: "ws", true: "wss"}[secured], func(t *testing.T) { f(t, secured) })
	}
}

// wantSpares waits until an upstream has so many spare connections.
func (r *rig) wantSpares(name string, n int) {
	r.t.Helper()
	until(r.t, fmt.Sprint(n, " spare connections to ", name), func() bool { return r.upstream(name).SparesReady() == n })
}

// echoes opens a session and has it echo.
func (r *rig) echoes() *peer {
	r.t.Helper()
	c := r.ask(goodHead)
	c.upgraded()
	c.send(masked(textFrame, "well?"))
	c.wants(textFrame, "well?")
	return c
}

// TestSpareServes: a client gets a connection that was there before it came, and
// another one takes its place.
func TestSpareServes(t *testing.T) {
	eachWay(t, func(t *testing.T, secured bool) {
		balanced(t)
		u := newUpward(t, secured, 2, 0)
		r := start(t, Options{Relay: quickClose}, u.member)
		east := r.upstream("east")
		for i := range 5 {
			r.wantSpares("east", 2)
			before := u.wantAccepted(t, i+2)
			c := r.echoes()
			if n := u.accepted.Load(); n > before+1 {
				t.Errorf("client %d: %d new connections, want only the one that takes the place of the spare", i, n-before)
			}
			until(t, "the count", func() bool { return east.Totals().Sessions == uint64(i+1) })
			c.Close()
		}
		if got := east.Totals(); got.SparesUsed != 5 || got.SparesWasted != 0 || got.HandshakeFailures != 0 {
			t.Errorf("totals %+v", got)
		}
	})
}

// TestSpareLostWaiting: what the upstream closes, or sends something on, while it
// waits is found out before a client gets it, and the upstream is left alone for a
// while.
func TestSpareLostWaiting(t *testing.T) {
	for name, lose := range map[string]func(*stubConn){
		"ends":   func(c *stubConn) {},
		"resets": func(c *stubConn) { reset(c) },
		"speaks": func(c *stubConn) {
			_, _ = c.Write([]byte("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"))
			c.hold()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lost := make(chan struct{})
			s := newStub(t, func(c *stubConn) {
				if c.await(lost) {
					lose(c)
				}
			})
			var l log
			r := start(t, Options{Logger: l.at(slog.LevelInfo)}, member{address: s.address(), spares: 3, health: health.Options{Fall: 1}})
			r.wantSpares("east", 3)
			began := time.Now()
			close(lost)
			until(t, "the loss to be noticed", func() bool { return r.upstream("east").Totals().SparesWasted >= 3 })
			until(t, "the word about it", func() bool { return strings.Contains(l.String(), "spare connections are not kept") })
			until(t, "another one", func() bool { return s.conns.Load() > 3 })
			if took := time.Since(began); took < sparePauseLeast/2 {
				t.Errorf("another one after %v", took)
			}
			if got := r.upstream("east"); got.Totals().HandshakeFailures != 0 || !got.Healthy() {
				t.Errorf("totals %+v, healthy %v", got.Totals(), got.Healthy())
			}
		})
	}
}

// TestSpareIsStale: the upstream closes the connection in the moment in which the
// handshake comes. The client does not notice, and nobody is blamed.
func TestSpareIsStale(t *testing.T) {
	eachWay(t, func(t *testing.T, secured bool) {
		balanced(t)
		u := newUpward(t, secured, 2, 0)
		u.health.Fall = 1
		r := start(t, Options{Relay: quickClose}, u.member)
		east := r.upstream("east")
		for i := range 3 {
			r.wantSpares("east", 2)
			// Those that were wasted, a new one for each client, and the two.
			u.cutBelow.Store(u.wantAccepted(t, int(east.Totals().SparesWasted)+i+2))
			c := r.echoes()
			if u.cutBelow.Load() != 0 {
				t.Fatal("no connection was cut")
			}
			c.Close()
			// The other one that was ready is not trusted any more.
			if got := east.Totals(); got.SparesUsed != 0 || got.SparesWasted < uint64(2*(i+1)) {
				t.Errorf("totals %+v", got)
			}
		}
		if got := east.Totals(); got.HandshakeFailures != 0 || !east.Healthy() || r.Totals().Failovers != 0 {
			t.Errorf("totals %+v, healthy %v", got, east.Healthy())
		}
	})
}

// TestSpareSays408: the upstream has just given up waiting when the handshake comes.
// On a new connection a 408 is an answer like others.
func TestSpareSays408(t *testing.T) {
	balanced(t)
	var asked atomic.Int64
	s := newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		if asked.Add(1) == 2 && c.accept() {
			c.handOver()
			return
		}
		c.reply("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate")
		c.hold()
	})
	r := start(t, Options{}, member{address: s.address(), spares: 1})
	r.wantSpares("east", 1)
	c, _ := r.open(s)
	c.Close()
	r.wantSpares("east", 1)
	if a := r.ask(goodHead).answer(); a.StatusCode != 408 || a.body != "late" || asked.Load() != 4 {
		t.Errorf("got %s, %q, after %d questions", a.Status, a.body, asked.Load())
	}
	if got := r.upstream("east").Totals(); got.HandshakeFailures != 0 || got.SparesUsed != 0 {
		t.Errorf("totals %+v", got)
	}
}

// wantAccepted waits until the detour has accepted so many connections, and returns
// how many there are.
func (u *upward) wantAccepted(t testing.TB, least int) int64 {
	t.Helper()
	until(t, "the connections", func() bool { return u.accepted.Load() >= int64(least) })
	return u.accepted.Load()
}

// TestSpareIsNoExcuse: once the upstream has said something, or nothing for too
// long, the attempt has failed as it would on a new connection.
func TestSpareIsNoExcuse(t *testing.T) {
	for name, act := range map[string]func(*stubConn){
		"cut in the answer":  func(c *stubConn) { c.reply("HTTP/1.1 101 Switch") },
		"cut after interim":  func(c *stubConn) { c.reply("HTTP/1.1 100 Continue\r\n\r\n") },
		"says nothing":       func(c *stubConn) { c.readHead(); c.hold() },
		"answers with a lie": func(c *stubConn) { c.reply(with("{accept}", "x")); c.hold() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked sync.Map
			s := newStub(t, func(c *stubConn) {
				if c.readHead() {
					asked.Store(c, true)
					act(c)
				}
			})
			west := newAccepter(t)
			o := Options{}
			if name == "says nothing" {
				o.Failover.HandshakeTimeout = soon
			}
			r := start(t, o, member{name: "east", address: s.address(), spares: 1},
				member{name: "west", address: west.address(), role: pool.Secondary})
			r.wantSpares("east", 1)
			c, _ := r.open(west)
			c.Close()
			n := 0
			asked.Range(func(any, any) bool { n++; return true })
			if got := r.upstream("east").Totals(); n != 1 || got.HandshakeFailures != 1 || got.SparesUsed != 1 {
				t.Errorf("asked %d times, totals %+v", n, got)
			}
		})
	}
}

// TestManyTakeSpares: no two clients share a connection, and those for whom there
// is none get a new one.
func TestManyTakeSpares(t *testing.T) {
	eachWay(t, func(t *testing.T, secured bool) {
		balanced(t)
		u := newUpward(t, secured, 8, 0)
		r := start(t, Options{Relay: quickClose}, u.member)
		const clients = 40
		for range 3 {
			r.wantSpares("east", 8)
			var group sync.WaitGroup
			for i := range clients {
				c := r.dial()
				group.Go(func() {
					text := fmt.Sprint("this is client ", i)
					if _, err := c.Write([]byte(goodHead)); err != nil {
						t.Error(err)
						return
					}
					a, err := c.readAnswer("GET")
					if err != nil || a.StatusCode != 101 {
						t.Errorf("client %d: %v, %v", i, a.Response, err)
						return
					}
					if _, err := c.Write(masked(textFrame, text)); err != nil {
						t.Error(err)
						return
					}
					if f, err := readFrame(c.in); err != nil || f.payload != text {
						t.Errorf("client %d got %v, %v", i, f, err)
					}
					c.Close()
				})
			}
			group.Wait()
		}
		got := r.upstream("east").Totals()
		if got.SparesUsed < 3*8 || got.HandshakeFailures != 0 || got.Sessions != 3*clients {
			t.Errorf("totals %+v", got)
		}
	})
}

// TestSpareAges: none waits for longer than it may.
func TestSpareAges(t *testing.T) {
	balanced(t)
	u := newUpward(t, false, 2, 0)
	u.age = soon
	r := start(t, Options{}, u.member)
	until(t, "some to be thrown away, and others in their place", func() bool {
		return r.upstream("east").Totals().SparesWasted >= 6 && r.upstream("east").SparesReady() == 2
	})
	if got := r.upstream("east").Totals(); got.HandshakeFailures != 0 {
		t.Errorf("totals %+v", got)
	}
}
