package pool

import "math"

// Hash is the [Router] that keeps a client where it is: whoever comes with the same [Request.Affinity] gets the same upstream while
// that is a candidate, from every router that has the same upstreams. Primaries come before secondaries. When an upstream goes, only
// its own clients move, spread over the others, and when it is back they return. Each gets clients in proportion to its weight
// (rendezvous hashing: every upstream draws a lot for the client, and the highest wins). Without an affinity it is [Priority].
func Hash(r Request, candidates []*Upstream) *Upstream {
	if r.Affinity == "" {
		return Priority(r, candidates)
	}
	best := bestRole(candidates)
	var chosen *Upstream
	highest := math.Inf(-1)
	for _, u := range candidates {
		if u.role != best {
			continue
		}
		// With a lot between 0 and 1 to the power of 1/weight the chance to win is in proportion to the weight.
		if score := math.Log(lot(u.name, r.Affinity)) / float64(u.weight); chosen == nil || score > highest {
			chosen, highest = u, score
		}
	}
	return chosen
}

// lot draws a number above 0 and below 1, always the same for the same two.
func lot(name, affinity string) float64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * prime
	}
	h = (h ^ 0xff) * prime // in no name
	for i := range len(affinity) {
		h = (h ^ uint64(affinity[i])) * prime
	}
	// FNV leaves the upper bits alike for inputs that are: mix them (the finalizer of SplitMix64).
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	h ^= h >> 31
	return (float64(h>>11) + 0.5) / (1 << 53)
}
