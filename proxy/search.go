package proxy

import (
	"cmp"
	"errors"
	"net"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/handshake"
)

// search is the search for an upstream for one client: attempts, one after the
// other, until one succeeds. None of its steps waits for anything, so that a loop
// can make them; what a goroutine is to go on with is in here, too.
type search struct {
	request  pool.Request
	tried    pool.Tried
	attempts int
	last     error      // of the last attempt
	full     *admission // of the first upstream that was passed over
	fault    error      // of the route's router
	began    time.Time

	// The attempt under way.
	stage  searchStage
	target *target
	lease  pool.Lease
	turn   time.Time // of the client at this upstream; zero: at once
	score  health.Attempt

	// What a loop has left, of an attempt that it has begun.
	conn net.Conn  // the upstream's, which has been asked
	by   time.Time // when the answer has to be there
	err  error     // or how it has failed
}

type searchStage uint8

const (
	looking  searchStage = iota // for the next upstream
	picked                      // one has been found, and is not asked yet
	underWay                    // it is being asked
)

// begin begins the search for c.
func (s *search) begin(c *clientConn) {
	*s = search{began: time.Now(), request: pool.Request{
		Host:   string(c.request.Host),
		Path:   string(c.request.Path),
		Query:  string(c.request.Query),
		Client: c.address(),
	}}
	s.request.Affinity = c.affinity(s.request.Query)
	if stream, ok := c.Conn.(*carried); ok {
		stream.hold()
	}
}

// next picks the upstream for the next attempt, and reports whether there is one: what
// the client belongs to first, and then what the route's router picks. An upstream
// that admits no more handshakes for now is passed over.
func (s *search) next(c *clientConn) bool {
	p := c.proxy
	for s.attempts < c.world.options.Failover.Attempts {
		if s.attempts > 0 && p.stopping.Load() {
			return false
		}
		lease, err := c.pick(s.request, s.tried)
		if err != nil {
			if err != pool.ErrNoUpstream { // wrapped: the router itself is at fault
				s.fault = err
			}
			return false
		}
		u := lease.Upstream()
		if p.world.Load().current(u) == nil { // removed since the head was judged
			lease.Release()
			s.tried = s.tried.Add(u)
			continue
		}
		t := c.world.targets[u]
		wait, ok := t.admission.enter(u.HandshakesPerSecond())
		if !ok {
			lease.Release()
			s.tried = s.tried.Add(u)
			s.full = cmp.Or(s.full, t.admission)
			continue
		}
		s.stage, s.target, s.lease, s.turn = picked, t, lease, time.Time{}
		if wait > 0 {
			s.turn = time.Now().Add(wait)
		}
		return true
	}
	return false
}

// leave gives up what was picked.
func (s *search) leave(err error) {
	s.lease.Release()
	s.stage, s.last = looking, err
}

// ask notes that the upstream that was picked is asked now.
func (s *search) ask(p *Proxy) {
	if s.attempts++; s.attempts > 1 {
		p.counters.failovers.Add(1)
	}
	s.stage, s.score = underWay, s.lease.Upstream().Checker().Begin()
}

// failed settles an attempt that has failed. It returns the error if that is the
// client's, an answer that is meant for it, and nil if the next upstream may be
// asked. It may log.
func (s *search) failed(p *Proxy, err error) error {
	u := s.lease.Upstream()
	s.leave(err)
	if relayed, ok := errors.AsType[*relayedAnswer](err); ok && relayed.status < 500 {
		s.score.Done(nil)
		return err
	}
	s.score.Done(err)
	u.CountHandshakeFailure()
	p.logger.Debug("handshake failed", "upstream", u.Name(), "error", err)
	s.tried = s.tried.Add(u)
	return nil
}

// handedOver is what a loop has left of the attempt under way.
func (s *search) handedOver() (conn net.Conn, by time.Time, err error) {
	conn, by, err = s.conn, s.by, s.err
	s.conn, s.err = nil, nil
	return conn, by, err
}

// outcome is the error of a search in which nobody is left to be asked. It may log.
func (s *search) outcome(c *clientConn) error {
	if s.fault != nil {
		c.proxy.logger.Error("pick", "error", s.fault)
	}
	last := s.last
	if last == nil && s.full != nil {
		last = busy(s.full.turnAway())
	}
	var relayed *relayedAnswer
	var refusal *handshake.Refusal
	if errors.As(last, &relayed) || errors.As(last, &refusal) {
		return last
	}
	if c.ticket.bound() {
		return errGoneConnection
	}
	return &refusedByAll{last}
}
