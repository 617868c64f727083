package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/pointsman/pointsman/bench/internal/trial"
)

// PrintHomecoming writes what the clients of a homecoming have seen. The error is the writer's.
func PrintHomecoming(w io.Writer, r trial.Homecoming) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\ndrain: %d sessions, %d of them active, go home at %d/s; hold %.1f s\n", r.Sessions, r.Active, r.Rate, r.Hold/1e3)
	rows(&b, "closes per second", r.Pace.PerSecond)
	fmt.Fprintf(&b, "  worst second %d; %.2f s from the first to the last, %.1f s × sessions / rate; first close %.1f s after the primary's start\n",
		r.Pace.Worst, r.Pace.Seconds, float64(r.Sessions)/float64(r.Rate), r.Waited/1e3)
	fmt.Fprintf(&b, "  active ones: %d of %d in the last tenth, median place %.3f; %d closes met a message under way; %d messages came back\n",
		r.ActiveLate, r.Active, r.ActiveMedian, r.Pending, r.Echoes)
	fmt.Fprintf(&b, "  from the Close to the next 101: p50 %.1f ms, p99 %.1f ms, longest %.1f ms\n", r.Away.P50/1e3, r.Away.P99/1e3, r.Away.Max/1e3)
	return write(w, &b)
}

// JudgeHomecoming returns the verdicts on a homecoming.
func JudgeHomecoming(r trial.Homecoming) []Verdict {
	c := claims{name: "drain"}
	c.add(r.Pace.Worst <= r.Rate && r.Pace.Closes == r.Sessions, fmt.Sprintf("never more than %d closes in any second", r.Rate),
		"%d in the worst second, %d closes in all", r.Pace.Worst, r.Pace.Closes)
	bound := maxDrainTime * float64(r.Sessions) / float64(r.Rate)
	c.add(r.Pace.Seconds > 0 && r.Pace.Seconds <= bound, fmt.Sprintf("done within %.1f times sessions / rate", maxDrainTime), "%.2f s of %.2f s", r.Pace.Seconds, bound)
	c.add(r.Home == r.Sessions && r.Astray == 0, "every client comes back on the primary", "%d of %d, %d elsewhere", r.Home, r.Sessions, r.Astray)
	c.unharmed(r.Damage)
	c.add(r.ActiveLate == r.Active, "active sessions go last: all of them among the last tenth", "%d of %d, median place %.3f", r.ActiveLate, r.Active, r.ActiveMedian)
	return c.all
}

// PrintRelapse writes what the clients of a relapse have seen. The error is the writer's.
func PrintRelapse(w io.Writer, r trial.Relapse) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\ndrain, primary killed on the way: %d sessions at %d/s, SIGKILL when %d were home\n", r.Sessions, r.Rate, r.Home)
	fmt.Fprintf(&b, "  closes of the drain after the kill: %s; ends of sessions on the primary:", afterKill(r))
	for _, end := range slices.Sorted(maps.Keys(r.Ends)) {
		fmt.Fprintf(&b, " %d × %s", r.Ends[end], end)
	}
	b.WriteByte('\n')
	rows(&b, "second way home", r.Return.PerSecond)
	fmt.Fprintf(&b, "  worst second of both ways %d; in the end %d are home\n", r.Worst, r.InTheEnd)
	return write(w, &b)
}

func afterKill(r trial.Relapse) string {
	if r.Late == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, the last after %.0f ms", r.Late, r.LastClose)
}

