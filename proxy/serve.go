package proxy

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/relay"
)

// classify finds out what a judged head asks for, a session or the answer to a
// plain request, and where; or why it gets neither.
func (c *clientConn) classify() error {
	r := &c.request
	if c.route = find(c.world.routes, r); c.route == nil {
		return errNotFound
	}
	if !r.IsUpgrade() && c.route.takesPlain(r) {
		c.plain = true
		return nil
	}
	check := r.CheckUpgrade
	if c.passed = c.route.HTTP.Pass && !r.IsUpgrade(); c.passed {
		check = r.CheckPlain
	}
	if err := check(); err != nil {
		return err
	}
	if err := c.route.allowed.check(r); err != nil {
		return err
	}
	if !c.route.hasRequired(r.Query) {
		return errParameter
	}
	return c.showTicket(string(r.Method))
}

// serve takes a judged head. The server knows only its stand-in, and we answer as
// bytes.
func (p *Proxy) serve(ctx *fasthttp.RequestCtx) {
	c := ctx.Conn().(*clientConn) // the gates let in nothing else
	ctx.HijackSetNoResponse(true)
	last := p.open(c)
	ctx.Hijack(func(net.Conn) { last() })
}

// open is the life of a session up to its last step, which is returned: the
// relay, or an answer.
func (p *Proxy) open(c *clientConn) (last func()) {
	if err := p.admit(c); err != nil {
		answer := p.turnDown(err, nil)
		return func() { c.say(answer) }
	}
	conn, lease, err := p.connect(c)
	if err == nil {
		return func() { p.join(c, conn, lease) }
	}
	p.leave(c.place())
	p.logger.Debug("client refused", "client", c.address(), "error", err)
	if c.ticket.recovers() && !p.stopping.Load() {
		return func() { p.sendAfresh(c) }
	}
	answer := p.turnDown(err, nil)
	return func() { c.say(answer) }
}

// admit counts a session in, when it is its turn, or says why not. Whoever is
// admitted must leave.
func (p *Proxy) admit(c *clientConn) error {
	if !c.entered {
		wait, err := p.enter(c)
		if err != nil {
			return err
		}
		c.turn = time.Now().Add(wait)
	}
	c.entered = false // for the next request on the connection
	if p.await(time.Until(c.turn)) {
		return nil
	}
	p.leave(c.place())
	return errStopping
}

// enter counts a session in, and returns how long it has to wait for its turn, or why
// there is no place for it. Whoever has entered must leave.
func (p *Proxy) enter(c *clientConn) (wait time.Duration, err error) {
	limits := &c.world.options.Limits
	open := p.counters.open.Add(1)
	var refusal *handshake.Refusal
	switch {
	case p.stopping.Load():
		refusal = errStopping
	case limits.Sessions > 0 && open > int64(limits.Sessions):
		refusal = errFull
	case p.filesShort():
		refusal = errFiles
	case p.memory.isShort():
		refusal = errMemory
	case limits.SessionsPerAddress > 0:
		if c.counted = p.addresses.enter(c.address(), limits.SessionsPerAddress); !c.counted {
			refusal = errAddress
		}
	}
	if refusal == nil {
		var ok bool
		if wait, ok = c.gate.admission.enter(limits.HandshakesPerSecond); ok {
			return wait, nil
		}
		refusal = busy(c.gate.admission.turnAway())
	}
	p.leave(c.place())
	return 0, refusal
}

// place is what an admitted session takes up, and has to give back.
type place struct {
	client  netip.Addr
	counted bool // at its address
}

func (c *clientConn) place() place { return place{c.address(), c.counted} }

// leave counts an admitted session out.
func (p *Proxy) leave(held place) {
	if held.counted {
		p.addresses.leave(held.client)
	}
	p.counters.open.Add(-1)
	p.sessionsGone()
}

// join answers the client 101 and gives both connections to the relay.
func (p *Proxy) join(c *clientConn, conn net.Conn, lease pool.Lease) {
	c.out = c.answer.AppendClient(c.out[:0])
	_ = c.Conn.SetWriteDeadline(time.Now().Add(c.world.options.Limits.HeaderTimeout))
	if _, err := c.Conn.Write(c.out); err != nil {
		conn.Close()
		p.abandon(c, lease)
		return
	}
	took := time.Since(c.search.began)
	s := p.accept(c, lease)
	pair := c.pair(s)
	pair.Client, pair.Upstream = c.Conn, conn
	handle, err := p.relay.Join(pair)
	if err == nil {
		// Not earlier: who has seen the count must find the session.
		lease.Upstream().CountSession(took)
		if s.expires {
			p.expiries.add(s, handle, c.ticket.ends())
		}
		return
	}
	if !errors.Is(err, net.ErrClosed) {
		p.logger.Warn("session not joined", "upstream", lease.Upstream().Name(), "error", err)
	}
	s.ended(relay.End{Cause: relay.Aborted})
}

// abandon gives up a session whose client has gone before its 101. The upstream sees
// the end of one that never sent a frame.
func (p *Proxy) abandon(c *clientConn, lease pool.Lease) {
	lease.Release()
	p.leave(c.place())
	p.counters.abandoned.Add(1)
}

// accept makes the session of a client that has got its 101.
func (p *Proxy) accept(c *clientConn, lease pool.Lease) *session {
	s := newSession(c, lease)
	c.ticket.used(c, lease.Upstream())
	p.counters.accepted.Add(1)
	c.taken = true
	return s
}

// pair is what the relay is told about a session, but for its connections.
func (c *clientConn) pair(s *session) relay.Pair {
	return relay.Pair{
		FromClient: c.early(), FromUpstream: c.earlyBack(),
		RSV:     c.answer.RSV,
		Parting: s.manner.parting(),
		Tag:     s,
		Ended:   s.ended,
	}
}

// busy tells a client to come again when it is its turn.
func busy(turn time.Duration) *handshake.Refusal { return again(errBusy, seconds(turn)) }
