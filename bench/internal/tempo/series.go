package tempo

import (
	"math"
	"slices"
	"time"
)

// Series is moments in ascending order, measured from a common beginning. Make it with New.
type Series []time.Duration

// New returns the moments in order. It keeps none of its argument.
func New(moments []time.Duration) Series { return slices.Sorted(slices.Values(moments)) }

// Span is the time from the first moment to the last; zero if there are fewer than two.
func (s Series) Span() time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1] - s[0]
}

// Worst returns how many moments lie in the fullest window of that width, wherever it begins, and the first such window's
// beginning.
func (s Series) Worst(width time.Duration) (most int, begin time.Duration) {
	first := 0
	for last, at := range s {
		for at-s[first] >= width {
			first++
		}
		if n := last - first + 1; n > most {
			most, begin = n, s[first]
		}
	}
	return most, begin
}

// PerSecond counts the moments in each second, from that of the first moment to that of the last, empty ones included.
// zero is the time of day from which the moments are measured: seconds begin where those of the clock do.
func (s Series) PerSecond(zero time.Time) []int {
	if len(s) == 0 {
		return nil
	}
	second := func(at time.Duration) int64 { return zero.Add(at).Unix() }
	from := second(s[0])
	counts := make([]int, second(s[len(s)-1])-from+1)
	for _, at := range s {
		counts[second(at)-from]++
	}
	return counts
}

// Reached is when the share (0 to 1) of total moments had come, the last of them included; it is not ok if that many never
// came.
func (s Series) Reached(share float64, total int) (time.Duration, bool) {
	n := max(int(math.Ceil(share*float64(total)-1e-9)), 1) // 0.07 * 100 is a little more than 7
	if n > len(s) {
		return 0, false
	}
	return s[n-1], true
}

// LastPart is how many of the marked ones lie in the last part (0 to 1) of an order, how many there are in all, and their median
// place as a share of the order: near 0 for those at its front, near 1 for those at its end.
func LastPart(marked []bool, part float64) (within, all int, median float64) {
	from := len(marked) - int(part*float64(len(marked))+0.5)
	var places []int
	for i, m := range marked {
		if !m {
			continue
		}
		places = append(places, i)
		if i >= from {
			within++
		}
	}
	if len(places) == 0 {
		return 0, 0, 0
	}
	middle := float64(places[(len(places)-1)/2]+places[len(places)/2]) / 2
	return within, len(places), (middle + 0.5) / float64(len(marked))
}
