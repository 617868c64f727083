package trial

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/latency"
)

const ms = time.Millisecond

var (
	zero  = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	about = cmpopts.EquateApprox(0.002, 0.001)
)

func opened(client int, at time.Duration, where string) crowd.Event {
	return crowd.Event{At: at, Client: client, Kind: crowd.Opened, Where: where, Took: ms}
}

func closed(client int, at time.Duration, where string, code int, reason string) crowd.Event {
	return crowd.Event{At: at, Client: client, Kind: crowd.Closed, Where: where, Code: code, Reason: reason}
}

func TestHomecoming(t *testing.T) {
	var h history
	const n = 20 // every tenth client is active
	for i := range n {
		h = append(h, opened(i, time.Duration(i), "secondary"))
	}
	for place, i := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 9, 17, 18, 19} { // 9 goes too early
		at := 10*time.Second + time.Duration(place)*100*ms
		e := closed(i, at, "secondary", 1012, "moved to primary")
		e.Pending = place == 3
		h = append(h, e)
		if i != 5 {
			h = append(h, opened(i, at+2*ms, "primary"))
		}
	}
	h = append(h, opened(5, 13*time.Second, "secondary"), closed(0, 14*time.Second, "primary", 1012, "upstream lost"))
	r := Homecoming{Sessions: n, Active: 2, Rate: 10}
	r.sumUp(h, zero, 8*time.Second)
	want := Homecoming{
		Sessions: n, Active: 2, Rate: 10, Waited: 2000,
		Pace: Pace{Closes: n, PerSecond: []int{10, 10}, Worst: 10, Seconds: 1.9},
		Home: n - 1, Astray: 1, ActiveLate: 1, ActiveMedian: 0.9, Pending: 1,
		Away: latency.Summary{Mean: 126900, P50: 2000, P90: 2000, P99: 2500000, P999: 2500000, Max: 2500000},
	}
	if diff := cmp.Diff(want, r, cmpopts.EquateApprox(0.01, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRelapse(t *testing.T) {
	const moved, lost = "moved to primary", "upstream lost"
	h := history{
		opened(0, 0, "secondary"), opened(1, 0, "secondary"), opened(2, 0, "secondary"), opened(3, 0, "secondary"),
		closed(0, 1000*ms, "secondary", 1012, moved), opened(0, 1001*ms, "primary"),
		closed(1, 1500*ms, "secondary", 1012, moved), opened(1, 1501*ms, "primary"),
		// killed at 2 s
		closed(0, 2001*ms, "primary", 1012, lost), opened(0, 2002*ms, "secondary"),
		closed(1, 2001*ms, "primary", 1012, lost), opened(1, 2002*ms, "secondary"),
		closed(2, 2030*ms, "secondary", 1012, moved), opened(2, 2031*ms, "secondary"),
		closed(0, 2040*ms, "secondary", 1012, moved), opened(0, 2041*ms, "secondary"), // twice on one way
		// back at 5 s
		closed(3, 6000*ms, "secondary", 1012, moved), opened(3, 6001*ms, "primary"),
		closed(2, 6200*ms, "secondary", 1012, moved), opened(2, 6201*ms, "primary"),
		closed(1, 6900*ms, "secondary", 1012, moved), opened(1, 6901*ms, "primary"),
	}
	r := Relapse{Sessions: 4, Rate: 2, Timeout: 1000}
	r.sumUp(h, zero, 2000*ms, 5000*ms)
	want := Relapse{
		Sessions: 4, Rate: 2, Timeout: 1000, Home: 2, Late: 2, LastClose: 40, Ends: map[string]int{"1012 upstream lost": 2},
		Twice: 1, Return: Pace{Closes: 3, PerSecond: []int{3}, Worst: 3, Seconds: 0.9}, InTheEnd: 3, Worst: 3,
	}
	if diff := cmp.Diff(want, r, about); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFlap(t *testing.T) {
	h := history{
		opened(0, 0, "primary"), opened(1, 0, "primary"),
		{At: 1, Client: 0, Kind: crowd.Lost, Where: "primary", Reason: "gone", Partial: true},
		{At: 2, Client: 0, Kind: crowd.Refused, Code: 503},
		opened(0, 3, "secondary"), closed(0, 4, "secondary", 1012, "moved to primary"), opened(0, 5, "primary"),
		{At: 6, Client: 1, Kind: crowd.Stalled}, {At: 7, Client: 1, Kind: crowd.Broken},
	}
	r := Flap{Sessions: 2}
	r.sumUp(h)
	want := Flap{Sessions: 2, Moves: 2, MostMoves: 2, DrainCloses: 1, Refused: 1, Damage: Damage{
		Lost: 1, Partial: 1, Broken: 1, Stalled: 1, First: `client 0 on "primary" lost after 0s: gone`,
	}}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := r.Damage.Total(); n != 3 {
		t.Errorf("%d damaged, want 3", n)
	}
}

func TestReload(t *testing.T) {
	const gone = time.Second
	settled := history{opened(0, 0, "one"), opened(1, 0, "two")}
	added := history{
		opened(0, 0, "three"), opened(1, 0, "one"), opened(2, 0, "three"), opened(3, 0, "three"),
		closed(0, gone+ms, "three", 1012, "upstream removed"), opened(0, gone+2*ms, "two"),
		closed(2, gone+3*ms, "three", 1012, "upstream removed"), opened(2, gone+4*ms, "three"), // back where it was
		closed(3, gone+5*ms, "three", 1012, "upstream lost"), opened(3, gone+6*ms, "two"),
	}
	r := Reload{Sessions: 2, OnAdded: 3}
	r.sumUp(settled, added, zero, gone)
	want := Reload{Sessions: 2, OnAdded: 3, Closed: 2, Returned: 1, Removal: Pace{Closes: 2, PerSecond: []int{2}, Worst: 2, Seconds: 0.002}}
	if diff := cmp.Diff(want, r, about); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	settled = append(settled, closed(1, 2*gone, "two", 1012, "upstream removed"))
	r = Reload{}
	r.sumUp(settled, append(added, closed(1, 2*gone, "one", 1000, "")), zero, gone)
	if r.Ended != 2 || r.FirstEnd != `client 1 on "two" closed after 2s: upstream removed (1012)` {
		t.Errorf("%d ended, first: %s", r.Ended, r.FirstEnd)
	}
}

func TestShutdown(t *testing.T) {
	h := history{
		opened(0, 0, "primary"), opened(1, 0, "primary"), opened(2, 0, "primary"),
		closed(0, 1100*ms, "primary", 1001, "shutting down"),
		closed(1, 1300*ms, "primary", 1001, "shutting down"),
		closed(2, 1400*ms, "primary", 1012, "moved to primary"),
	}
	r := Shutdown{Sessions: 3}
	r.sumUp(h, zero, 1000*ms)
	want := Shutdown{Sessions: 3, Pace: Pace{Closes: 2, PerSecond: []int{2}, Worst: 2, Seconds: 0.2}, Other: 1, First: 100}
	if diff := cmp.Diff(want, r, about); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStorm(t *testing.T) {
	const killed = 10 * time.Second
	refused := func(client int, at time.Duration, code int, again string) crowd.Event {
		return crowd.Event{At: at, Client: client, Kind: crowd.Refused, Code: code, Reason: again}
	}
	h := history{opened(0, 0, "primary"), opened(1, 0, "primary"), opened(2, 0, "primary")}
	slow := opened(0, killed+200*ms, "secondary")
	slow.Took = 100 * ms
	h = append(h, slow, opened(1, killed+300*ms, "secondary"),
		refused(2, killed+400*ms, 503, "1"), refused(2, killed+1400*ms, 503, ""), refused(2, killed+1500*ms, 502, "1"),
		crowd.Event{At: killed + 1600*ms, Client: 2, Kind: crowd.Failed},
		opened(2, killed+3500*ms, "secondary"))
	r := Storm{Sessions: 3, Limit: 1}
	r.sumUp(h, killed)
	want := Storm{
		Sessions: 3, Limit: 1, Most: 3.5, All: 3.5, Refused: 2, Told: 1, MostRefusals: 2, Other: 2,
		Seconds: []StormSecond{{Accepted: 2, Refused: 1, P50: 1, P99: 100}, {Refused: 2}, {}, {Accepted: 1, P50: 1, P99: 1}},
	}
	if diff := cmp.Diff(want, r, about); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	r = Storm{Sessions: 4}
	if r.sumUp(h, killed); r.All >= 0 {
		t.Errorf("all are back after %v, but one is not", r.All)
	}
}

func TestBesideRatio(t *testing.T) {
	round := func(elsewhere, drain float64) BesideRound {
		p99 := func(us float64) BesideSample { return BesideSample{Latency: latency.Summary{P99: us}} }
		return BesideRound{Quiet: p99(elsewhere / 2), Elsewhere: p99(elsewhere), Drain: p99(drain)}
	}
	for _, row := range []struct {
		rounds []BesideRound
		want   float64
	}{
		{nil, 0},
		{[]BesideRound{round(0, 5)}, 0},
		{[]BesideRound{round(100, 110)}, 1.1},
		{[]BesideRound{round(100, 200), round(100, 100), round(1000, 1500)}, 1.5},
		{[]BesideRound{round(100, 200), round(100, 100)}, 1.5},
	} {
		r := Beside{Rounds: row.rounds}
		if r.sumUp(); r.Ratio != row.want || r.Beside != 2*row.want {
			t.Errorf("%v and %v, want %v and twice that", r.Ratio, r.Beside, row.want)
		}
	}
}
