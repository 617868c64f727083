package pool

// Return leases u, or what it has become in this set, for a client that is there already: for one more request of a connection that
// it has taken before. That it is full, disabled or held back does not count, for these are about new clients; it must be healthy
// and not in tried. Otherwise the error is [ErrNoUpstream].
func (s *Set) Return(u *Upstream, tried Tried) (Lease, error) {
	for _, v := range s.upstreams {
		if v.Same(u) && v.Healthy() && !tried.Has(v) {
			v.held.Add(1)
			return Lease{up: v}, nil
		}
	}
	return Lease{}, ErrNoUpstream
}
