package report

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/bench/internal/latency"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

// judged checks which verdicts fail when a result that is good in everything is changed.
func judged[T any](t *testing.T, good T, judge func(T) []Verdict, rows map[string]struct {
	change func(*T)
	fails  string // the part of a claim that only the failing one has; "" = none fails
}) {
	t.Helper()
	for name, row := range rows {
		r := good
		row.change(&r)
		var failed []string
		for _, v := range judge(r) {
			if v.Judged && !v.Holds {
				failed = append(failed, v.Claim)
			}
		}
		switch {
		case row.fails == "" && len(failed) > 0, row.fails != "" && len(failed) != 1:
			t.Errorf("%s: failed: %q", name, failed)
		case row.fails != "" && !strings.Contains(failed[0], row.fails):
			t.Errorf("%s: %q failed, want the one with %q", name, failed[0], row.fails)
		}
	}
}

type rowsOf[T any] = map[string]struct {
	change func(*T)
	fails  string
}

var (
	homecoming = trial.Homecoming{
		Sessions: 100, Active: 5, Rate: 10, Pace: trial.Pace{Closes: 100, Worst: 10, Seconds: 11, PerSecond: []int{9, 10, 81}},
		Home: 100, ActiveLate: 5,
	}
	relapse = trial.Relapse{
		Sessions: 100, Rate: 10, Home: 40, Late: 2, LastClose: 1200, Timeout: 1000, Ends: map[string]int{"1012 upstream lost": 40},
		Return: trial.Pace{Closes: 100}, InTheEnd: 100, Worst: 10,
	}
	beside = trial.Beside{Sessions: 100, Size: 125, Drained: 300, Rate: 10, Ratio: 1.1, Rounds: []trial.BesideRound{{
		Quiet:     trial.BesideSample{Latency: latency.Summary{P99: 100}, Seconds: 2},
		Elsewhere: trial.BesideSample{Latency: latency.Summary{P99: 100}, Seconds: 2, Closes: 16},
		Drain:     trial.BesideSample{Latency: latency.Summary{P99: 110}, Seconds: 2, Closes: 16},
	}}}
	flap     = trial.Flap{Sessions: 10, Hold: 10_000, Kills: 5, Trips: 5, Moves: 10, MostMoves: 1, Unheld: &trial.Flap{DrainCloses: 77}}
	reload   = trial.Reload{Sessions: 10, Added: 5, Reloads: 20, Rate: 5, Refusal: "no such key\nhere", Unmoved: true, OnAdded: 4, Closed: 4, Returned: 4, Removal: trial.Pace{Worst: 4}}
	shutdown = trial.Shutdown{Sessions: 10, Rate: 2, Announced: 4, Deadline: 5, Pace: trial.Pace{Closes: 10, Worst: 4}, Gone: 4.9}
	storm    = trial.Storm{Sessions: 1000, Limit: 100, Most: 11, All: 15, Refused: 900, Told: 900, Seconds: []trial.StormSecond{
		{Accepted: 100, P99: 1100}, {Accepted: 100, P99: 300}, {Accepted: 2, P99: 5000},
	}}
)

