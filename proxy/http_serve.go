package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/proxy/exchange"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/relay"
)

// What a request that is passed can be refused for, and a handshake cannot.
var (
	errBadBody  = refuse(400, "bad_body", "The body of the request is malformed.")
	errBodyLate = refuse(408, "body_timeout", "The body of the request did not come in time.")
	errMoved    = refuse(503, "moved", "Ask again: this connection is led to another upstream.")
)

// pass passes a judged request to an upstream and the answer to the client. It
// reports whether there is another request on the connection; otherwise there is
// nothing in it any more for the HTTP server.
func (c *clientConn) pass() (again bool) {
	p := c.proxy
	if stream, ok := c.Conn.(*carried); ok {
		// Its client asks again, on a connection of HTTP/1.1.
		stream.Demand11()
		c.refused = true
		p.counters.abandoned.Add(1)
		return false
	}
	client, err := c.ordinary()
	if err != nil {
		p.logger.Debug("request not passed", "client", c.address(), "error", err)
		c.refused = true
		return false
	}
	if !p.carry(c, client) || !p.exchanges.await(client, c.route.HTTP.IdleTimeout) {
		c.refused = true
		return false
	}
	c.head, c.passed, c.ticket, c.steer, c.counted = c.head[:0], false, nil, nil, false
	c.headBy = time.Now().Add(p.world.Load().options.Limits.HeaderTimeout)
	return client.SetDeadline(c.headBy) == nil
}

// ordinary makes the connection one that can be read and written at once, and
// gives back to it what was read behind the head.
func (c *clientConn) ordinary() (*exchange.Client, error) {
	client, kept := c.Conn.(*exchange.Client)
	if kept {
		client.Unread(c.early())
	} else {
		conn, err := relay.Ordinary(c.Conn)
		if err != nil {
			return nil, err
		}
		client = exchange.NewClient(conn, c.early())
		c.Conn = client
	}
	c.head = c.head[:c.size]
	return client, client.SetDeadline(time.Time{})
}

// unwrap makes the connection one that can be joined again.
func (c *clientConn) unwrap() {
	if client, ok := c.Conn.(*exchange.Client); ok {
		c.head = append(c.head, client.Rest()...)
		c.Conn = client.Conn
	}
}

// carry carries one request, and reports whether the client's connection may be
// used for another.
func (p *Proxy) carry(c *clientConn, client *exchange.Client) (again bool) {
	if err := p.admit(c); err != nil {
		c.refuse(err)
		return false
	}
	held := c.place()
	defer p.leave(held)
	p.exchanges.requests.Add(1)
	x := &passed{began: time.Now()}
	aim := c.aim()
	x.Exchange = exchange.New(client, &c.request, p.passOptions(c, func(a *handshake.Answer) exchange.Adaptation {
		x.settle(a.Status)
		return aim.adapt(c, a, x.lease.Upstream().Name())
	}))
	c.search.begin(c)
	_, lease, score, err := p.seek(c, func(c *clientConn, t *target) (net.Conn, error) { return p.send(c, t, x.Exchange, aim) })
	if err != nil {
		p.logger.Debug("request not passed", "client", c.address(), "error", err)
		c.refuse(err)
		return false
	}
	defer lease.Release()
	x.session, x.score = newSession(c, lease), score
	x.belongs = aim.belongs
	x.timeout = c.world.options.Failover.HandshakeTimeout
	p.exchanges.enter(x)
	defer p.exchanges.exit(x)
	if at := c.ticket.ends(); !at.IsZero() {
		defer time.AfterFunc(time.Until(at), x.expire).Stop()
	}
	stop := context.AfterFunc(p.cut, x.cut)
	r := x.Carry()
	stop()
	p.conclude(c, x, &r)
	return r.Keep && !p.stopping.Load()
}

// passOptions are the bounds of an exchange.
func (p *Proxy) passOptions(c *clientConn, adapt func(*handshake.Answer) exchange.Adaptation) exchange.Options {
	h, carried := &c.route.HTTP, p.relay.Options()
	return exchange.Options{
		Keep:          !p.stopping.Load() && !p.crowded(),
		SendTimeout:   c.world.options.Failover.HandshakeTimeout,
		AnswerTimeout: h.AnswerTimeout,
		BodyTimeout:   h.BodyTimeout,
		WriteTimeout:  carried.WriteTimeout,
		IdleTimeout:   carried.IdleTimeout,
		Answer:        answerLimits,
		Adapt:         adapt,
	}
}

