package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pointsman/pointsman/internal/config"
)

// at returns moments after a fixed one.
func at(after ...time.Duration) []time.Time {
	var moments []time.Time
	for _, d := range after {
		moments = append(moments, time.Unix(1000, 0).Add(d))
	}
	return moments
}

func TestMostWithin(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		moments []time.Time
		within  time.Duration
		want    int
	}{
		{nil, time.Second, 0},
		{at(0), time.Second, 1},
		{at(0, 999*ms), time.Second, 2},
		{at(0, 1000*ms), time.Second, 1},
		{at(0, 500*ms, 1000*ms, 1200*ms, 1499*ms, 3000*ms), time.Second, 4},
		{at(1499*ms, 0, 3000*ms, 1200*ms, 500*ms, 1000*ms), time.Second, 4},
		{at(0, 0, 0, time.Second), time.Second, 3},
		{at(0, 0, 0), 0, 0},
		{at(0, 0, 0), -time.Second, 0},
	} {
		if got := mostWithin(tt.moments, tt.within); got != tt.want {
			t.Errorf("mostWithin(%v, %v) = %d, want %d", tt.moments, tt.within, got, tt.want)
		}
	}
}

func TestMostWithinIsTheMostOfAllWindows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moments := at(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.IntRange(0, 50).Draw(t, "moment"))
		}), 0, 30).Draw(t, "moments")...)
		within := time.Duration(rapid.IntRange(1, 60).Draw(t, "within"))
		want := 0
		for _, first := range moments {
			n := 0
			for _, m := range moments {
				if !m.Before(first) && m.Before(first.Add(within)) {
					n++
				}
			}
			want = max(want, n)
		}
		before := slices.Clone(moments)
		if got := mostWithin(moments, within); got != want {
			t.Fatalf("mostWithin = %d, want %d", got, want)
		}
		if !slices.Equal(before, moments) {
			t.Fatal("the moments were put in another order")
		}
	})
}

func TestRateIsJudgedByWhatClientsSee(t *testing.T) {
	// spaced are moments that are that far apart, for so long.
	spaced := func(gap, lasting time.Duration) []time.Time {
		var after []time.Duration
		for d := time.Duration(0); d < lasting; d += gap {
			after = append(after, d)
		}
		return at(after...)
	}
	// late is moments with those in one part seen at its end.
	late := func(moments []time.Time, from, to time.Duration) []time.Time {
		begin, end := at(from)[0], at(to)[0]
		for i, m := range moments {
			if m.After(begin) && m.Before(end) {
				moments[i] = end
			}
		}
		return moments
	}
	for name, tt := range map[string]struct {
		asked   []time.Time
		slowest time.Duration // echo
		most    int
		tooMany bool
	}{
		"nobody":             {nil, 0, 0, false},
		"at the rate":        {spaced(50*time.Millisecond, 5*time.Second), 0, 20, false},
		"10 % above it":      {spaced(45*time.Millisecond, 5*time.Second), 0, 23, true},
		"twice the rate":     {spaced(25*time.Millisecond, 5*time.Second), 200 * time.Millisecond, 40, true},
		"all at once":        {spaced(time.Microsecond, 100*time.Microsecond), 400 * time.Millisecond, 100, true},
		"few at once":        {spaced(time.Microsecond, 20*time.Microsecond), 0, 20, false},
		"seen late":          {late(spaced(50*time.Millisecond, 5*time.Second), time.Second, 1300*time.Millisecond), 300 * time.Millisecond, 25, false},
		"late without cause": {late(spaced(50*time.Millisecond, 5*time.Second), time.Second, 1300*time.Millisecond), 10 * time.Millisecond, 25, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := demoMoves{asked: tt.asked, slowest: tt.slowest}
			r, problems := m.report(demoFailback{hold: time.Second, rate: 20})
			if r.Most != tt.most {
				t.Errorf("%d in one second, want %d", r.Most, tt.most)
			}
			if tooMany := len(problems) > 0; tooMany != tt.tooMany {
				t.Errorf("problems %q, want one: %v", problems, tt.tooMany)
			}
			// What is above the rate and no fault is explained.
			if explained := strings.Contains(r.most(), "echoes took"); explained != (tt.most > 20) {
				t.Errorf("the report says %q", r.most())
			}
		})
	}
}

