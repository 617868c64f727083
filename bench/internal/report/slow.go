package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/pointsman/pointsman/bench/internal/trial"
)

// Limits of the claims about those who are slow on purpose, or too many.
const (
	maxSlowP99    = 1.1      // of that beside ordinary clients, over all attacks
	maxOneSlowP99 = 1.25     // for one of them: a few rounds of a busy machine differ by so much anyway
	maxSlowLate   = 1.25     // seconds beyond the deadline: the rest that a refused client sends, and the time between two looks
	maxSlowMemory = 64 << 10 // bytes for each slow connection
	maxAdmin      = 1000     // milliseconds
	maxRecovery   = 1000     // milliseconds
)

// PrintSlow writes what sessions notice of slow clients, and what becomes of these. The error is the writer's.
func PrintSlow(w io.Writer, r trial.Slow) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nslow: %d sessions send messages of %d bytes, %.0f/s together; %d slow connections, %d/s; deadline for a head %.0f s\n",
		r.Sessions, r.Size, r.PerSecond, r.Slow, r.SlowRate, r.Deadline)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tcandidate\tround\tp50 µs alone\tbeside ordinary\tbeside slow\tp99 µs alone\tordinary\tslow\tslow/ordinary\tslow/alone\terrors\tslow ones\tmost at a time\tlongest s\tleft\tRSS MiB before\tat most\t\n")
	for _, a := range r.Attacks {
		for i, x := range a.Rounds {
			q, o, d := x.Alone, x.Ordinary, x.Attack
			fmt.Fprintf(t, "%s\t%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t%d\t%d\t%d\t%.1f\t%d\t%.1f\t%.1f\t\n", a.Name(), a.Candidate, i+1, q.P50, o.P50, d.P50, q.P99, o.P99, d.P99,
				d.P99/max(o.P99, 1), d.P99/max(q.P99, 1), x.Errors, d.Arrived(), most(d.Alive), d.Longest, d.Left, float64(d.RSS)/(1<<20), float64(d.Peak)/(1<<20))
		}
	}
	_ = t.Flush() // a strings.Builder takes everything
	for _, a := range r.Attacks {
		if len(a.Rounds) > 0 {
			d := a.Rounds[0].Attack
			fmt.Fprintf(&b, "  alive every %.2f s, %s, %s:", d.Every, a.Name(), a.Candidate)
			for _, n := range d.Alive {
				fmt.Fprintf(&b, " %d", n)
			}
			b.WriteByte('\n')
		}
	}
	return write(w, &b)
}

func most(counts []int) int {
	if len(counts) == 0 {
		return 0
	}
	return slices.Max(counts)
}

