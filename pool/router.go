package pool

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
)

// Request is what a [Router] may look at to choose.
type Request struct {
	Host   string     // of the client's handshake, with the port if it was given
	Path   string     // as sent, before the question mark
	Query  string     // as sent, after the question mark; it may hold secrets: do not log it
	Client netip.Addr // the client's address; invalid when not known
	// Affinity is what [Hash] goes by: the address, a header field, a query parameter or the user, as the caller decides. It may be a
	// secret: do not log it. Empty means that there is none.
	Affinity string
}

// Router picks one of candidates for a new session, or none with nil. There is at least one candidate, and all are
// available and not yet tried for this handshake; they are in the set's order. A Router must not keep or change the slice, and must
// not block; it is called concurrently. When its choice has just lost its last free place to another session, it is asked again
// without that candidate. When nothing has come of a list from which upstreams were left out because they come home after a
// recovery, it is asked again with them.
type Router func(r Request, candidates []*Upstream) *Upstream

// ParseRouter returns the built-in router called name: "priority" or its other name "weighted", "least-sessions" or "hash". The error
// names the value and what is allowed.
func ParseRouter(name string) (Router, error) {
	switch name {
	case "priority", "weighted":
		return Priority, nil
	case "least-sessions":
		return LeastSessions, nil
	case "hash":
		return Hash, nil
	default:
		return nil, fmt.Errorf("router %q is not one of priority, weighted, least-sessions, hash", name)
	}
}

// Priority is the default [Router]: a random primary, or a random secondary when no primary is among the candidates. Each is drawn with
// a chance in proportion to its free capacity: its weight, times the free share of its MaxSessions if it has a limit.
func Priority(_ Request, candidates []*Upstream) *Upstream {
	best := bestRole(candidates)
	var chosen *Upstream
	total := 0.0
	for _, u := range candidates {
		if u.role != best {
			continue
		}
		// Drawing as we go needs no second pass, over counts that have changed since the first: after each step, chosen
		// is every upstream seen so far with a chance in proportion to its share of total.
		free := freeCapacity(u)
		total += free
		if chosen == nil || rand.Float64()*total < free {
			chosen = u
		}
	}
	return chosen
}

// LeastSessions is the [Router] that evens out: among the primaries, or among the secondaries when no primary is among the
// candidates, the one with the fewest sessions per weight. Ties are broken at random, weights not regarded.
func LeastSessions(_ Request, candidates []*Upstream) *Upstream {
	best := bestRole(candidates)
	var chosen *Upstream
	least, ties := 0.0, 0
	for _, u := range candidates {
		if u.role != best {
			continue
		}
		load := float64(u.held.Load()) / float64(u.weight)
		switch {
		case chosen == nil || load < least:
			chosen, least, ties = u, load, 1
		case load == least:
			if ties++; rand.IntN(ties) == 0 {
				chosen = u
			}
		}
	}
	return chosen
}

// bestRole returns the best role among candidates.
func bestRole(candidates []*Upstream) Role {
	best := Secondary
	for _, u := range candidates {
		best = min(best, u.role)
	}
	return best
}

// freeCapacity is the weight, scaled down by what is taken of a limit.
func freeCapacity(u *Upstream) float64 {
	w := float64(u.weight)
	if u.max == 0 {
		return w
	}
	return w * float64(max(u.max-u.held.Load(), 0)) / float64(u.max)
}