func TestEndsBeforeTheRestartAreNoMoves(t *testing.T) {
	tally := newDemoTally(1, newDemoFailback(1))
	moved := websocket.CloseError{Code: 1012, Reason: demoMoveReason}
	tally.echo(visitor, demoPrimary, time.Hour)
	tally.cut(newDemoCut(moved, time.Now(), false))
	before := time.Now()
	tally.revived()
	tally.cut(newDemoCut(io.EOF, before.Add(-time.Second), false)) // seen before, booked after
	tally.echo(visitor, demoSecondary, time.Hour)
	tally.cut(newDemoCut(fmt.Errorf("read: %w", moved), time.Now(), true))
	tally.echo(visitor, demoPrimary, time.Second)
	tally.echo(visitor, demoPrimary, time.Millisecond)
	tally.begin(phaseFailback)
	r := tally.report(nil)
	want := demoDrainReport{
		HoldMS: 3000, Rate: demoLeastRate, Most: 1, SlowestEchoMS: 1000, Moved: 1, Cuts: map[string]int64{"1012": 1},
	}
	if diff := cmp.Diff(want, r.Drain); diff != "" || !r.Passed {
		t.Errorf("passed %v, drain (-want +got):\n%s", r.Passed, diff)
	}
}

func TestDrainRateFitsTheClients(t *testing.T) {
	for clients, want := range map[int]int{1: 10, 50: 10, 51: 11, 300: 60, 2000: 400} {
		if got := newDemoFailback(clients).rate; got != want {
			t.Errorf("%d clients: rate %d, want %d", clients, got, want)
		}
	}
}

// What the demo says to its router is what the router understands.
func TestRouterUnderstandsTheDemosSettings(t *testing.T) {
	f := demoFailback{hold: 1500 * time.Millisecond, rate: 70}
	environ := append(withoutSettings([]string{"HOME=/", "POINTSMAN_FAILBACK_DRAIN_ENABLED=false", "POINTSMAN_HEALTH_INTERVAL=1h"}), f.environ()...)
	if environ[0] != "HOME=/" {
		t.Errorf("environment %q lacks what is not ours", environ)
	}
	c, err := config.FromFlags(config.Flags{
		Listen: "127.0.0.1:0", Admin: "127.0.0.1:0", Primary: []string{"ws://127.0.0.1:1"}, Secondary: []string{"ws://127.0.0.1:2"},
	}, environ)
	if err != nil {
		t.Fatal(err)
	}
	drain := c.Failback.Drain
	if c.Failback.Hold != f.hold || drain.Rate != f.rate || !drain.Enabled || drain.CloseCode != 1012 || drain.Reason != demoMoveReason {
		t.Errorf("failback %+v", c.Failback)
	}
	if c.Health.Interval == time.Hour {
		t.Error("a variable of the person who watches got through")
	}
}

func TestLineTellsTheWayHomeAndFitsATerminal(t *testing.T) {
	tally := newDemoTally(1, newDemoFailback(1))
	tally.begin(phaseDrain)
	tally.open[demoPrimary], tally.open[demoSecondary] = 1500, 1500
	tally.revived()
	tally.toMove(3000)
	tally.toMove(0) // the router did not say
	for range 1500 {
		tally.cut(newDemoCut(websocket.CloseError{Code: 1012, Reason: demoMoveReason}, time.Now(), false))
	}
	line := tally.line()
	if !strings.Contains(line, "moved 1500 of 3000") {
		t.Errorf("line %q does not say how many have moved", line)
	}
	if n := len("100.0s  " + line); n > 80 {
		t.Errorf("line has %d columns: %q", n, line)
	}
}
