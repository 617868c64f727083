package proxy

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
	"github.com/pointsman/pointsman/proxy/handshake"
)

// belated is a router whose upstreams east, a primary, and west, a secondary,
// echo. A handshake with east on the path /slow stops half way.
type belated struct {
	*rig
	asked, goOn chan struct{}
}

func newBelated(t testing.TB, o Options) *belated {
	t.Helper()
	b := &belated{asked: make(chan struct{}), goOn: make(chan struct{})}
	east := newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		if c.asked.URL.Path == "/slow" {
			close(b.asked)
			if !c.await(b.goOn) {
				return
			}
		}
		if c.reply(named101("east")) {
			c.echo("/")
		}
	})
	b.rig = start(t, o,
		member{name: "east", address: east.address()},
		member{name: "west", address: newEchoer(t, "west").address(), role: pool.Secondary})
	return b
}

// begins opens a connection whose handshake with east is under way.
func (b *belated) begins() *peer {
	b.t.Helper()
	c := b.ask(asking("/slow"))
	<-b.asked
	return c
}

// goesOn lets it end.
func (b *belated) goesOn() { close(b.goOn) }

// TestApplyBelatedFailover: a handshake that was under way when a reload came
// fails. The next attempt is not made with an upstream that was removed.
func TestApplyBelatedFailover(t *testing.T) {
	t.Parallel()
	asked, goOn := make(chan struct{}), make(chan struct{})
	east := newStub(t, func(c *stubConn) {
		if c.readHead() {
			close(asked)
			c.await(goOn) // and then it hangs up
		}
	})
	gone := newEchoer(t, "west")
	r := start(t, stay,
		member{name: "east", address: east.address()},
		member{name: "west", address: gone.address(), role: pool.Secondary})
	west := r.upstream("west")
	c := r.ask(goodHead)
	<-asked
	r.only(r.upstream("east"))
	close(goOn)
	c.refusedBy(t, 502)
	if n := gone.conns.Load(); n != 0 || west.Sessions() != 0 {
		t.Errorf("%d connections to the one that was removed, %d sessions", n, west.Sessions())
	}
}

// TestDrainBelated: a handshake that was under way when the drain began ends on
// the upstream that is being emptied. Its session has to go as well: whoever
// waits for the end of the drain will switch the upstream off.
func TestDrainBelated(t *testing.T) {
	t.Parallel()
	b := newBelated(t, stay)
	f := b.gather(2, "/chat")
	late := b.begins()
	d, _, err := b.Drain(drain.Plan{Selection: all("east"), Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	f.moved("west", movedByOperator)
	b.goesOn()
	late.upgraded()
	_ = late.SetDeadline(time.Now().Add(leeway))
	late.wants(closeFrame, status(1012, movedByOperator))
	late.send(masked(closeFrame, status(1012, "")))
	late.eof()
	late.Close()
	endsAs(t, d, drain.Done)
	until(t, "east to be empty", func() bool { return b.upstream("east").Sessions() == 0 })
}

// TestDrillBelated: a handshake under way when a drill begins ends on the upstream
// that counts as down. Its session moves with the others.
func TestDrillBelated(t *testing.T) {
	t.Parallel()
	b := newBelated(t, stay)
	late := b.begins()
	d, err := b.Drill("east", patience, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	within(soon, func() bool { return d.Status().State.Final() })
	b.goesOn()
	late.upgraded()
	_ = late.SetDeadline(time.Now().Add(leeway))
	late.wants(closeFrame, status(1012, "failover drill"))
	late.send(masked(closeFrame, status(1012, "")))
	late.eof()
	late.Close()
	endsAs(t, d, drain.Done)
}

// TestFailbackLatecomer: a handshake that was under way when the drain looked
// ends on the secondary. Its session comes home too.
func TestFailbackLatecomer(t *testing.T) {
	t.Parallel()
	m := new(mood)
	asked, goOn := make(chan struct{}), make(chan struct{})
	west := newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		if c.asked.URL.Path == "/slow" {
			close(asked)
			if !c.await(goOn) {
				return
			}
		}
		if c.reply(named101("west")) {
			c.echo("/")
		}
	})
	r := start(t, Options{},
		member{name: "east", address: newEchoer(t, "east").address(), health: m.judged()},
		member{name: "west", address: west.address(), role: pool.Secondary})
	m.falls(t, r.upstream("east"))
	f := r.gather(2, "/chat")
	late := r.ask(asking("/slow"))
	<-asked
	m.rises(t, r.upstream("east"))
	endsAs(t, r.drainOf(drain.Failback), drain.Done)
	f.moved("east", movedToPrimary)
	close(goOn)
	late.upgraded()
	late.wants(closeFrame, status(1012, movedToPrimary))
	late.send(masked(closeFrame, status(1012, "")))
	late.eof()
}

// TestFailbackJustJoining: the leader looks at the very moment when an upstream
// has accepted a session that is not joined yet. It has to look again.
func TestFailbackJustJoining(t *testing.T) {
	balanced(t)
	r := prepare(t, Options{},
		member{name: "east", address: newEchoer(t, "east").address()},
		member{name: "west", address: newEchoer(t, "west").address(), role: pool.Secondary})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.relay.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	w, l := r.world.Load(), newLeader(r.Proxy)
	look := func() int {
		l.failback(ctx, w, r.upstream("west"))
		return len(r.Drains().List())
	}

	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	far, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := &clientConn{Conn: near, proxy: r.Proxy, world: w, route: &w.routes[0], gate: new(gate), opening: new(opening)}
	c.head, c.size = []byte(goodHead), len(goodHead)
	if refusal := handshake.ParseRequest(c.head, w.options.Limits.Head, &c.request); refusal != nil {
		t.Fatal(refusal)
	}
	if err := c.classify(); err != nil {
		t.Fatal(err)
	}
	if err := r.admit(c); err != nil {
		t.Fatal(err)
	}
	r.upstream("east").Checker().Suspend(time.Hour, "")
	conn, lease, err := r.connect(c)
	if err != nil || lease.Upstream() != r.upstream("west") {
		t.Fatalf("connected to %v: %v", lease.Upstream(), err)
	}
	r.upstream("east").Checker().Resume()
	if n := look(); n != 0 {
		t.Fatalf("%d drains without a session", n)
	}
	r.Proxy.join(c, conn, lease)
	if n := look(); n != 1 {
		t.Errorf("%d drains: a session was not seen when it was being joined, and is never looked for again", n)
	}
}
