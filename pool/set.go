package pool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// ErrNoUpstream is returned by [Set.Pick] when nobody can take the session: none is available, all available ones have been tried,
// or the router wanted none.
var ErrNoUpstream = errors.New("no upstream available")

// Set is a fixed set of upstreams and the router that chooses among them. Make one with [NewSet]. All methods may be called
// concurrently.
type Set struct {
	router    Router
	upstreams []*Upstream
	scratch   sync.Pool // of *candidates: the list for the router, so that Pick does not allocate
}

// NewSet makes a set. There must be a router and at least one upstream, and no two may have the same name. The slice is copied, the
// upstreams are shared: one may be in many sets, and its limit holds over all of them.
func NewSet(router Router, upstreams []*Upstream) (*Set, error) {
	if router == nil {
		return nil, errors.New("upstream set: router is missing")
	}
	if len(upstreams) == 0 {
		return nil, errors.New("upstream set: no upstreams")
	}
	names := make(map[string]bool, len(upstreams))
	for i, u := range upstreams {
		if u == nil {
			return nil, fmt.Errorf("upstream set: upstream %d is nil", i)
		}
		if names[u.name] {
			return nil, fmt.Errorf("upstream set: name %q is given twice", u.name)
		}
		names[u.name] = true
	}
	s := &Set{router: router, upstreams: slices.Clone(upstreams)}
	s.scratch.New = func() any { return newCandidates(len(upstreams)) }
	return s, nil
}

// Upstreams returns all upstreams in the order given to [NewSet]. The slice is the caller's.
func (s *Set) Upstreams() []*Upstream { return slices.Clone(s.upstreams) }

// Pick leases an upstream for the session that r asks for, none of those in tried. The caller must release the lease exactly
// once. For the next attempt of the same handshake it adds the upstream to tried. The error is, or wraps, [ErrNoUpstream].
//
// Upstreams that come home after a recovery ([health.Checker.Share] is below 1) are left to the router only by their share: one that is
// held is not offered while somebody of a worse role can take the session and nobody of its own role or a better one can;
// one in its ramp is offered with a chance of its share. But a session that nobody else takes is offered to all of them.
func (s *Set) Pick(r Request, tried Tried) (Lease, error) {
	c := s.scratch.Get().(*candidates)
	defer s.scratch.Put(c)
	c.reset()
	for _, u := range s.upstreams {
		if u.Available() && !tried.Has(u) {
			c.add(u, u.checker.Share())
		}
	}
	if c.settled {
		return s.route(r, c.list)
	}
	offered := c.offered(rand.Float64())
	all := len(offered) == len(c.list)
	lease, err := s.route(r, offered)
	if err == ErrNoUpstream && !all { // when it is wrapped, the router is at fault
		return s.route(r, c.list)
	}
	return lease, err
}

// Take leases u, or what it has become in this set, past the router: for a client that belongs there. It must be available and not in
// tried; whether it comes home after a recovery does not count. Otherwise the error is [ErrNoUpstream].
func (s *Set) Take(u *Upstream, tried Tried) (Lease, error) {
	for _, v := range s.upstreams {
		if v.Same(u) && v.Available() && !tried.Has(v) && v.acquire() {
			return Lease{up: v}, nil
		}
	}
	return Lease{}, ErrNoUpstream
}

// route asks the router until it has a lease on its choice. It shortens list.
func (s *Set) route(r Request, list []*Upstream) (Lease, error) {
	for len(list) > 0 {
		u := s.router(r, list)
		if u == nil {
			return Lease{}, ErrNoUpstream
		}
		i := slices.Index(list, u)
		if i < 0 {
			return Lease{}, fmt.Errorf("%w: the router chose %q, which is not a candidate", ErrNoUpstream, u.name)
		}
		if u.acquire() {
			return Lease{up: u}, nil
		}
		list = slices.Delete(list, i, i+1) // another session took its last place
	}
	return Lease{}, ErrNoUpstream
}

// Lease is a place with an upstream, from [Set.Pick]. The zero value holds nothing.
type Lease struct{ up *Upstream }

// Upstream returns the upstream that the place is with, nil for the zero value.
func (l Lease) Upstream() *Upstream { return l.up }

// Release gives the place back. Call it exactly once over all copies of the lease, when the session has ended or the handshake
// has failed: a second call would give back somebody else's place. Releasing the zero value does nothing.
func (l Lease) Release() {
	if l.up != nil {
		l.up.held.Add(-1)
	}
}
