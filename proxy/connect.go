package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/handshake"
)

// connect finds an upstream for a checked handshake: it tries what the route's
// router picks until one answers 101, a 4xx or another answer that belongs to
// the client, or all attempts are used up. On success the verified answer is in
// c.answer and the lease must be released once. The error is a *refusedByAll, a
// *relayedAnswer or a *handshake.Refusal.
func (p *Proxy) connect(c *clientConn) (net.Conn, pool.Lease, error) {
	c.find()
	conn, lease, score, err := p.seek(c, p.attempt)
	if err == nil {
		score.Done(nil)
	}
	return conn, lease, err
}

// seek tries what the client belongs to and then what the route's router picks,
// until an attempt succeeds, fails for good with a *relayedAnswer, or all are used
// up. An upstream that admits no more handshakes for now is passed over. On
// success it is for the caller to release the lease and to settle the score.
func (p *Proxy) seek(c *clientConn, attempt func(*clientConn, *target) (net.Conn, error)) (net.Conn, pool.Lease, health.Attempt, error) {
	request := pool.Request{
		Host:   string(c.request.Host),
		Path:   string(c.request.Path),
		Query:  string(c.request.Query),
		Client: c.address(),
	}
	request.Affinity = c.affinity(request.Query)
	var tried pool.Tried
	var last error
	var full *admission // of the first upstream that was passed over
	for attempts := 0; attempts < c.world.options.Failover.Attempts; {
		if attempts > 0 && p.stopping.Load() {
			break
		}
		lease, err := c.pick(request, tried)
		if err != nil {
			if err != pool.ErrNoUpstream { // wrapped: the router itself is at fault
				p.logger.Error("pick", "error", err)
			}
			break
		}
		u := lease.Upstream()
		if p.world.Load().current(u) == nil { // removed since the head was judged
			lease.Release()
			tried = tried.Add(u)
			continue
		}
		t := c.world.targets[u]
		wait, ok := t.admission.enter(u.HandshakesPerSecond())
		if !ok {
			lease.Release()
			tried = tried.Add(u)
			full = cmp.Or(full, t.admission)
			continue
		}
		if !p.await(wait) {
			lease.Release()
			last = errStopping
			break
		}
		if attempts++; attempts > 1 {
			p.counters.failovers.Add(1)
		}
		score := u.Checker().Begin()
		conn, err := attempt(c, t)
		if err == nil {
			return conn, lease, score, nil
		}
		lease.Release()
		var relayed *relayedAnswer
		if errors.As(err, &relayed) && relayed.status < 500 {
			score.Done(nil)
			return nil, pool.Lease{}, health.Attempt{}, err
		}
		score.Done(err)
		u.CountHandshakeFailure()
		p.logger.Debug("handshake failed", "upstream", u.Name(), "error", err)
		last = err
		tried = tried.Add(u)
	}
	if last == nil && full != nil {
		last = busy(full.turnAway())
	}
	var relayed *relayedAnswer
	var refusal *handshake.Refusal
	if errors.As(last, &relayed) || errors.As(last, &refusal) {
		return nil, pool.Lease{}, health.Attempt{}, last
	}
	if c.ticket.bound() {
		return nil, pool.Lease{}, health.Attempt{}, errGoneConnection
	}
	return nil, pool.Lease{}, health.Attempt{}, &refusedByAll{last}
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
// is one, else on a new one. On success the verified answer is in c.answer and
// the caller owns the connection.
func (p *Proxy) attempt(c *clientConn, t *target) (net.Conn, error) {
	limits := &c.world.options.Failover
	deadline := time.Now().Add(limits.HandshakeTimeout)
	conn := t.spares.take()
	var err error
	if conn != nil {
		err = c.ask(t, conn, deadline)
		if c.tooLate(err) {
			t.spares.stale(conn)
			conn = nil
		} else {
			t.spares.used(conn)
		}
	}
	if conn == nil {
		if conn, err = p.dial(t, c.Conn, c.announcement(t.header), limits, deadline); err != nil {
			return nil, err
		}
		err = c.ask(t, conn, deadline)
	}
	if err != nil {
		cut(conn)
		return nil, health.ByClient(c.address(), fmt.Errorf("handshake with %s: %w", t.name, err))
	}
	return conn, nil
}

// tooLate reports whether err, of ask on a spare connection, is only that the
// upstream ended it in this very moment: before it said anything, or with a 408 for
// the request that it had waited for in vain. Then it is right to ask again on a new
// one (RFC 9112 §9.3.1, RFC 9110 §15.5.9), and says nothing about the upstream.
func (c *clientConn) tooLate(err error) bool {
	if relayed, ok := errors.AsType[*relayedAnswer](err); ok {
		return relayed.status == fasthttp.StatusRequestTimeout
	}
	return err != nil && !c.heard && !timedOut(err) && !local(err) && !errors.Is(err, net.ErrClosed)
}
