//go:build linux && !portable

package relay

import (
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

const (
	// readSize is the most that one read takes. One read and one write then
	// move a 64 KiB message; BenchmarkBulk pays for it.
	readSize = 256 << 10
	// headroom is room before the read bytes for what was held of the last ones.
	headroom = wsframe.MaxControl
	// readBudget is how often one socket is read before others get their turn.
	readBudget = 4
	// eventBatch is how many events one wait takes.
	eventBatch = 256
	// sweepSlice is how many sessions a sweep visits in one turn at most: so the
	// others wait for 0.5 ms at most, and few sessions do not keep a loop from its rest.
	sweepSlice = 1024
)

// loop owns an epoll set and the sessions whose sockets are in it. All fields
// but the mailbox belong to the goroutine of run.
type loop struct {
	relay *Relay
	epoll int
	rest  *rest

	// Mailbox: guarded by mu.
	mu      sync.Mutex
	orders  []order
	stopped bool
	asleep  atomic.Bool // the loop waits, or is about to: ring
	bell    int         // eventfd in the epoll set

	// Connections that are not joined yet: guarded by parkMu.
	parkMu sync.Mutex
	parked map[int32]*conn
	closed bool // no connection waits here any more

	byFD     []*session
	guests   guestTable         // by descriptor, too
	outside  []outsideEvent     // what this turn has for connections that are not joined
	queued   []*Guest           // those who wait for their turn
	overdue  bool               // guests are left whose time is over
	stays    [stages]guestQueue // of guests, by how far they have come
	doors    []*door            // where they come in
	wires    []*wire            // by descriptor, of legs with TLS
	sessions []*session
	again    []readiness // sockets to read without a new edge
	surveys  []*survey   // looked through a slice per turn
	clock    int64       // ms, read once per turn
	buffer   []byte
	cipher   []byte // as buffer, before TLS; nil without
	sealed   []byte // what TLS has written, until it is sent
	chunks   chunks
	pipe     pipe
	closing  expiries // phases of CloseWait, in order
	linger   expiries // phases of lingerTime, in order
	heldUp   holdups  // clients that have sent too much
	alarms   []alarm  // the next one first
	sweepAt  int64
	sweepPos int
	slices   int // of the sweep
	stopping bool
}

// owner is what a session needs of its loop.
type owner struct {
	loop     *loop
	index    int32  // in loop.sessions
	surveyed uint32 // the last survey that has seen it
}

// readiness is one socket that has more to read.
type readiness struct {
	session *session
	side    side
}

func newLoop(r *Relay) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, os.NewSyscallError("eventfd", err)
	}
	rest, err := newRest(epoll)
	if err != nil {
		unix.Close(bell)
		unix.Close(epoll)
		return nil, err
	}
	l := &loop{relay: r, epoll: epoll, rest: rest, bell: bell, parked: make(map[int32]*conn)}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET&0xffffffff, Fd: int32(bell)}
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, bell, &ev); err != nil {
		l.closeFiles()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return l, nil
}

func (l *loop) closeFiles() {
	unix.Close(l.bell)
	l.rest.close()
	unix.Close(l.epoll)
}

// run turns the loop until it is told to stop and has released every session.
func (l *loop) run() error {
	l.buffer = make([]byte, headroom+readSize)
	events := make([]unix.EpollEvent, eventBatch)
	defer l.closeFiles()
	defer l.pipe.close()
	for {
		l.clock = l.relay.now()
		l.obey()
		if l.stopping && len(l.sessions) == 0 {
			return nil
		}
		n, err := l.wait(events)
		if err != nil {
			l.halt()
			return err
		}
		l.clock = l.relay.now()
		for i := range events[:n] {
			if ev := &events[i]; ev.Fd != int32(l.bell) {
				l.event(int(ev.Fd), ev.Events)
				l.rest.did()
			}
		}
		for _, r := range l.take(&l.again) {
			if r.session.phase != over {
				l.pump(r.session, r.side)
			}
		}
		// Those who are not joined yet come after the sessions.
		l.tellOutside()
		l.serveGuests()
		l.keepTime()
		l.survey()
	}
}

func (l *loop) take(list *[]readiness) []readiness {
	taken := *list
	if len(taken) > 0 {
		*list = nil
	}
	return taken
}