// JudgeRelapse returns the verdicts on a relapse.
func JudgeRelapse(r trial.Relapse) []Verdict {
	c := claims{name: "drain, primary killed"}
	bound := r.Timeout + maxStopping
	c.add(r.LastClose <= bound, fmt.Sprintf("the drain stops within the time-out of a probe and %d ms", maxStopping), "closes after the kill: %s; %.0f ms allowed", afterKill(r), bound)
	c.add(r.Twice == 0, "no client is closed twice on one way home", "%d clients", r.Twice)
	c.add(r.InTheEnd == r.Sessions && r.Return.Closes >= r.Sessions-r.Late-r.Home, "all are home in the end", "%d of %d", r.InTheEnd, r.Sessions)
	c.add(r.Worst <= r.Rate, fmt.Sprintf("never more than %d closes in any second", r.Rate), "%d in the worst second", r.Worst)
	c.unharmed(r.Damage)
	return c.all
}

// PrintBeside writes the latency beside a drain and without one. The error is the writer's.
func PrintBeside(w io.Writer, r trial.Beside) error {
	var b strings.Builder
	then := "stay away"
	if r.Return {
		then = "come back through the same router at once"
	}
	fmt.Fprintf(&b, "\nbeside a drain: %d sessions, one message of %d bytes in flight on each, while %d others are drained at %d/s and %s, and while that is paused\n",
		r.Sessions, r.Size, r.Drained, r.Rate, then)
	besideTable(&b, r.Rounds)
	fmt.Fprintf(&b, "p99 with the drain: %.2f × that with the same drain of another router, %.2f × that without one, medians of the rounds\n", r.Ratio, r.Beside)
	return write(w, &b)
}

func besideTable(b *strings.Builder, rounds []trial.BesideRound) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "round\tp50 µs without\telsewhere\there\tp99 µs without\telsewhere\there\there/elsewhere\there/without\tround trips/s without\telsewhere\there\trouter busy without\telsewhere\there\tcloses/s elsewhere\there\t\n")
	for i, x := range rounds {
		q, e, d := x.Quiet, x.Elsewhere, x.Drain
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t\n", i+1, q.Latency.P50, e.Latency.P50, d.Latency.P50,
			q.Latency.P99, e.Latency.P99, d.Latency.P99, d.Latency.P99/max(e.Latency.P99, 1), d.Latency.P99/max(q.Latency.P99, 1),
			q.PerSecond, e.PerSecond, d.PerSecond, q.Busy, e.Busy, d.Busy, closeRate(e), closeRate(d))
	}
	_ = t.Flush() // a strings.Builder takes everything
}

func closeRate(s trial.BesideSample) float64 { return float64(s.Closes) / max(s.Seconds, 0.001) }

// besideDrained is the least part of the rate at which a drain must have gone on while it was measured.
const besideDrained = 0.8

// JudgeNothing returns no verdict: what was measured is shown.
func JudgeNothing(trial.Beside) []Verdict { return nil }

// JudgeBeside returns the verdict on the latency beside a drain. It is not judged if there was no drain when there should have
// been one. A round may fall short: the clients that are drained run when there is nothing else to do.
func JudgeBeside(r trial.Beside) []Verdict {
	c := claims{name: "beside a drain"}
	here, elsewhere, quiet, due := 0, 0, 0, 0.0
	for _, x := range r.Rounds {
		here, elsewhere, quiet = here+x.Drain.Closes, elsewhere+x.Elsewhere.Closes, quiet+x.Quiet.Closes
		due += float64(r.Rate) * min(x.Drain.Seconds, x.Elsewhere.Seconds)
	}
	c.add(r.Ratio > 0 && r.Ratio <= maxBesideP99 && r.Errors == 0, fmt.Sprintf("p99 of other sessions at most %.2f times that with the same drain of another router", maxBesideP99),
		"%.2f times, and %.2f times that without a drain, medians of %d rounds, %d errors; %d closes of %.0f", r.Ratio, r.Beside, len(r.Rounds), r.Errors, here, due)
	if v := &c.all[0]; float64(min(here, elsewhere)) < besideDrained*due || quiet > 0 {
		v.Judged, v.Holds = false, false
		v.Finding += fmt.Sprintf("; %d closes elsewhere, %d without a drain", elsewhere, quiet)
	}
	return c.all
}
