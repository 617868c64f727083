package pool

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestOpenings checks into which range a time falls, and that an upstream goes on with those of the one that it replaces.
func TestOpenings(t *testing.T) {
	first := build(t, member{name: "a"})
	bounds := first.Openings().Bounds
	last := len(bounds)
	want := make([]uint64, last+1)
	var sum time.Duration
	count := func(u *Upstream, took time.Duration, at int) {
		u.CountSession(took)
		want[at]++
		sum += max(0, took)
	}
	second := build(t, member{name: "a", replaces: first})
	count(first, -1, 0) // a clock that goes back is none of the upstream's business
	count(first, 0, 0)
	count(second, bounds[0], 0)
	count(second, bounds[0]+1, 1)
	count(first, bounds[last-1], last-1)
	count(first, bounds[last-1]+1, last)
	count(first, time.Hour, last)
	for _, u := range []*Upstream{first, second} {
		if diff := cmp.Diff(Openings{Bounds: bounds, Counts: want, Sum: sum}, u.Openings()); diff != "" {
			t.Errorf("openings (-want +got):\n%s", diff)
		}
		if n := u.Totals().Sessions; n != 7 {
			t.Errorf("%d sessions", n)
		}
	}
	first.Openings().Bounds[0] = time.Hour
	if got := first.Openings().Bounds[0]; got != time.Millisecond {
		t.Errorf("the bounds have changed: %v", got)
	}
}
