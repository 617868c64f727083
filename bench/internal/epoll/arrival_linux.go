package epoll

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// StampArrivals makes ReadStamped tell when data arrived on a socket.
func StampArrivals(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// stampRoom holds the one control message that is asked for.
const stampRoom = 64

// ReadStamped is Read that also says when the last of the bytes arrived in the kernel, which is earlier than now if this process had
// to wait for its turn. The time is zero if the kernel did not say: at the end of the stream, or without StampArrivals.
func ReadStamped(fd int, b []byte) (int, time.Time, unix.Errno) {
	// As an array of longs the room is aligned as the kernel wants it.
	var room [stampRoom / 8]uint64
	piece := unix.Iovec{Base: unsafe.SliceData(b)}
	piece.SetLen(len(b))
	m := unix.Msghdr{Iov: &piece, Control: (*byte)(unsafe.Pointer(&room[0]))}
	m.SetIovlen(1)
	m.SetControllen(stampRoom)
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&m)), 0)
		switch errno {
		case 0:
			return int(n), stamp(&room, int(m.Controllen)), 0
		case unix.EINTR: // an edge-triggered event does not come twice
		default:
			return 0, time.Time{}, errno
		}
	}
}

// stamp reads the control message (cmsg(3)), a header with the time behind it.
func stamp(room *[stampRoom / 8]uint64, size int) time.Time {
	header := (*unix.Cmsghdr)(unsafe.Pointer(&room[0]))
	if size < unix.CmsgLen(int(unsafe.Sizeof(unix.Timespec{}))) || header.Level != unix.SOL_SOCKET || header.Type != unix.SCM_TIMESTAMPNS {
		return time.Time{}
	}
	at := (*unix.Timespec)(unsafe.Pointer(uintptr(unsafe.Pointer(&room[0])) + uintptr(unix.CmsgLen(0))))
	return time.Unix(at.Unix())
}
