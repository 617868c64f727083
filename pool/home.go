package pool

import "slices"

// home reports whether u takes sessions without reserve.
func (u *Upstream) home() bool {
	// Health is read again last, because going down sets the share back to 1.
	return u.Available() && u.checker.Share() == 1 && u.Healthy()
}

// roleOf is the role of from in this set, or if it is not in it any more the one that it had.
func (s *Set) roleOf(from *Upstream) Role {
	for _, u := range s.upstreams {
		if u.Same(from) {
			return u.role
		}
	}
	return from.role
}

// Contains reports whether u is in the set, itself or one that has replaced it or that it has replaced.
func (s *Set) Contains(u *Upstream) bool { return slices.ContainsFunc(s.upstreams, u.Same) }

// HasBetter reports whether the set has an upstream of a better role than from, whatever its health. The role of from is the one
// that it, or what it has become, has in this set; if it is not in it, the one that it had.
func (s *Set) HasBetter(from *Upstream) bool {
	role := s.roleOf(from)
	for _, u := range s.upstreams {
		if u.role < role {
			return true
		}
	}
	return false
}

// Home reports whether a session on from would find a better home now: some upstream of a better role is available, and has its full
// share again. As for the role of from, see [Set.HasBetter].
func (s *Set) Home(from *Upstream) bool {
	role := s.roleOf(from)
	for _, u := range s.upstreams {
		if u.role < role && u.home() {
			return true
		}
	}
	return false
}

// Elsewhere reports whether a session on from would find another place now: some upstream other than from is available.
func (s *Set) Elsewhere(from *Upstream) bool {
	for _, u := range s.upstreams {
		if !u.Same(from) && u.Available() {
			return true
		}
	}
	return false
}
