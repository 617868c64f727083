package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/pointsman/pointsman/bench/internal/trial"
)

// Limits of the claims about trials.
const (
	maxDrainTime  = 1.1  // of sessions divided by rate
	maxStopping   = 200  // milliseconds beyond the time-out of a probe
	maxBesideP99  = 1.1  // of that without a drain
	maxSudden     = 1000 // milliseconds
	maxStormTime  = 1.5  // of sessions divided by rate
	maxStormWait  = 1200 // milliseconds: a turn in the queue may be 1 s away
	maxStormWorse = 3.0  // times the best second
)

// claims collects verdicts of one trial.
type claims struct {
	name string
	all  []Verdict
}

func (c *claims) add(holds bool, claim, finding string, args ...any) {
	c.all = append(c.all, Verdict{Claim: c.name + ": " + claim, Finding: fmt.Sprintf(finding, args...), Judged: true, Holds: holds})
}

// unharmed claims that no session was cut. What it found is said in words.
func (c *claims) unharmed(d trial.Damage) {
	c.add(d.Total() == 0, "no session is cut", "%s", damage(d))
}

func damage(d trial.Damage) string {
	s := fmt.Sprintf("%d TCP ends without a Close frame (%d inside of a frame), %d wrong frames, %d echoes missing", d.Lost, d.Partial, d.Broken, d.Stalled)
	if d.First != "" {
		s += "; first: " + d.First
	}
	return s
}

// rows writes the closes of each second in rows.
func rows(b *strings.Builder, what string, perSecond []int) {
	const width = 20
	for i := 0; i < len(perSecond); i += width {
		label := what
		if i > 0 {
			label = ""
		}
		fmt.Fprintf(b, "  %-18s", label)
		for _, n := range perSecond[i:min(i+width, len(perSecond))] {
			fmt.Fprintf(b, " %4d", n)
		}
		b.WriteByte('\n')
	}
}

func write(w io.Writer, b *strings.Builder) error {
	_, err := io.WriteString(w, b.String())
	return err
}