// event takes what epoll says of one socket.
func (l *loop) event(fd int, what uint32) {
	if fd >= len(l.byFD) || l.byFD[fd] == nil {
		if g := l.guests.at(fd); g != nil {
			of := client
			if int(g.fd[upstream]) == fd {
				of = upstream
			}
			l.note(g, of, what)
		} else if d := l.doorAt(fd); d != nil {
			d.knocked = true
		} else {
			l.outside = append(l.outside, outsideEvent{int32(fd), what})
		}
		return
	}
	s := l.byFD[fd]
	d := client
	if int(s.legs[upstream].fd) == fd {
		d = upstream
	}
	leg := &s.legs[d]
	if what&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		leg.set(readable)
		if what&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
			leg.set(hungUp)
		}
	}
	if what&unix.EPOLLOUT != 0 && leg.blocked() {
		s.flush(d)
		if s.phase != over && !leg.blocked() {
			l.pump(s, d.other())
		}
	}
	if s.phase != over {
		l.pump(s, d)
	}
}

// pump reads one socket and passes on what came, while it has something and
// the other socket takes it.
func (l *loop) pump(s *session, from side) {
	leg, to := &s.legs[from], &s.legs[from.other()]
	for budget := readBudget; leg.is(readable) && !leg.is(ended); budget-- {
		if to.blocked() && !leg.is(muted) || leg.answers > mostAnswers {
			return // flush goes on from here
		}
		if budget == 0 {
			l.again = append(l.again, readiness{s, from})
			return
		}
		size := readSize
		if from == client && s.meter != nil {
			if size = l.mayRead(s); size == 0 {
				return
			}
			if s.meter.waits() {
				if l.passRest(s, size); s.phase == over {
					return
				}
				continue
			}
		}
		if leg.is(hasTLS) {
			l.pumpTLS(s, from, size)
			if s.phase == over {
				return
			}
			if leg.is(thin) {
				budget = 1
			}
			continue
		}
		if leg.is(bulky) && l.haul(s, from) {
			continue
		}
		held := copy(l.buffer[headroom-len(leg.held):], leg.held)
		n, errno := rawRead(leg.fd, l.buffer[headroom:headroom+size])
		switch {
		case errno == 0 && n > 0:
			if n < size && !leg.is(hungUp) {
				// A short read has emptied the socket; the next byte is a new
				// edge. Only an end of stream might hide behind it.
				leg.state &^= readable
			}
			if n >= bulkRead {
				leg.set(bulky)
			}
			leg.bytes += uint64(n)
			leg.heard = l.clock
			l.deliver(s, from, held, n)
		case errno == 0:
			s.endOfStream(from, ClientLost+Cause(from))
		case errno == unix.EAGAIN:
			leg.state &^= readable
		case errno == unix.EINTR:
		default:
			leg.set(broken)
			s.dropOutput(from)
			s.endOfStream(from, ClientLost+Cause(from))
		}
		if s.phase == over {
			return
		}
	}
}

// wait returns the next events. It does not wait while there is work left.
func (l *loop) wait(events []unix.EpollEvent) (int, error) {
	if len(l.again)+len(l.surveys)+len(l.queued) > 0 || l.overdue {
		return l.rest.poll(events, l.clock)
	}
	l.asleep.Store(true)
	defer l.asleep.Store(false)
	l.mu.Lock()
	waiting := len(l.orders) > 0
	l.mu.Unlock()
	if waiting {
		return 0, nil
	}
	return l.rest.wait(events, l.untilDue(), l.clock)
}

// release closes both sockets and takes s out of the loop.
func (s *session) release() {
	l := s.loop
	s.phase = over
	for d := range s.legs {
		leg := &s.legs[d]
		s.freeOutput(side(d))
		l.byFD[leg.fd] = nil
		if leg.is(hasTLS) {
			l.wires[leg.fd].loop = nil
			l.wires[leg.fd] = nil
		}
		rawClose(leg.fd)
	}
	s.dropRest()
	last := len(l.sessions) - 1
	l.sessions[s.index] = l.sessions[last]
	l.sessions[s.index].index = s.index
	l.sessions[last] = nil
	l.sessions = l.sessions[:last]
	if s.ended != nil {
		s.ended(s.report())
	}
}