func TestJudgeDrain(t *testing.T) {
	judged(t, homecoming, JudgeHomecoming, rowsOf[trial.Homecoming]{
		"good":              {func(*trial.Homecoming) {}, ""},
		"a crowded second":  {func(r *trial.Homecoming) { r.Pace.Worst = 11 }, "any second"},
		"a close too few":   {func(r *trial.Homecoming) { r.Pace.Closes = 99 }, "any second"},
		"slow":              {func(r *trial.Homecoming) { r.Pace.Seconds = 11.1 }, "sessions / rate"},
		"gone astray":       {func(r *trial.Homecoming) { r.Home, r.Astray = 99, 1 }, "primary"},
		"cut":               {func(r *trial.Homecoming) { r.Damage.Lost = 1 }, "cut"},
		"an echo missing":   {func(r *trial.Homecoming) { r.Damage.Stalled = 1 }, "cut"},
		"an early one":      {func(r *trial.Homecoming) { r.ActiveLate = 4 }, "active"},
		"nothing was there": {func(r *trial.Homecoming) { r.Pace = trial.Pace{}; r.Sessions, r.Home = 0, 0 }, "sessions / rate"},
	})
	judged(t, relapse, JudgeRelapse, rowsOf[trial.Relapse]{
		"good":       {func(*trial.Relapse) {}, ""},
		"none late":  {func(r *trial.Relapse) { r.Late, r.LastClose = 0, 0 }, ""},
		"goes on":    {func(r *trial.Relapse) { r.LastClose = 1201 }, "stops"},
		"twice":      {func(r *trial.Relapse) { r.Twice = 1 }, "twice"},
		"one is out": {func(r *trial.Relapse) { r.InTheEnd = 99 }, "in the end"},
		"crowded":    {func(r *trial.Relapse) { r.Worst = 11 }, "any second"},
		"cut":        {func(r *trial.Relapse) { r.Damage.Broken = 1 }, "cut"},
	})
	judged(t, beside, JudgeBeside, rowsOf[trial.Beside]{
		"good":   {func(*trial.Beside) {}, ""},
		"slower": {func(r *trial.Beside) { r.Ratio = 1.11 }, "p99"},
		"errors": {func(r *trial.Beside) { r.Errors = 1 }, "p99"},
	})
	for _, row := range []struct {
		name   string
		closes []int // with the drain, in rounds of 2 s; 20 are due
		quiet  int   // in a round, without a drain
		idle   int   // in a round, elsewhere, of those that are due
		judged bool
	}{
		{"one round short", []int{12, 20}, 0, 0, true},
		{"all short", []int{15, 16}, 0, 0, false},
		{"no drain", []int{0}, 0, 0, false},
		{"no drain elsewhere", []int{20, 20}, 0, 20, false},
		{"no rounds", nil, 0, 0, true}, // it does not hold, either
		{"a drain that was not paused", []int{20, 20}, 1, 0, false},
	} {
		r := beside
		r.Rounds, r.Ratio = nil, 0
		for _, n := range row.closes {
			r.Ratio = 1
			r.Rounds = append(r.Rounds, trial.BesideRound{
				Quiet: trial.BesideSample{Seconds: 2, Closes: row.quiet}, Elsewhere: trial.BesideSample{Seconds: 2, Closes: 20 - row.idle},
				Drain: trial.BesideSample{Seconds: 2, Closes: n},
			})
		}
		if v := JudgeBeside(r)[0]; v.Judged != row.judged || v.Holds && len(row.closes) == 0 {
			t.Errorf("%s: %v", row.name, v)
		}
	}
}

