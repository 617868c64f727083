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
	// in turn were shorter than that. Or one turn has many pieces of work.
	nearWaits  = 8
	nearWait   = 200 * time.Microsecond
	manyPieces = 16
	// longTurn, in pieces of work, and longBusy, in ms, say when the runtime's
	// monitor has to know that the loop is busy.
	longTurn = 256
	longBusy = 10
)

// rest is how a loop waits. A busy one asks the kernel itself, and keeps the
// scheduler's processor meanwhile: the next event is near, and to give that up and
// get it back costs more than the wait. It keeps its thread, too: the scheduler
// would carry the loop from thread to thread, and on a busy machine each of them has
// to wait for its turn again, while all sessions wait with it (bench's relay shows
// it).
//
// Any other loop waits as goroutines wait for their sockets, with the runtime's
// poller: it keeps nothing, and the runtime's monitor sleeps. A system call that
// waits would wake the monitor with each event, for some 60 looks at processors that
// nobody uses. BenchmarkRest pays for it.
//
// A thread that leaves the poller for a loop's turn may have been the last to look
// after it, and others who wait for the network would wait for the end of that turn.
// So a turn that becomes long makes the loop busy, which calls for another thread.
type rest struct {
	epoll  int // the loop's
	busy   bool
	since  int64 // busy since then, in ms; 0 until its next wait
	told   bool  // the monitor knows
	pieces int   // of work in this turn

	// At rest. The gate is an epoll set of the loop's epoll set alone. While the
	// loop is busy it hears nothing, or the poller would be woken by each event.
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

// newRest returns that of a loop which is not busy. The caller closes it. The
// loop's epoll set should be empty still: the kernel looks through all of it for
// circles.
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
		err = r.file.SetReadDeadline(time.Time{}) // fails if the poller has not taken it
	}
	if err == nil {
		err = os.NewSyscallError("epoll_ctl", rawWatch(gate, unix.EPOLL_CTL_ADD, int32(epoll), unix.EPOLLIN))
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

// wait ends a turn at now, in ms of the loop's clock. It returns the next events,
// and after due ms at the latest; without end if that is -1. It may return without
// any.
func (r *rest) wait(events []unix.EpollEvent, due int, now int64) (int, error) {
	if due == 0 {
		return r.poll(events, now)
	}
	r.pieces = 0
	if r.busy {
		r.stay(now)
		short := shortWait
		if due > 0 {
			short = min(short, due)
		}
		n, errno := rawPoll(r.epoll, events, short)
		if n > 0 || errno == unix.EINTR { // a signal may be the scheduler's word
			return n, nil
		}
		if errno != 0 {
			return 0, os.NewSyscallError("epoll_wait", errno)
		}
		if due == short {
			return 0, nil
		}
		if due > 0 {
			due -= short
		}
		r.retire()
	}
	return r.doze(events, due)
}

// poll ends a turn that has left work. It returns the events that are there.
func (r *rest) poll(events []unix.EpollEvent, now int64) (int, error) {
	r.pieces = 0
	r.rouse()
	r.stay(now)
	n, errno := rawPoll(r.epoll, events, 0)
	if errno != 0 && errno != unix.EINTR {
		return 0, os.NewSyscallError("epoll_wait", errno)
	}
	return n, nil
}

// did counts a piece of work of this turn, of some 10 µs as a rule: an event, an
// order, a session that is closed.
func (r *rest) did() {
	r.pieces++
	switch r.pieces {
	case manyPieces:
		r.rouse()
	case longTurn:
		r.tell()
	}
}

// rouse makes the loop busy. Where a processor of the scheduler is free, the new
// goroutine brings a thread, which finds nothing else to do then, and looks after
// the poller.
func (r *rest) rouse() {
	if r.busy {
		return
	}
	r.busy, r.since, r.told, r.near = true, 0, false, 0
	runtime.LockOSThread()
	r.listen(0)
	go func() {}()
}

// stay notes that the loop is busy still.
func (r *rest) stay(now int64) {
	if r.since == 0 {
		r.since = max(now, 1)
	} else if now-r.since > longBusy {
		r.tell()
	}
}

// tell wakes the runtime's monitor. Where no processor is free, it is who looks
// after the poller every 10 ms, and interrupts the loop for others. The scheduler
// wakes it when it learns of a system call.
func (r *rest) tell() {
	if !r.told {
		r.told = true
		_, _, _ = syscall.Syscall(syscall.SYS_GETPID, 0, 0, 0)
	}
}

// retire makes it one that rests.
func (r *rest) retire() {
	r.busy = false
	runtime.UnlockOSThread()
	r.listen(unix.EPOLLIN)
}

// listen says what the gate hears. To take the loop's set out of it and put it in
// again would take the longer the more sockets there are.
func (r *rest) listen(to uint32) {
	if err := rawWatch(r.gate, unix.EPOLL_CTL_MOD, int32(r.epoll), to); err != nil {
		panic("BUG: the gate of a loop has lost its epoll set: " + err.Error())
	}
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
	err := r.raw.Read(r.take)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		r.takeEvents(0) // it may have passed before anybody looked
		err = nil
	}
	if err == nil && r.errno != 0 {
		err = os.NewSyscallError("epoll_wait", r.errno)
	}
	if err != nil {
		return 0, err
	}
	if r.near++; r.n == 0 || time.Since(before) >= nearWait {
		r.near = 0
	}
	if r.near == nearWaits {
		r.rouse()
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