// JudgeSlow returns the verdicts on attacks with slow connections on pointsman. An attack of which next to nothing arrived proves nothing.
func JudgeSlow(r trial.Slow) []Verdict {
	c := claims{name: "slow"}
	thin, rounds := false, []trial.SlowRound(nil)
	for _, a := range r.Attacks {
		if a.Candidate != pointsman {
			continue
		}
		name, others := a.Name(), ""
		for _, b := range r.Attacks {
			if b.Name() == name && b.Candidate != a.Candidate {
				others += fmt.Sprintf(", %s %.2f and %.2f", b.Candidate, b.Ratio, b.Alone)
			}
		}
		least, longest, left, grown, errors := r.Slow, 0.0, 0, 0.0, int64(0)
		for _, x := range a.Rounds {
			d := x.Attack
			least = min(least, d.Arrived(), x.Ordinary.Arrived())
			longest, left = max(longest, d.Longest), left+d.Left
			grown = max(grown, float64(d.Peak-d.RSS)/max(float64(d.Arrived()), 1))
			errors += x.Errors
		}
		from := len(c.all)
		c.add(a.Ratio > 0 && a.Ratio <= maxOneSlowP99 && errors == 0, fmt.Sprintf("%s: p99 of sessions at most %.2f times that beside clients who are not slow", name, maxOneSlowP99),
			"%.2f times, and %.2f times that without any%s; means of %d rounds, %d errors", a.Ratio, a.Alone, others, len(a.Rounds), errors)
		bound := r.Deadline + maxSlowLate
		c.add(left == 0 && longest <= bound, fmt.Sprintf("%s: none is there longer than the deadline and %.2f s", name, maxSlowLate),
			"longest %.2f s of %.2f s, %d left", longest, bound, left)
		c.add(grown <= maxSlowMemory, fmt.Sprintf("%s: at most %d KiB of memory for each", name, maxSlowMemory>>10), "%.1f KiB", grown/(1<<10))
		for i := range c.all[from:] {
			if v := &c.all[from+i]; least < r.Slow/3 || len(a.Rounds) == 0 {
				v.Judged, v.Holds = false, false
				v.Finding += fmt.Sprintf("; only %d of %d slow connections arrived in one round", least, r.Slow)
				thin = true
			}
		}
		rounds = append(rounds, a.Rounds...)
	}
	ratio := trial.SlowRatio(rounds)
	c.add(ratio > 0 && ratio <= maxSlowP99, fmt.Sprintf("all attacks: p99 of sessions at most %.2f times that beside clients who are not slow", maxSlowP99),
		"%.2f times, mean of %d rounds", ratio, len(rounds))
	if v := &c.all[len(c.all)-1]; thin || len(rounds) == 0 {
		v.Judged, v.Holds = false, false
	}
	return c.all
}

// PrintScarcity writes what became of too many clients. The error is the writer's.
func PrintScarcity(w io.Writer, r trial.Scarcity) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\ndescriptors: the router may have %d; %d sessions, then %d clients more\n", r.Limit, r.Before, r.Rushed)
	fmt.Fprintf(&b, "  %d accepted, %d refused with 503, %d others; then one by one: %d tried, %d refused with 503, %d others%s; then %d who say nothing\n",
		r.Accepted, r.Refused, r.Other, r.Tried, r.Turned, r.Odd, prefixed("; first: ", r.First), r.Silent)
	fmt.Fprintf(&b, "  most descriptors %d; the admin address was asked %d times, slowest answer %.0f ms, %d failed; upstream called unhealthy %d times, %d trips; a session again after %s\n",
		r.MostFiles, r.Looks, r.Slowest, r.Failed, r.Doubts, r.Trips, orNever(r.Recovered, " ms"))
	return write(w, &b)
}

// JudgeScarcity returns the verdicts on a scarcity of descriptors.
func JudgeScarcity(r trial.Scarcity) []Verdict {
	c := claims{name: fmt.Sprintf("descriptors (%d)", r.Limit)}
	c.add(r.Refused > 0 && r.Other == 0 && r.Tried > 0 && r.Odd == 0, "who finds no room is told so, with 503",
		"%d and %d refused, %d and %d others%s", r.Refused, r.Turned, r.Other, r.Odd, prefixed("; first: ", r.First))
	c.add(r.MostFiles > 0 && r.MostFiles < r.Limit, "the limit is not reached", "%d of %d", r.MostFiles, r.Limit)
	c.add(r.Trips == 0 && r.Doubts == 0, "the upstream's breaker is not touched", "%d trips, unhealthy in %d of %d looks", r.Trips, r.Doubts, r.Looks)
	c.add(r.Looks > 0 && r.Failed == 0 && r.Slowest <= maxAdmin, fmt.Sprintf("the admin address answers within %d ms", maxAdmin), "slowest %.0f ms, %d failed", r.Slowest, r.Failed)
	c.add(r.Recovered >= 0 && r.Recovered <= maxRecovery, fmt.Sprintf("there is room again within %d ms", maxRecovery), "after %s", orNever(r.Recovered, " ms"))
	c.unharmed(r.Damage)
	return c.all
}
