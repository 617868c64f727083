package epoll

import (
	"encoding/binary"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What an event may say. The values are the kernel's; see epoll_ctl(2).
const (
	Readable = unix.EPOLLIN
	Writable = unix.EPOLLOUT
	// Ended is set when the peer has sent its FIN or the connection is broken.
	Ended = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
)

// wakeSlot is the slot of the wake-up descriptor; it is never handed out.
const wakeSlot = -1

// Event is one ready descriptor, named by the slot it was added with.
type Event struct {
	Slot  int
	Flags uint32
}

// Poller is an epoll set. Only Wake may be called concurrently with the other methods.
type Poller struct {
	fd   int
	wake int
	raw  []unix.EpollEvent
	out  []Event
}

// New makes a Poller that returns at most batch events per Wait. The caller closes it.
func New(batch int) (*Poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll set: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	p := &Poller{fd: fd, wake: wake, raw: make([]unix.EpollEvent, batch), out: make([]Event, 0, batch)}
	if err := p.add(wake, wakeSlot, unix.EPOLLIN); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Add puts a connection into the set, edge-triggered for reading, writing and the peer's end. slot must not be
// negative.
func (p *Poller) Add(fd, slot int) error {
	return p.add(fd, slot, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

// AddListener puts a listening socket into the set, level-triggered.
func (p *Poller) AddListener(fd, slot int) error { return p.add(fd, slot, unix.EPOLLIN) }

func (p *Poller) add(fd, slot int, events uint32) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(slot)}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		return fmt.Errorf("add descriptor %d to epoll set: %w", fd, err)
	}
	return nil
}

// Wait blocks until descriptors are ready, Wake is called or timeout has passed; the last two give an empty slice. The
// slice is valid until the next Wait.
func (p *Poller) Wait(timeout time.Duration) ([]Event, error) {
	// The call that knows less than milliseconds, or a pace could not be kept.
	limit := unix.NsecToTimespec(max(timeout.Nanoseconds(), 0))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(unsafe.SliceData(p.raw))), uintptr(len(p.raw)),
		uintptr(unsafe.Pointer(&limit)), 0, 0)
	switch errno {
	case 0:
	case unix.EINTR:
		return nil, nil
	default:
		return nil, fmt.Errorf("wait for events: %w", errno)
	}
	p.out = p.out[:0]
	for i := range n {
		if p.raw[i].Fd == wakeSlot {
			var b [8]byte
			Read(p.wake, b[:])
			continue
		}
		p.out = append(p.out, Event{Slot: int(p.raw[i].Fd), Flags: p.raw[i].Events})
	}
	return p.out, nil
}

// Wake makes the current or next Wait return. It may be called from any goroutine until Close.
func (p *Poller) Wake() {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], 1)
	Write(p.wake, b[:])
}

// Close releases the set. The descriptors in it stay open; they belong to the caller.
func (p *Poller) Close() {
	_ = unix.Close(p.wake)
	_ = unix.Close(p.fd)
}

// Read reads once from a non-blocking descriptor. It skips the runtime's enter and exit bookkeeping, which is worth it
// only because the call cannot block. b must not be empty. The error is unix.EAGAIN if nothing is there to read.
func Read(fd int, b []byte) (int, unix.Errno) { return transfer(unix.SYS_READ, fd, b) }

// Write writes once to a non-blocking descriptor; see Read. The error is unix.EAGAIN if there is no room.
func Write(fd int, b []byte) (int, unix.Errno) { return transfer(unix.SYS_WRITE, fd, b) }

func transfer(call uintptr, fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR: // an edge-triggered event does not come twice
		default:
			return 0, errno
		}
	}
}

// Reset closes a TCP socket with a RST instead of a FIN, so that neither side keeps its port in TIME_WAIT.
func Reset(fd int) {
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	_ = unix.Close(fd)
}
