package pool

// candidates is the list of one pick. Its slices are reused, so that a pick does not allocate.
type candidates struct {
	list    []*Upstream // all who could take the session, in the set's order
	shares  []float64   // of each: as it was when it came in, because it changes with time
	settled bool        // every share is 1

	few []*Upstream // what offered returns
}

func newCandidates(most int) *candidates {
	return &candidates{
		list:   make([]*Upstream, 0, most),
		shares: make([]float64, 0, most),
		few:    make([]*Upstream, 0, most),
	}
}

func (c *candidates) reset() {
	c.list, c.shares, c.settled = c.list[:0], c.shares[:0], true
}

func (c *candidates) add(u *Upstream, share float64) {
	c.list = append(c.list, u)
	c.shares = append(c.shares, share)
	c.settled = c.settled && share == 1
}

// offered is the part of the list that the router may choose from. Those in their ramp are in when draw, from 0 to 1, is below their
// share; it is one draw for all, so that several which recover together do not get more than one of them would. Those held are
// in unless the best of the others that are in is of a worse role. When nobody is in who is not held, all are.
func (c *candidates) offered(draw float64) []*Upstream {
	best, settled := Secondary, false
	for i, u := range c.list {
		if share := c.shares[i]; share > draw {
			best, settled = min(best, u.role), true
		}
	}
	if !settled {
		return append(c.few[:0], c.list...)
	}
	c.few = c.few[:0]
	for i, u := range c.list {
		if share := c.shares[i]; share > draw || share == 0 && u.role >= best {
			c.few = append(c.few, u)
		}
	}
	return c.few
}
