package trial

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/latency"
)

func TestComings(t *testing.T) {
	c := comings{known: map[uint32]bool{1: true, 2: true}, lives: make(map[uint32]*lifetime)}
	const every = 250 * ms
	for i, inodes := range [][]uint32{{1, 2}, {1, 2, 10}, {1, 10, 11, 12}, {1, 11}, {1, 11}, {1}} {
		want := []int{0, 1, 3, 1, 1, 0}[i]
		if n := c.look(time.Duration(i)*every, inodes); n != want {
			t.Errorf("look %d: %d slow ones, want %d", i, n, want)
		}
	}
	got := SlowSample{Refused: 7}
	c.sumUp(&got, every)
	want := SlowSample{Alive: []int{0, 1, 3, 1, 1, 0}, Every: 0.25, Opened: 3, Refused: 7, Longest: 0.75}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := got.Arrived(); n != 7 {
		t.Errorf("%d arrived, want 7: most were gone before anybody looked", n)
	}
	c.look(6*every, []uint32{1, 99})
	if c.sumUp(&got, every); got.Left != 1 {
		t.Errorf("%d left, want 1", got.Left)
	}
}

// One bad second says nothing about the others.
func TestSlowSeconds(t *testing.T) {
	s := SlowSample{Latency: []latency.Summary{{P50: 10, P99: 90}, {P50: 12, P99: 5000}, {P50: 11, P99: 110}, {P50: 13, P99: 100}}}
	if s.sumUp(); s.P50 != 11.5 || s.P99 != 105 {
		t.Errorf("p50 %v, p99 %v", s.P50, s.P99)
	}
	var none SlowSample
	if none.sumUp(); none.P99 != 0 {
		t.Errorf("%v of no seconds", none.P99)
	}
}

func TestSlowRatio(t *testing.T) {
	round := func(quiet, attack float64) SlowRound {
		p99 := func(us float64) SlowSample { return SlowSample{P99: us} }
		return SlowRound{Alone: p99(quiet / 2), Ordinary: p99(quiet), Attack: p99(attack)}
	}
	for _, row := range []struct {
		rounds []SlowRound
		want   float64
	}{
		{nil, 0},
		{[]SlowRound{round(0, 5)}, 0},
		{[]SlowRound{round(100, 110)}, 1.1},
		{[]SlowRound{round(100, 200), round(100, 50), round(100, 0)}, 0},
		{[]SlowRound{round(100, 400), round(100, 100)}, 2},
		{[]SlowRound{round(100, 200), round(200, 100)}, 1},
	} {
		a := SlowAttack{Rounds: row.rounds}
		if a.sumUp(); math.Abs(a.Ratio-row.want) > 1e-9 || math.Abs(a.Alone-2*row.want) > 1e-9 {
			t.Errorf("%v and %v, want %v and twice that", a.Ratio, a.Alone, row.want)
		}
	}
}

func TestScarcityCount(t *testing.T) {
	h := history{
		opened(0, 0, "primary"),
		{Client: 1, Kind: crowd.Refused, Code: 503},
		{Client: 2, Kind: crowd.Refused, Code: 503, Reason: "3"},
		{Client: 3, Kind: crowd.Refused, Code: 502},
		{Client: 4, Kind: crowd.Failed, Reason: "connection reset by peer"},
	}
	var got Scarcity
	got.count(h)
	want := Scarcity{Accepted: 1, Refused: 2, Other: 2, First: `client 3 on "" refused after 0s:  (502)`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
