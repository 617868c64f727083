package drain

import (
	"math/rand/v2"
	"time"
)

// jitter lengthens each gap between two closes by up to so much of it, so that
// closes do not fall into step with anything. Its mean is also what keeps the
// rate as clients see it below the limit when closes are delayed on their way.
const jitter = 0.1

// credit is how late a close may be and still be made up for. Timers are late;
// a drain that stood still does not catch up.
const credit = 10 * time.Millisecond

// pace spaces the closes of one drain. What it says is a wish; that the rate is
// kept is for the window. It is for one goroutine.
type pace struct {
	rate int
	due  time.Time // of the next close
}

// wait is how long the next close has to wait.
func (p *pace) wait(now time.Time) time.Duration { return p.due.Sub(now) }

// took notes that a close was asked for.
func (p *pace) took(now time.Time) {
	if earliest := now.Add(-credit); p.due.Before(earliest) {
		p.due = earliest
	}
	gap := float64(time.Second) / float64(p.rate)
	p.due = p.due.Add(time.Duration(gap * (1 + jitter*rand.Float64())))
}