func TestJudgeChanges(t *testing.T) {
	judged(t, flap, JudgeFlap, rowsOf[trial.Flap]{
		"good":        {func(*trial.Flap) {}, ""},
		"led home":    {func(r *trial.Flap) { r.DrainCloses = 1 }, "back and forth"},
		"moved twice": {func(r *trial.Flap) { r.MostMoves = 2 }, "back and forth"},
		"never moved": {func(r *trial.Flap) { r.Moves, r.MostMoves = 0, 0 }, "back and forth"},
		"not found":   {func(r *trial.Flap) { r.Trips = 4 }, "found"},
		"cut":         {func(r *trial.Flap) { r.Damage.Lost = 1 }, "cut"},
	})
	judged(t, reload, JudgeReload, rowsOf[trial.Reload]{
		"good":           {func(*trial.Reload) {}, ""},
		"one ended":      {func(r *trial.Reload) { r.Ended = 1 }, "stays"},
		"taken on":       {func(r *trial.Reload) { r.Unmoved = false }, "bad file"},
		"no reason":      {func(r *trial.Reload) { r.Refusal = "" }, "bad file"},
		"never used":     {func(r *trial.Reload) { r.OnAdded, r.Closed, r.Returned = 0, 0, 0 }, "added"},
		"not closed":     {func(r *trial.Reload) { r.Closed = 3 }, "removed"},
		"not back":       {func(r *trial.Reload) { r.Returned = 3 }, "removed"},
		"all in a flash": {func(r *trial.Reload) { r.Removal.Worst = 6 }, "removed"},
		"cut":            {func(r *trial.Reload) { r.Damage.Lost = 1 }, "cut"},
	})
	judged(t, shutdown, JudgeShutdown, rowsOf[trial.Shutdown]{
		"good":         {func(*trial.Shutdown) {}, ""},
		"another code": {func(r *trial.Shutdown) { r.Pace.Closes, r.Other = 9, 1 }, "1001"},
		"too fast":     {func(r *trial.Shutdown) { r.Pace.Worst = 5 }, "announced"},
		"too late":     {func(r *trial.Shutdown) { r.Gone = 5 }, "deadline"},
		"exit code":    {func(r *trial.Shutdown) { r.Exit = "exit status 1" }, "deadline"},
		"cut":          {func(r *trial.Shutdown) { r.Damage.Lost = 1 }, "cut"},
	})
	judged(t, trial.Sudden{Upstream: 20, Clients: 1000}, JudgeSudden, rowsOf[trial.Sudden]{
		"good":               {func(*trial.Sudden) {}, ""},
		"late at upstream":   {func(r *trial.Sudden) { r.Upstream = 1001 }, "either end"},
		"never at a client":  {func(r *trial.Sudden) { r.Clients = -1 }, "either end"},
		"never at the other": {func(r *trial.Sudden) { r.Upstream = -1 }, "either end"},
	})
	judged(t, storm, JudgeStorm, rowsOf[trial.Storm]{
		"good":  {func(*trial.Storm) {}, ""},
		"slow":  {func(r *trial.Storm) { r.All = 15.1 }, "all are back"},
		"never": {func(r *trial.Storm) { r.All = -1 }, "all are back"},
		"one bad": {func(r *trial.Storm) {
			r.Seconds = []trial.StormSecond{{Accepted: 100, P99: 1300}, {Accepted: 100, P99: 400}}
		}, "worst second"},
		"all alike": {func(r *trial.Storm) {
			r.Seconds = []trial.StormSecond{{Accepted: 100, P99: 1300}, {Accepted: 100, P99: 500}}
		}, ""},
		"nothing":       {func(r *trial.Storm) { r.Seconds = nil }, "worst second"},
		"not told when": {func(r *trial.Storm) { r.Told = 899 }, "when to come"},
		"other failure": {func(r *trial.Storm) { r.Other = 1 }, "when to come"},
		"cut":           {func(r *trial.Storm) { r.Damage.Lost = 1 }, "cut"},
	})
}

func TestPrintTrials(t *testing.T) {
	harmed := trial.Damage{Lost: 2, First: "client 7"}
	if s := damage(harmed); !strings.Contains(s, "2 TCP ends") || !strings.Contains(s, "first: client 7") {
		t.Errorf("damage is %q", s)
	}
	for _, row := range []struct {
		show func(io.Writer) error
		want string
	}{
		{func(w io.Writer) error { return PrintHomecoming(w, homecoming) }, "closes per second     9   10   81"},
		{func(w io.Writer) error { return PrintRelapse(w, relapse) }, "40 × 1012 upstream lost"},
		{func(w io.Writer) error { return PrintBeside(w, beside) }, "1.10"},
		{func(w io.Writer) error { return PrintFlap(w, flap) }, "hold 10 s"},
		{func(w io.Writer) error { return PrintFlap(w, flap) }, "77"},
		{func(w io.Writer) error { return PrintReload(w, reload) }, "the bad file: no such key\n"},
		{func(w io.Writer) error { return PrintShutdown(w, shutdown) }, "configured 2/s, the deadline demands 4/s"},
		{func(w io.Writer) error { return PrintSudden(w, trial.Sudden{Upstream: 12.345, Clients: -1}) }, "after 12.3 ms, the last client knows after never"},
		{func(w io.Writer) error { return PrintStorm(w, storm) }, "all after 15 s"},
	} {
		var b bytes.Buffer
		if err := row.show(&b); err != nil {
			t.Fatal(err)
		}
		if s := b.String(); strings.Contains(s, "%!") || !strings.Contains(s, row.want) {
			t.Errorf("no %q in:\n%s", row.want, s)
		}
	}
	var b strings.Builder
	rows(&b, "x", make([]int, 41))
	if diff := cmp.Diff(3, strings.Count(b.String(), "\n")); diff != "" {
		t.Errorf("rows of 41 seconds:\n%s", b.String())
	}
}
