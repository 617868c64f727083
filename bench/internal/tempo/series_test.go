package tempo

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

func TestWorst(t *testing.T) {
	f := func(name string, want int, begin time.Duration, moments ...time.Duration) {
		t.Helper()
		if n, at := New(moments).Worst(time.Second); n != want || at != begin {
			t.Errorf("%s: %d from %v, want %d from %v", name, n, at, want, begin)
		}
	}
	f("nothing", 0, 0)
	f("one", 1, 5*ms, 5*ms)
	f("a second apart", 1, 0, 0, 1000*ms, 2000*ms)
	f("just under a second apart", 2, 1, 1, 1000*ms)
	f("across two calendar seconds", 4, 900*ms, 0, 900*ms, 950*ms, 1500*ms, 1899*ms, 1900*ms)
	f("unordered", 3, 10*ms, 500*ms, 10*ms, 3000*ms, 400*ms)
	f("all at once", 3, 7*ms, 7*ms, 7*ms, 7*ms)
}

// The worst window is at least as bad as any that one can name, and as bad as one of them.
func TestWorstBySearch(t *testing.T) {
	for range 200 {
		var moments []time.Duration
		for range rand.IntN(40) {
			moments = append(moments, time.Duration(rand.IntN(5000))*ms)
		}
		want := 0
		for _, from := range moments {
			n := 0
			for _, at := range moments {
				if at >= from && at < from+time.Second {
					n++
				}
			}
			want = max(want, n)
		}
		if got, _ := New(moments).Worst(time.Second); got != want {
			t.Fatalf("%d, want %d of %v", got, want, moments)
		}
	}
}

func TestPerSecond(t *testing.T) {
	zero := time.Date(2024, 5, 6, 7, 8, 9, int(700*ms), time.UTC)
	s := New([]time.Duration{2600 * ms, 0, 299 * ms, 300 * ms, 301 * ms})
	if diff := cmp.Diff([]int{2, 2, 0, 1}, s.PerSecond(zero)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := (Series)(nil).PerSecond(zero); got != nil {
		t.Errorf("nothing: %v", got)
	}
}

func TestSpanAndReached(t *testing.T) {
	s := New([]time.Duration{40 * ms, 10 * ms, 30 * ms, 20 * ms})
	if got := s.Span(); got != 30*ms {
		t.Errorf("span %v", got)
	}
	if got := (Series)(nil).Span(); got != 0 {
		t.Errorf("span of nothing %v", got)
	}
	for _, row := range []struct {
		share float64
		total int
		want  time.Duration
		ok    bool
	}{
		{0.5, 4, 20 * ms, true},
		{0.51, 4, 30 * ms, true},
		{1, 4, 40 * ms, true},
		{0.8, 5, 40 * ms, true},
		{1, 5, 0, false},
		{0, 4, 10 * ms, true},
	} {
		if got, ok := s.Reached(row.share, row.total); got != row.want || ok != row.ok {
			t.Errorf("%v of %d: %v %v, want %v %v", row.share, row.total, got, ok, row.want, row.ok)
		}
	}
	if _, ok := (Series)(nil).Reached(0, 0); ok {
		t.Error("nothing has reached its end")
	}
}

func TestLastPart(t *testing.T) {
	f := func(name string, order string, part float64, within, all int, median float64) {
		t.Helper()
		var marked []bool
		for _, c := range order {
			marked = append(marked, c == 'x')
		}
		w, a, m := LastPart(marked, part)
		if w != within || a != all || math.Abs(m-median) > 1e-9 {
			t.Errorf("%s: %d of %d, median %v; want %d of %d, median %v", name, w, a, m, within, all, median)
		}
	}
	f("at the end", "........xx", 0.2, 2, 2, 0.9)
	f("one too early", ".......x.x", 0.2, 1, 2, 0.85)
	f("at the front", "xx........", 0.2, 0, 2, 0.1)
	f("all", "xxxxxxxxxx", 0.1, 1, 10, 0.5)
	f("none", "..........", 0.1, 0, 0, 0)
	f("nothing", "", 0.1, 0, 0, 0)
}
