package proxy

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// connect finds an upstream for a checked handshake: it tries what the route's
// router picks until one answers 101, a 4xx or another answer that belongs to
// the client, or all attempts are used up. On success the verified answer is in
// c.answer and the lease must be released once. The error is a *refusedByAll, a
// *relayedAnswer or a *handshake.Refusal.
func (p *Proxy) connect(c *clientConn) (net.Conn, pool.Lease, error) {
	if !c.searched {
		p.beginSearch(c)
	}
	conn, lease, score, err := p.seek(c, p.attempt)
	if err == nil {
		score.Done(nil)
	}
	return conn, lease, err
}

// beginSearch begins the search for an upstream for a handshake.
func (p *Proxy) beginSearch(c *clientConn) {
	p.counters.handshakes.Add(1)
	c.find()
	c.search.begin(c)
	c.searched = true
}

// seek goes on with the search of c until an attempt succeeds, fails for good with a
// *relayedAnswer, or all are used up. On success it is for the caller to release the
// lease and to settle the score.
func (p *Proxy) seek(c *clientConn, attempt func(*clientConn, *target) (net.Conn, error)) (net.Conn, pool.Lease, health.Attempt, error) {
	s := &c.search
	for s.stage != looking || s.next(c) {
		if s.stage == picked {
			if !s.turn.IsZero() && !p.await(time.Until(s.turn)) {
				s.leave(errStopping)
				break
			}
			s.ask(p)
		}
		conn, err := attempt(c, s.target)
		if err == nil {
			return conn, s.lease, s.score, nil
		}
		if err := s.failed(p, err); err != nil {
			return nil, pool.Lease{}, health.Attempt{}, err
		}
	}
	return nil, pool.Lease{}, health.Attempt{}, s.outcome(c)
}

// pick picks the upstream for the next attempt: that which the client belongs to,
// or one that the route's router picks.
func (c *clientConn) pick(r pool.Request, tried pool.Tried) (pool.Lease, error) {
	if t := c.ticket; t != nil && (t.to != nil || t.only) {
		take := c.route.Set.Take
		if t.only && c.passed {
			take = c.route.Set.Return
		}
		if lease, err := take(t.to, tried); err == nil || t.only {
			return lease, err
		}
	}
	if c.steer != nil {
		take := c.route.Set.Take
		if c.route.HTTP.Affinity == AffinityByID {
			take = c.route.Set.Return
		}
		if lease, err := take(c.steer, tried); err == nil {
			return lease, nil
		}
	}
	return c.route.Set.Pick(r, tried)
}

// attempt asks one upstream, before one deadline: on a spare connection if there
// is one, else on a new one. What a loop has begun it goes on with. On success the
// verified answer is in c.answer and the caller owns the connection.
func (p *Proxy) attempt(c *clientConn, t *target) (net.Conn, error) {
	conn, by, err := c.search.handedOver()
	switch {
	case err != nil:
	case conn != nil:
		if err = conn.SetDeadline(by); err == nil {
			err = c.hear(conn)
		}
	default:
		conn, err = p.askAnew(c, t)
	}
	if conn == nil {
		return nil, err
	}
	if err != nil {
		cut(conn)
		return nil, c.blame(t, err)
	}
	return conn, nil
}

// askAnew asks on a connection of its own. It returns that also with an error, unless
// there is none.
func (p *Proxy) askAnew(c *clientConn, t *target) (net.Conn, error) {
	limits := &c.world.options.Failover
	deadline := time.Now().Add(limits.HandshakeTimeout)
	if conn := t.spares.take(); conn != nil {
		err := c.ask(t, conn, deadline)
		if !c.tooLate(err) {
			t.spares.used(conn)
			return conn, err
		}
		t.spares.stale(conn)
	}
	conn, err := p.dial(t, c.Conn, c.announcement(t.header), limits, deadline)
	if err != nil {
		return nil, err
	}
	return conn, c.ask(t, conn, deadline)
}

// blame is the error of a handshake that failed once the upstream was asked: the
// client may have brought it about.
func (c *clientConn) blame(t *target, err error) error {
	return health.ByClient(c.address(), fmt.Errorf("handshake with %s: %w", t.name, err))
}

// tooLate reports whether err, of ask on a spare connection, is only that the
// upstream ended it in this very moment: before it said anything, or with a 408 for
// the request that it had waited for in vain. Then it is right to ask again on a new
// one (RFC 9112 §9.3.1, RFC 9110 §15.5.9), and says nothing about the upstream.
func (c *clientConn) tooLate(err error) bool {
	if relayed, ok := errors.AsType[*relayedAnswer](err); ok {
		return relayed.status == fasthttp.StatusRequestTimeout
	}
	return err != nil && !c.heardBack && !timedOut(err) && !local(err) && !errors.Is(err, net.ErrClosed)
}
