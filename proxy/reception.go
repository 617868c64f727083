package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/relay"
)

// What follows is the life of most sessions up to their first frame: a handshake
// without TLS for an upstream without TLS, which waits for nothing but its two
// sockets. The loops do all of it, and no goroutine is woken; nor is one for those
// who send their heads slowly, and most of those who are turned away. Whatever has to
// wait, or is another kind of request, is handed over to the HTTP server, which goes
// on from there (gate.go, serve.go).

// reception is how the loops receive the clients of this gate.
func (g *gate) reception() relay.Reception {
	p := g.proxy
	return relay.Reception{
		Room: p.hasRoom,
		Come: func() time.Duration {
			p.clients.Add(1)
			p.counters.atGate.Add(1)
			if p.short() != nil {
				return 0 // who is slow would take up what is left
			}
			return p.world.Load().options.Limits.HeaderTimeout
		},
		Heard:    g.heard,
		Late:     headLate,
		Answered: heardBack,
		Failed:   askFailed,
		Gone:     goneWhileAsked,
		Over: func(guest *relay.Guest) {
			c, ok := guest.Tag.(*clientConn)
			if !ok || !c.refused {
				p.counters.abandoned.Add(1)
			}
			if ok {
				c.leaveGate()
			} else {
				p.leftGate()
			}
		},
		Broken: func(error) { p.counters.acceptErrors.Add(1) },
	}
}

// heard takes what a client has sent of its head.
func (g *gate) heard(guest *relay.Guest) {
	p := g.proxy
	c, met := guest.Tag.(*clientConn)
	if !met {
		c = g.meet(guest.Client().Addr())
		c.opening, c.world = openings.Get().(*opening), p.world.Load()
		if left, bounded := guest.Left(); bounded {
			c.headBy = time.Now().Add(left)
		}
		guest.Tag = c
		switch short := p.short(); {
		case short != nil:
			c.turnAway(guest, short)
			return
		case c.announces: // its header comes first
			c.handOver(guest)
			return
		}
	}
	whole, err := c.readFrom(guest)
	_, refused := errors.AsType[*handshake.Refusal](err)
	switch {
	case refused:
		c.turnAway(guest, err)
	case err != nil: // it has gone
		p.counters.abandoned.Add(1) // not later: who sees the end must find the count
		guest.Close()
		c.leaveGate()
	case whole:
		c.goOn(guest)
	case c.headBy.IsZero(): // the guest is not waited for
		c.handOver(guest)
	}
}

// goOn goes on with a client whose head is whole.
func (c *clientConn) goOn(guest *relay.Guest) {
	c.world = c.proxy.world.Load() // the head may have taken its time
	if c.gate.mayBeChallenge(&c.request) {
		c.handOver(guest)
		return
	}
	c.identify()
	// A service verifies a token first, which takes its time.
	if c.route = find(c.world.routes, &c.request); c.route != nil && c.route.desk != nil {
		c.handOver(guest)
		return
	}
	switch err := c.classify(); {
	case err != nil:
		c.turnAway(guest, err)
	case c.passed:
		c.handOver(guest)
	default:
		c.judged = true
		c.proxy.seekHere(guest, c)
	}
}

// readFrom reads of the head what is there, and reports whether it is whole, as far as
// it is known what that means. The error is a refusal, or the client has gone.
func (c *clientConn) readFrom(guest *relay.Guest) (whole bool, err error) {
	limits := c.world.options.Limits.Head
	for {
		seen := len(c.head)
		if seen > 0 && seen == cap(c.head) && c.proxy.memory.isShort() {
			return false, errMemory // there is none for a longer head
		}
		c.head = grow(c.head, limits.Size+1)
		n, err := guest.Read(c.head[seen:cap(c.head)])
		if c.head = c.head[:seen+n]; n == 0 || err != nil {
			return false, err
		}
		if whole, err = c.parse(seen, limits); whole || err != nil {
			return whole, err
		}
	}
}

// headLate takes that the time for a head is over. Who has sent nothing is closed.
func headLate(guest *relay.Guest) {
	if c, ok := guest.Tag.(*clientConn); ok && len(c.head) > 0 {
		c.turnAway(guest, errHeadLate)
	}
}

// turnAway refuses a client in its loop.
func (c *clientConn) turnAway(guest *relay.Guest, err error) {
	grace := closeGrace
	if c.proxy.crowded() {
		grace = 0
	}
	answer := c.proxy.turnDown(err, c.request.Method)
	c.refused = true
	c.opening.free()
	c.opening = nil // what takes its leave needs no buffers
	guest.Refuse(answer, grace, closeDrain)
}