// send sends the head to one upstream, on a new connection. When it fails, nothing
// was sent.
func (p *Proxy) send(c *clientConn, t *target, e *exchange.Exchange, aim *aim) (net.Conn, error) {
	limits := &c.world.options.Failover
	deadline := time.Now().Add(limits.HandshakeTimeout)
	request, err := c.ticket.dress(&c.request, t.of)
	if err != nil {
		return nil, err
	}
	conn, err := p.dial(t, c.Conn, c.announcement(t.header), limits, deadline)
	if err != nil {
		return nil, err
	}
	if conn, err = relay.Ordinary(conn); err != nil {
		return nil, fmt.Errorf("request to %s: %w", t.name, err)
	}
	if err = conn.SetDeadline(time.Time{}); err == nil {
		c.out = request.AppendPlain(c.out[:0], &handshake.Plain{Upstream: t.upstream, Forward: c.forward(), Identity: aim.reads})
		var sent bool
		if sent, err = e.Send(conn, c.out, deadline); sent {
			return conn, nil
		}
	}
	cut(conn)
	return nil, fmt.Errorf("request to %s: %w", t.name, err)
}

// conclude does what is left when an exchange has ended: the client is answered if
// it was not, and the upstream is told of.
func (p *Proxy) conclude(c *clientConn, x *passed, r *exchange.Result) {
	u := x.lease.Upstream()
	ours := errors.Is(r.Err, exchange.ErrClient) || errors.Is(r.Err, exchange.ErrLeft) ||
		errors.Is(r.Err, exchange.ErrBody) || errors.Is(r.Err, exchange.ErrBodyLate)
	switch {
	case r.Err == nil:
	case ours:
		x.neutral()
	case r.Status == 0:
		x.failed(r.Err)
		u.CountHandshakeFailure()
	default: // it had begun to answer
		u.CountLost()
		u.Checker().Nudge()
	}
	p.exchanges.count(r)
	if r.Err != nil {
		p.logger.Debug("request failed", "client", c.address(), "upstream", u.Name(), "status", r.Status, "error", r.Err)
	}
	switch {
	case r.Err == nil:
	case r.Answered:
		if r.Reset {
			breakOff(c.Conn)
		}
	case errors.Is(r.Err, exchange.ErrClient):
		p.counters.abandoned.Add(1)
	default:
		c.refuse(x.refusal(r.Err))
	}
	if p.access != nil {
		p.access.write(accessRecord{x.client, x.path.Value(), u.Name(), relay.End{}, &passedRecord{
			method: string(c.request.Method), status: r.Status, whole: r.Err == nil,
			took: time.Since(x.began), up: r.Up, down: r.Down,
		}})
	}
}

// refusal is what a client is told that gets no answer.
func (x *passed) refusal(err error) error {
	switch {
	case errors.Is(err, exchange.ErrBody):
		return errBadBody
	case errors.Is(err, exchange.ErrBodyLate):
		return errBodyLate
	case errors.Is(err, exchange.ErrLeft):
		return cmp.Or(x.ended.Load(), errStopping)
	case timedOut(err):
		return errLateAnswer
	default:
		return errBadAnswer
	}
}

// breakOff ends a connection such that its client cannot take what it got for whole.
// With TLS it is enough that the good-bye is missing.
func breakOff(conn net.Conn) {
	if client, ok := conn.(*exchange.Client); ok {
		conn = client.Conn
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	cut(conn)
}

// gateway reports whether a status says that the upstream cannot serve, and not
// that this request cannot be served.
func gateway(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// settle scores the beginning of an answer.
func (x *passed) settle(status int) {
	x.scored.Do(func() {
		if gateway(status) {
			x.score.Done(health.ByClient(x.client, fmt.Errorf("answer %d", status)))
			x.lease.Upstream().CountHandshakeFailure()
		} else {
			x.score.Done(nil)
		}
	})
}

// neutral scores what says nothing about the upstream.
func (x *passed) neutral() {
	x.scored.Do(func() { x.score.Done(health.ErrLocal) })
}

// failed scores that no answer has come. Its time may have been much longer than a
// handshake can take; then it is no handshake for the breaker, but a loss.
func (x *passed) failed(err error) {
	err = health.ByClient(x.client, err)
	x.scored.Do(func() {
		if time.Since(x.began) > x.timeout {
			x.score.Done(health.ErrLocal)
			x.lease.Upstream().Checker().Lost(err)
			return
		}
		x.score.Done(err)
	})
}
