//go:build linux && !portable

package relay

import (
	"math"
	"time"
)

// keepTime ends phases that have lasted and visits a slice of the sessions.
func (l *loop) keepTime() {
	if len(l.sessions) == 0 {
		// What is still queued are sessions that are over.
		l.closing, l.linger, l.heldUp = expiries{}, expiries{}, nil
	}
	l.closing.expire(l.clock)
	l.linger.expire(l.clock)
	l.takeTurns()
	l.seeOff(l.clock)
	l.ring(l.clock)
	l.openDoors()
	slices := len(l.sessions)/sweepSlice + 1
	if l.clock < l.sweepAt && slices <= l.slices { // more would not be through in time
		return
	}
	l.slices = slices
	l.sweepAt = l.clock + max(1, l.relay.options.Load().sweepPeriod().Milliseconds()/int64(slices))
	// From the end to the front: a release fills its gap with the last session,
	// which has been visited then.
	for n := (len(l.sessions) + slices - 1) / slices; n > 0; n-- {
		if l.sweepPos <= 0 || l.sweepPos > len(l.sessions) {
			l.sweepPos = len(l.sessions)
			if l.sweepPos == 0 {
				return
			}
		}
		l.sweepPos--
		l.sessions[l.sweepPos].visit(l.clock)
		if l.sweepPos%16 == 0 { // most visits find nothing to do
			l.rest.did()
		}
	}
}

// untilDue is the time in ms until the loop has to look at its clocks, or -1.
func (l *loop) untilDue() int {
	due := int64(math.MaxInt64)
	for s := range l.stays {
		if g := l.stays[s].first; g != nil {
			due = min(due, g.due)
		}
	}
	if len(l.alarms) > 0 {
		due = min(due, l.alarms[0].at)
	}
	for _, d := range l.doors {
		if d.shut {
			due = min(due, d.opens)
		}
	}
	if len(l.sessions) > 0 {
		due = min(due, l.sweepAt)
	}
	if due == math.MaxInt64 {
		return -1
	}
	if at, ok := l.closing.first(); ok {
		due = min(due, at)
	}
	if at, ok := l.linger.first(); ok {
		due = min(due, at)
	}
	if len(l.heldUp) > 0 {
		due = min(due, l.heldUp[0].at)
	}
	if due == 0 {
		return 0 // an alarm that is due at once
	}
	return int(max(0, due-l.relay.now())) + 1
}

// inMS is d in whole milliseconds of a loop's clock. Both are cut, so it is more:
// nothing is ever due early.
func inMS(d time.Duration) int64 { return int64((d+time.Millisecond-1)/time.Millisecond) + 1 }

// expiries is a queue of sessions whose phase ends at a given time. All
// entries of a queue wait equally long, so their order is that of their ends.
// Only entries that came after the close wait was shortened may end late, with
// those before them.
type expiries struct {
	queue []expiry
	head  int
}

type expiry struct {
	at      int64
	session *session
	phase   phase
}

func (e *expiries) push(x expiry) {
	if e.head > len(e.queue)/2 {
		// Where sessions end all the time the queue never runs empty.
		n := copy(e.queue, e.queue[e.head:])
		clear(e.queue[n:])
		e.queue, e.head = e.queue[:n], 0
	}
	e.queue = append(e.queue, x)
}

func (e *expiries) first() (int64, bool) {
	if e.head == len(e.queue) {
		return 0, false
	}
	return e.queue[e.head].at, true
}

func (e *expiries) expire(now int64) {
	for at, ok := e.first(); ok && at <= now; at, ok = e.first() {
		x := e.queue[e.head]
		e.queue[e.head] = expiry{}
		e.head++
		if x.session.phase == x.phase {
			x.session.expire()
			x.session.loop.rest.did()
		}
	}
	if e.head == len(e.queue) {
		e.queue, e.head = nil, 0
	}
}

// schedule makes expire be called when the phase of s has lasted d.
func (s *session) schedule(d time.Duration) {
	// One more, because the clock is cut to whole milliseconds: never early.
	x := expiry{s.loop.clock + d.Milliseconds() + 1, s, s.phase}
	if s.phase == closing {
		s.loop.closing.push(x)
	} else {
		s.loop.linger.push(x)
	}
}
