//go:build linux && !portable

package relay

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// shortWait is how long, in ms, a busy loop waits for events before it goes to
	// rest.
	shortWait = 2
	// nearWaits and nearWait say when a resting loop has become busy: so many waits
	// in turn were shorter than that. Or one has given manyEvents.
	nearWaits  = 8
	nearWait   = 200 * time.Microsecond
	manyEvents = 16
)

// rest is how a loop waits. A busy one asks the kernel itself, and keeps the
// scheduler's processor meanwhile: the next event is near, and to give that up and
// get it back costs more than the wait. It keeps its thread, too: the scheduler
// would carry the loop from thread to thread, and on a busy machine each of them has
// to wait for its turn again, while all sessions wait with it (bench's relay shows
// it). Any other waits as goroutines wait
// for their sockets, with the runtime's poller: it keeps nothing, and the runtime's
// monitor sleeps. A system call that waits would wake the monitor with each event,
// for some 60 looks at processors that nobody uses. BenchmarkRest pays for it.
type rest struct {
	epoll int // the loop's
	busy  bool

	// At rest. The gate is an epoll set of the loop's epoll set alone. While the
	// loop is busy nothing is in it, or the poller would hear of each event.
	gate  int
	file  *os.File // owns the gate
	raw   syscall.RawConn
	take  func(fd uintptr) bool // takeEvents, made once
	timed bool                  // the file has a deadline
	near  int                   // short waits in turn

	// Of takeEvents.
	events []unix.EpollEvent
	n      int
	errno  syscall.Errno
}

// newRest returns that of a loop which is not busy. The caller closes it.
func newRest(epoll int) (*rest, error) {
	gate, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(gate, true); err != nil { // the poller takes no others
		unix.Close(gate)
		return nil, os.NewSyscallError("fcntl", err)
	}
	r := &rest{epoll: epoll, gate: gate, file: os.NewFile(uintptr(gate), "epoll")}
	r.take = r.takeEvents
	if r.raw, err = r.file.SyscallConn(); err == nil {
		err = r.watch(unix.EPOLL_CTL_ADD)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// close ends it in whatever state it is.
func (r *rest) close() {
	if r.busy {
		r.busy = false
		runtime.UnlockOSThread()
	}
	_ = r.file.Close()
}

// watch puts the loop's epoll set into the gate, or takes it out.
func (r *rest) watch(operation int) error {
	return os.NewSyscallError("epoll_ctl", rawWatch(r.gate, operation, int32(r.epoll), unix.EPOLLIN))
}

// wait returns the next events, and at the latest after due, in ms; without end if
// that is -1. It may return without any.
func (r *rest) wait(events []unix.EpollEvent, due int) (int, error) {
	if r.busy {
		short := shortWait
		if due >= 0 {
			short = min(short, due)
		}
		n, errno := rawPoll(r.epoll, events, short)
		if n > 0 || short == due || errno == unix.EINTR { // a signal may be the scheduler's word
			return n, nil
		}
		if errno != 0 {
			return 0, os.NewSyscallError("epoll_wait", errno)
		}
		if err := r.retire(); err != nil {
			return 0, err
		}
	}
	return r.doze(events, due)
}

// poll returns the events that are there. Its caller has work that is left.
func (r *rest) poll(events []unix.EpollEvent) (int, error) {
	if err := r.rouse(); err != nil {
		return 0, err
	}
	n, _ := rawPoll(r.epoll, events, 0) // what is wrong comes up when it waits
	return n, nil
}

// rouse makes the loop busy. It leaves the poller, which it may have been the last
// to look after: whoever comes for the new goroutine finds nothing else to do then,
// and does that.
func (r *rest) rouse() error {
	if r.busy {
		return nil
	}
	r.busy, r.near = true, 0
	runtime.LockOSThread()
	go func() {}()
	return r.watch(unix.EPOLL_CTL_DEL)
}

// retire makes it one that rests.
func (r *rest) retire() error {
	if !r.busy {
		return nil
	}
	r.busy = false
	runtime.UnlockOSThread()
	return r.watch(unix.EPOLL_CTL_ADD)
}

// doze waits with the poller.
func (r *rest) doze(events []unix.EpollEvent, due int) (int, error) {
	before := time.Now()
	if due >= 0 || r.timed {
		var at time.Time
		if r.timed = due >= 0; r.timed {
			at = before.Add(time.Duration(due) * time.Millisecond)
		}
		if err := r.file.SetReadDeadline(at); err != nil {
			return 0, err
		}
	}
	r.events = events
	switch err := r.raw.Read(r.take); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.near = 0
		return 0, nil
	case err != nil:
		return 0, err
	case r.errno != 0:
		return 0, os.NewSyscallError("epoll_wait", r.errno)
	}
	if r.near++; time.Since(before) >= nearWait {
		r.near = 0
	}
	if r.near == nearWaits || r.n >= manyEvents {
		return r.n, r.rouse()
	}
	return r.n, nil
}

// takeEvents takes the events that are there, and reports whether that is an end of
// the wait. The poller tells of an event that comes after it has found none.
func (r *rest) takeEvents(uintptr) bool {
	for {
		r.n, r.errno = rawPoll(r.epoll, r.events, 0)
		if r.errno != unix.EINTR {
			return r.n > 0 || r.errno != 0
		}
	}
}
