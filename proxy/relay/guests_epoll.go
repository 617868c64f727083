//go:build linux && !portable

package relay

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// What follows is about all guests of a loop: when it is their turn, where they are
// found, and until when they may stay.

// guestBudget is how many guests get their turn before sessions get theirs. In a rush of
// guests a session then waits for some of them, not for all; what it costs is that the
// loop asks for events more often.
const guestBudget = 16

// note notes what epoll says of one of a guest's sockets.
func (l *loop) note(g *Guest, of side, what uint32) {
	g.seen[of] |= what
	g.news[of] |= what
	if !g.queued {
		g.queued = true
		l.queued = append(l.queued, g)
	}
}

// serveGuests gives guests their turn, those who have waited for longest, and then
// lets others in.
func (l *loop) serveGuests() {
	n := min(guestBudget, len(l.queued))
	for _, g := range l.queued[:n] {
		g.takeTurn()
	}
	kept := copy(l.queued, l.queued[n:])
	clear(l.queued[kept:])
	l.queued = l.queued[:kept]
	for _, d := range l.doors {
		if d.knocked {
			d.knocked = false
			if !d.isClosed() {
				l.letIn(d)
			}
		}
	}
}

// seeOff sees to guests whose time is over, of those that are due by then: to some of
// each stage, and to the others in the next turns.
func (l *loop) seeOff(by int64) {
	l.overdue = false
	for s := range l.stays {
		stay := &l.stays[s]
		for range guestBudget {
			if !stay.isDue(by) {
				break
			}
			stay.first.timeOut()
		}
		l.overdue = l.overdue || stay.isDue(by)
	}
}

// timeOut ends a stage whose time is over. The socket has the last word: a loop that
// has stood still has not heard yet what came meanwhile.
func (g *Guest) timeOut() {
	switch {
	case g.stage == arriving:
		if g.hasArrived(client) {
			g.hear()
		}
		if g.stage == arriving {
			g.reception.Late(g)
		}
		if g.stage == arriving {
			g.end()
		}
	case g.stage == refused:
		g.end()
	case g.stage == connecting:
		if err := g.ask(); err != nil {
			g.fail(err)
		} else if g.stage == connecting {
			g.fail(g.late("dial"))
		}
	case g.hasArrived(upstream):
		g.reception.Answered(g)
	default:
		g.fail(g.late("answer"))
	}
}

// hasArrived reports whether there is something to read, or the end. Epoll may have
// told us, and we have not looked yet.
func (g *Guest) hasArrived(from side) bool {
	if _, errno := rawPeek(g.fd[from]); errno == unix.EAGAIN || errno == unix.EINTR {
		return false
	}
	g.seen[from] |= unix.EPOLLIN
	return true
}

// late is the error of a guest whose time is over.
func (g *Guest) late(what string) error {
	return &net.OpError{Op: what, Net: "tcp", Addr: net.TCPAddrFromAddrPort(g.address), Err: os.ErrDeadlineExceeded}
}

var errLoopEnds = fmt.Errorf("the loop ends: %w", net.ErrClosed)

// dismiss sees off all guests, because the loop ends.
func (l *loop) dismiss() {
	for s := range l.stays {
		for g := l.stays[s].first; g != nil; g = l.stays[s].first {
			if g.stage == arriving || g.stage == refused {
				g.end()
			} else {
				g.fail(errLoopEnds)
			}
		}
	}
}

// guestTable finds guests by the descriptors of their sockets.
type guestTable []*Guest

func (t guestTable) at(fd int) *Guest {
	if fd < len(t) {
		return t[fd]
	}
	return nil
}

func (t *guestTable) set(fd int32, g *Guest) {
	if int(fd) >= len(*t) {
		if g == nil {
			return
		}
		*t = append(*t, make([]*Guest, int(fd)+1+len(*t)/2-len(*t))...)
	}
	(*t)[fd] = g
}

// guestQueue is the guests of one stage, in the order in which their time ends.
type guestQueue struct{ first, last *Guest }

// isDue reports whether the time of the first one is over by then.
func (q *guestQueue) isDue(by int64) bool { return q.first != nil && q.first.due <= by }

// add puts a guest where it belongs: at the end, unless the time that guests are
// given has become shorter.
func (q *guestQueue) add(g *Guest) {
	before := q.last
	for before != nil && before.due > g.due {
		before = before.before
	}
	g.before = before
	if before == nil {
		g.behind, q.first = q.first, g
	} else {
		g.behind, before.behind = before.behind, g
	}
	if g.behind == nil {
		q.last = g
	} else {
		g.behind.before = g
	}
}

func (q *guestQueue) remove(g *Guest) {
	if g.before == nil {
		q.first = g.behind
	} else {
		g.before.behind = g.behind
	}
	if g.behind == nil {
		q.last = g.before
	} else {
		g.behind.before = g.before
	}
	g.before, g.behind = nil, nil
}