// seekHere admits a client and asks an upstream for it.
func (p *Proxy) seekHere(guest *relay.Guest, c *clientConn) {
	wait, err := p.enter(c)
	if err != nil {
		c.turnAway(guest, err)
		return
	}
	if c.entered = true; wait > 0 {
		c.turn = time.Now().Add(wait)
		c.handOver(guest)
		return
	}
	p.beginSearch(c)
	s := &c.search
	if !s.next(c) || !s.turn.IsZero() {
		c.handOver(guest)
		return
	}
	address, ok := s.target.directly()
	if !ok {
		c.handOver(guest)
		return
	}
	s.ask(p)
	limits := &c.world.options.Failover
	c.back, c.heardBack = c.back[:0], false
	c.out = c.request.AppendUpstream(c.out[:0], s.target.upstream, c.forward())
	s.by = time.Now().Add(limits.HandshakeTimeout)
	if s.err = guest.Ask(&relay.Question{Address: address, Request: c.out, Connect: limits.ConnectTimeout, Answer: limits.HandshakeTimeout}); s.err != nil {
		c.handOver(guest)
	}
}

// directly returns the address of an upstream that can be asked without waiting for
// anything but the socket: it has one, and wants nothing before the handshake.
func (t *target) directly() (netip.AddrPort, bool) {
	known := t.addresses.now()
	if len(known) != 1 || known[0].Addr().Zone() != "" || t.tls != nil || t.spares != nil || t.header != pool.NoProxyHeader {
		return netip.AddrPort{}, false
	}
	return known[0], true
}

// askFailed takes that the upstream could not be asked, or has not answered in time.
func askFailed(guest *relay.Guest, asked bool, err error) {
	c := guest.Tag.(*clientConn)
	if asked {
		err = c.blame(c.search.target, err)
	}
	c.search.err = err
	c.handOver(guest)
}

// goneWhileAsked takes that nobody waits for the answer any more: which says nothing
// about the upstream.
func goneWhileAsked(guest *relay.Guest) {
	c := guest.Tag.(*clientConn)
	guest.Close()
	c.search.score.Done(context.Canceled)
	c.proxy.abandon(c, c.search.lease)
	c.leaveGate()
}

// heardBack takes what the upstream has answered. What is no verified 101 is for the
// goroutines.
func heardBack(guest *relay.Guest) {
	c := guest.Tag.(*clientConn)
	for {
		c.back = grow(c.back, answerLimits.Size+1)
		seen := len(c.back)
		n, err := guest.ReadAnswer(c.back[seen:cap(c.back)])
		c.back = c.back[:seen+n]
		if c.heardBack = c.heardBack || n > 0; n == 0 && err == nil {
			return
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		var end int
		if err == nil {
			end, err = handshake.AnswerEnd(c.back, seen, answerLimits)
		}
		if err == nil && end > 0 {
			c.end = end
			err = handshake.ParseAnswer(c.back[:end], answerLimits, &c.request, &c.answer)
		}
		switch {
		case err != nil:
			guest.HangUp()
			c.search.err = c.blame(c.search.target, err)
			c.handOver(guest)
		case end == 0:
			continue
		case c.answer.Status != fasthttp.StatusSwitchingProtocols:
			c.handOver(guest)
		default:
			c.proxy.joinHere(guest, c)
		}
		return
	}
}

// joinHere answers the client 101 and makes a session of both.
func (p *Proxy) joinHere(guest *relay.Guest, c *clientConn) {
	defer c.leaveGate()
	c.search.score.Done(nil)
	lease := c.search.lease
	c.out = c.answer.AppendClient(c.out[:0])
	if !guest.Say(c.out) {
		guest.Close()
		p.abandon(c, lease)
		return
	}
	took := time.Since(c.search.began)
	s := p.accept(c, lease)
	guest.Join(c.pair(s))
	// Not earlier: who has seen the count must find the session.
	lease.Upstream().CountSession(took)
}

// handOver gives a client to the HTTP server.
func (c *clientConn) handOver(guest *relay.Guest) {
	c.Conn, c.search.conn = guest.Conns()
	c.gate.lobby.enter(c)
}

// lobby is where the clients wait for the HTTP server that the loops hand over. They
// are bounded like all clients, by the descriptors.
type lobby struct {
	net.Listener // the door to the loops
	server       *fasthttp.Server
	bell         chan struct{} // room for one: somebody waits, or it is closed

	mu      sync.Mutex
	waiting []*clientConn
	closed  bool // the server takes nobody any more
}

func newLobby(door net.Listener, server *fasthttp.Server) *lobby {
	return &lobby{Listener: door, server: server, bell: make(chan struct{}, 1)}
}

// enter lets a client in. Those that are handed over after the end, because they have
// only just said something, are served, too.
func (l *lobby) enter(c *clientConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		go func() { _ = l.server.ServeConn(c) }() // closes c
		return
	}
	l.waiting = append(l.waiting, c)
	l.ring()
}

func (l *lobby) ring() {
	select {
	case l.bell <- struct{}{}:
	default:
	}
}

// Accept returns who has waited for longest. It is for one goroutine.
func (l *lobby) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		if len(l.waiting) > 0 {
			c := l.waiting[0]
			l.waiting[0] = nil
			if l.waiting = l.waiting[1:]; len(l.waiting) == 0 {
				l.waiting = nil
			}
			l.mu.Unlock()
			return c, nil
		}
		closed := l.closed
		l.mu.Unlock()
		if closed {
			return nil, io.EOF
		}
		<-l.bell
	}
}

// Close implements [net.Listener]: nobody comes any more.
func (l *lobby) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.ring()
	return err
}
