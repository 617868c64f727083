package pool

import (
	"slices"
	"sync/atomic"
	"time"
)

// openingBounds are the ranges of [Openings]: from an upstream on the same machine to one that answers at the last moment.
var openingBounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second,
}

// Openings is how long clients have waited for the sessions of an upstream, counted in ranges: from the beginning of the search for an
// upstream, with all that have been asked in vain, to the 101.
type Openings struct {
	// Bounds are the upper ends of the ranges, rising; what equals one belongs below it. They are the same for all upstreams.
	Bounds []time.Duration
	// Counts are the numbers of sessions, one for each of the Bounds, and one more for those that took longer.
	Counts []uint64
	// Sum is the time of all of them together.
	Sum time.Duration
}

// openings counts them. Its zero value has counted none.
type openings struct {
	counts [len(openingBounds) + 1]atomic.Uint64
	sum    atomic.Int64 // ns
}

func (o *openings) add(took time.Duration) {
	took = max(0, took)
	i, _ := slices.BinarySearch(openingBounds[:], took)
	o.counts[i].Add(1)
	o.sum.Add(int64(took))
}

func (o *openings) read() Openings {
	all := Openings{Bounds: slices.Clone(openingBounds[:]), Counts: make([]uint64, len(o.counts)), Sum: time.Duration(o.sum.Load())}
	for i := range o.counts {
		all.Counts[i] = o.counts[i].Load()
	}
	return all
}
