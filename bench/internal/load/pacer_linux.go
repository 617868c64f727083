package load

import (
	"math/rand/v2"
	"slices"
	"time"
)

// pacer says when the messages of a loop begin, if the run has a pace: its sessions in turn, each at a moment of its own that was drawn by
// lot, and again after Options.Every. With equal gaps all that the moments of two loops, or those of somebody else who goes by a clock, have
// to do with each other would be the same for a whole run, and another in the next one. The moments do not depend on the answers, so a
// router that is slow for a while is asked as much as one that is not.
type pacer struct {
	moments []time.Duration // by slot, since the begin of the round; nil while there is no pace
	round   time.Duration   // begin of the round
	turn    int             // slot of the session whose turn is next
}

func (p *pacer) paced() bool { return p.moments != nil }

// next is when the next turn is.
func (p *pacer) next() time.Duration { return p.round + p.moments[p.turn] }

// startPace begins the first round.
func (l *loop) startPace() {
	l.round = l.now()
	l.moments = make([]time.Duration, len(l.conns))
	for i := range l.moments {
		l.moments[i] = rand.N(l.run.opts.Every)
	}
	slices.Sort(l.moments)
	for slot, c := range l.conns {
		if c != nil {
			c.due = l.round + l.moments[slot]
		}
	}
}

// untilDue is how long the loop may wait for events.
func (l *loop) untilDue() time.Duration {
	if !l.paced() {
		return sweepEvery
	}
	return min(sweepEvery, l.next()-l.now())
}

// sendDue begins the messages whose time has come, but for those of sessions that still wait for an answer.
func (l *loop) sendDue() {
	for l.paced() && l.err == nil && l.next() <= l.now() {
		if c := l.conns[l.turn]; c != nil && !c.flying && c.due <= l.next() {
			c.due += l.run.opts.Every
			l.send(c)
		}
		if l.turn++; l.turn == len(l.conns) {
			l.turn, l.round = 0, l.round+l.run.opts.Every
		}
	}
}

// sendLate begins a message that the answer to the one before has kept from its time. It counts from then, or a slow answer
// would make the load lighter and hide others. It reports whether the connection is still there.
func (l *loop) sendLate(c *conn) bool {
	due := c.due
	c.due += l.run.opts.Every
	there := l.send(c)
	c.from = due
	return there
}
