package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/pointsman/pointsman/bench/internal/trial"
)

// maxHellosP99 is the p99 of sessions beside a flood, divided by that through the better peer: level within the noise.
const maxHellosP99 = 1.1

// PrintHellos writes what sessions notice of a flood of hellos. The error is the writer's.
func PrintHellos(w io.Writer, r trial.Hellos) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nhellos: %d sessions with TLS send messages of %d bytes, %.0f/s together; then %d clients at a time send a hello, and leave when it is answered\n",
		r.Sessions, r.Size, r.PerSecond, r.Clients)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "candidate\tround\tp50 µs alone\tbeside hellos\tp99 µs alone\tbeside hellos\thellos answered/s\tnot answered\terrors\t\n")
	for _, f := range r.Floods {
		for i, x := range f.Rounds {
			fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%d\t%d\t\n", f.Candidate, i+1, x.Alone.P50, x.Beside.P50, x.Alone.P99, x.Beside.P99,
				x.Answered, x.Failed, x.Errors)
		}
	}
	_ = t.Flush() // a strings.Builder takes everything
	return write(w, &b)
}

// JudgeHellos returns the verdicts on a flood of hellos. A candidate that has answered none has been spared.
func JudgeHellos(r trial.Hellos) []Verdict {
	c := claims{name: "hellos"}
	var ours, best, alone float64
	var errors int64
	var flooded bool
	var others []string
	for _, f := range r.Floods {
		p99, quiet := f.P99()
		if f.Candidate == pointsman {
			ours, alone = p99, quiet
			flooded = len(f.Rounds) > 0
			for _, x := range f.Rounds {
				errors += x.Errors
				flooded = flooded && x.Answered > 0
			}
			continue
		}
		others = append(others, fmt.Sprintf("%s %.1f ms", f.Candidate, p99/1e3))
		if best == 0 || p99 < best {
			best = p99
		}
	}
	c.add(ours > 0 && ours <= maxHellosP99*best, fmt.Sprintf("p99 of sessions at most that through the better of nginx and HAProxy (%.2f times, for noise)", maxHellosP99),
		"%.1f ms, alone %.1f ms; %s", ours/1e3, alone/1e3, strings.Join(others, ", "))
	if v := &c.all[0]; !flooded || best == 0 {
		v.Judged, v.Holds = false, false
	}
	c.add(flooded && errors == 0, "no session is harmed", "%d errors", errors)
	return c.all
}
