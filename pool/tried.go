package pool

// triedInline is how many upstreams a Tried holds without allocating; more than any sensible number of attempts.
const triedInline = 8

// Tried is the upstreams that one handshake has tried already. Its zero value is empty and ready. It is a value: a copy is independent. It
// allocates only beyond eight upstreams.
type Tried struct {
	n     int
	first [triedInline]*Upstream
	more  []*Upstream
}

// Add returns t with u in it, as append does for slices; t itself stays as it is.
func (t Tried) Add(u *Upstream) Tried {
	if t.n < triedInline {
		t.first[t.n] = u
	} else {
		t.more = append(t.more[:len(t.more):len(t.more)], u) // always a new array: copies must not share one
	}
	t.n++
	return t
}

// Len returns how many were put in.
func (t Tried) Len() int { return t.n }

// Has reports whether u is in. The receiver is a pointer only to spare Pick a copy for each upstream.
func (t *Tried) Has(u *Upstream) bool {
	for _, v := range t.first[:min(t.n, triedInline)] {
		if v == u {
			return true
		}
	}
	for _, v := range t.more {
		if v == u {
			return true
		}
	}
	return false
}
