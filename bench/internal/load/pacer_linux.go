package load

import "time"

// pacer says when the messages of a loop begin, if the run has a pace: its sessions in turn, with equal gaps. The moments do not
// depend on the answers, so a router that is slow for a while is asked as much as one that is not.
type pacer struct {
	turn int           // slot of the session whose turn is next
	next time.Duration // when that is; 0 while there is no pace
	gap  time.Duration // between two turns
}

func (p *pacer) paced() bool { return p.next > 0 }

// startPace begins with the first session's turn.
func (l *loop) startPace() {
	every := l.run.opts.Every
	l.gap = max(every/time.Duration(len(l.conns)), 1)
	l.next = l.now() + l.gap
	for slot, c := range l.conns {
		if c != nil {
			c.due = l.next + time.Duration(slot)*l.gap
		}
	}
}

// untilDue is how long the loop may wait for events.
func (l *loop) untilDue() time.Duration {
	if !l.paced() {
		return sweepEvery
	}
	return min(sweepEvery, l.next-l.now())
}

// sendDue begins the messages whose time has come, but for those of sessions that still wait for an answer.
func (l *loop) sendDue() {
	for l.paced() && l.err == nil && l.next <= l.now() {
		if c := l.conns[l.turn]; c != nil && !c.flying && c.due <= l.next {
			c.due += l.run.opts.Every
			l.send(c)
		}
		l.next += l.gap
		if l.turn++; l.turn == len(l.conns) {
			// The rounding of the gap shall not add up.
			l.turn, l.next = 0, l.next+l.run.opts.Every-l.gap*time.Duration(len(l.conns))
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
