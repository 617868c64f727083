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

const (
	// guestBudget is how many guests get their turn before sessions get theirs. In a rush
	// of guests a session then waits for a tenth of a millisecond, not for all of them;
	// what it costs is that the loop asks for events more often.
	guestBudget = 16
	// acceptBudget is the same of clients who are let in.
	acceptBudget = 8
)

// hear notes what epoll says of a guest's socket.
func (l *loop) hear(g *Guest, fd int32, what uint32) {
	d := client
	if g.fd[upstream] == fd {
		d = upstream
	}
	g.seen[d] |= what
	g.news[d] |= what
	if !g.waits {
		g.waits = true
		l.ready = append(l.ready, g)
	}
}

// serveGuests gives guests their turn, those who have waited for longest, and then
// lets others in.
func (l *loop) serveGuests() {
	n := min(guestBudget, len(l.ready))
	for _, g := range l.ready[:n] {
		g.takeTurn()
	}
	kept := copy(l.ready, l.ready[n:])
	clear(l.ready[kept:])
	l.ready = l.ready[:kept]
	for _, d := range l.doors {
		if d.knocked {
			d.knocked = false
			if !d.isClosed() {
				l.letIn(d)
			}
		}
	}
}

// seeOff sees to guests whose time is over, of those that are due by then. The others
// follow in the next turns.
func (l *loop) seeOff(by int64) {
	budget := guestBudget
	for s := range l.stays {
		for g := l.stays[s].first; g != nil && g.due <= by && budget > 0; g = l.stays[s].first {
			budget--
			g.timeOut()
		}
	}
}

// timeOut ends a stage whose time is over. The socket has the last word: a loop that
// has stood still has not heard yet what came meanwhile.
func (g *Guest) timeOut() {
	switch {
	case g.stage == arriving:
		if g.hasArrived(client) {
			g.reception.Heard(g)
		}
		if g.stage == arriving {
			g.reception.Late(g)
		}
		if g.stage == arriving {
			g.end()
		}
	case g.stage == parting:
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

// hasArrived reports whether there is something to read, or the end.
func (g *Guest) hasArrived(from side) bool {
	_, errno := rawPeek(g.fd[from])
	return errno != unix.EAGAIN && errno != unix.EINTR
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
			if g.stage == arriving || g.stage == parting {
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
