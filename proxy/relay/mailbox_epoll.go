//go:build linux && !portable

package relay

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// order is what other goroutines want of a loop.
type order struct {
	kind    orderKind
	session *session
	early   [2][]byte
	parked  [2]*conn // sockets that are registered already
	wires   [2]*wire // nil without TLS
	code    uint16
	reason  string
	begun   func() // of closeOne
	survey  *survey
	door    *door
	guest   *Guest
	alarm   alarm
}

type orderKind uint8

const (
	adopt orderKind = iota
	closeOne
	closeEvery
	look
	watchDoor
	welcome
	setAlarm
	stop
)

// post puts an order into the mailbox. It returns false when the loop has
// stopped.
func (l *loop) post(o order) bool {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return false
	}
	l.orders = append(l.orders, o)
	if l.asleep.CompareAndSwap(true, false) {
		// Still locked: a loop that stops closes the bell after it has taken the
		// lock, and its number may be another file's by then.
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		_, _ = unix.Write(l.bell, one[:]) // every write is a new edge; nobody reads
	}
	l.mu.Unlock()
	return true
}

// obey carries out what stands in the mailbox.
func (l *loop) obey() {
	l.mu.Lock()
	orders := l.orders
	l.orders = nil
	l.mu.Unlock()
	for _, o := range orders {
		l.rest.did()
		switch o.kind {
		case adopt:
			l.adopt(&o)
		case closeOne:
			if o.session.phase == open {
				o.session.ask(Asked, o.code, o.reason)
			}
			o.begun()
		case closeEvery:
			for _, s := range append([]*session(nil), l.sessions...) {
				s.ask(Asked, o.code, o.reason)
				l.rest.did()
			}
		case look:
			l.surveys = append(l.surveys, o.survey)
		case watchDoor:
			l.doors = append(l.doors, o.door)
			l.watch(o.door, unix.EPOLL_CTL_ADD, unix.EPOLLIN)
		case welcome:
			l.welcome(o.guest)
		case setAlarm:
			l.setAlarm(o.alarm)
		case stop:
			l.stopping = true
		}
	}
	if l.stopping {
		l.halt()
	}
}

// halt releases every session and takes no more. It comes after all orders that
// were posted behind the one to stop: sessions may be among them.
func (l *loop) halt() {
	l.mu.Lock()
	l.stopped = true
	rest := l.orders
	l.orders = nil
	l.mu.Unlock()
	for _, o := range rest {
		switch o.kind {
		case adopt:
			l.adopt(&o)
		case closeOne:
			o.begun()
		case look:
			l.surveys = append(l.surveys, o.survey)
		case watchDoor:
			l.doors = append(l.doors, o.door)
		case welcome:
			l.welcome(o.guest)
		}
	}
	for _, d := range l.doors {
		_ = d.Close() // it may have been closed before
	}
	l.dismiss()
	for len(l.sessions) > 0 {
		s := l.sessions[len(l.sessions)-1]
		s.because(Aborted, 0, "")
		s.release()
	}
	for len(l.surveys) > 0 {
		l.survey()
	}
	l.closeParked()
}

// seat gives a session its place in the loop's tables.
func (l *loop) seat(s *session) {
	s.index = int32(len(l.sessions))
	l.sessions = append(l.sessions, s)
	for d := range s.legs {
		fd := int(s.legs[d].fd)
		if fd >= len(l.byFD) {
			l.byFD = append(l.byFD, make([]*session, fd+1+len(l.byFD)/2-len(l.byFD))...)
		}
		l.byFD[fd] = s
	}
}

// early passes on what was read of both sides before the session was joined.
func (l *loop) early(s *session, early [2][]byte) {
	for d, p := range early {
		if len(p) > 0 && s.phase != over {
			s.legs[d].bytes += uint64(len(p))
			if left := s.data(side(d), p); left > 0 {
				s.keepRest(p[len(p)-left:])
			}
		}
	}
}

// adopt takes a session into the loop.
func (l *loop) adopt(o *order) {
	s := o.session
	l.seat(s)
	for d := range s.legs {
		if c := o.parked[d]; c != nil {
			l.unpark(s.legs[d].fd)
			if c.armed {
				s.legs[d].set(armed)
			}
		}
	}
	for d, w := range o.wires {
		if w != nil {
			l.secure(&s.legs[d], w)
		}
	}
	for d := range s.legs {
		if o.parked[d] != nil {
			continue // registered already
		}
		if err := rawWatch(l.epoll, unix.EPOLL_CTL_ADD, s.legs[d].fd, interest); err != nil {
			s.because(Aborted, 0, os.NewSyscallError("epoll_ctl", err).Error())
			s.release()
			return
		}
	}
	l.early(s, o.early)
	for d, w := range o.wires {
		if w != nil && s.phase != over {
			l.unseal(s, side(d), -1) // what came with the handshake
		}
	}
	if s.meter != nil && s.meter.waits() {
		l.again = append(l.again, readiness{s, client})
	}
	for d, c := range o.parked {
		if c == nil || s.phase == over {
			continue
		}
		// What has happened since it was last read makes no new edge.
		if what := c.events.Load(); what != 0 {
			l.event(int(s.legs[d].fd), what)
		}
	}
}
