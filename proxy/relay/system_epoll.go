//go:build linux && !portable

package relay

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls below skip the scheduler's bookkeeping around system calls, because
// none of them can block: the sockets are non-blocking and do not linger. For
// the bytes they are the socket's own calls rather than read and write, which
// take a longer way to the same place. BenchmarkRelay pays for it.

// rawRead takes what the socket has: nothing and no error at its end.
func rawRead(fd int32, p []byte) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// rawPeek tells whether the socket has something, as rawRead, and leaves it there.
func rawPeek(fd int32) (int, syscall.Errno) {
	var p [1]byte
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p)), 1, unix.MSG_DONTWAIT|unix.MSG_PEEK, 0, 0)
	return int(n), errno
}

// rawWrite returns how much the socket took, also with EAGAIN (then 0).
func rawWrite(fd int32, p []byte) (int, syscall.Errno) {
	return sendto(fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// rawWriteMore is rawWrite for bytes that others follow at once.
func rawWriteMore(fd int32, p []byte) (int, syscall.Errno) {
	return sendto(fd, p, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL|unix.MSG_MORE)
}

func sendto(fd int32, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), flags, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// rawPoll returns the events that are there, or come within wait ms. That must be
// short: the scheduler believes that the goroutine runs.
func rawPoll(epoll int, events []unix.EpollEvent, wait int) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epoll), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), uintptr(wait), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// interest is what every socket is registered for: edge-triggered, so that
// pausing and resuming need no system call. Room for writing is added when a
// socket is full for the first time; most never are.
const interest = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff

// rawWatch changes what an epoll set watches.
func rawWatch(epoll, operation int, fd int32, what uint32) error {
	ev := unix.EpollEvent{Events: what, Fd: fd}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(epoll), uintptr(operation), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// rawShutdown ends our stream.
func rawShutdown(fd int32) { unix.RawSyscall(unix.SYS_SHUTDOWN, uintptr(fd), unix.SHUT_WR, 0) }

func rawClose(fd int32) { unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// rawAccept takes one connection that waits at a listener.
func rawAccept(fd int32) (int32, netip.AddrPort, syscall.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)),
		uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, netip.AddrPort{}, errno
	}
	return int32(n), addressOf(&sa), 0
}

// rawSocket opens a socket that does not hold small messages back.
func rawSocket(family int) (int32, syscall.Errno) {
	fd, _, errno := unix.RawSyscall(unix.SYS_SOCKET, uintptr(family), unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	on := int32(1)
	unix.RawSyscall6(unix.SYS_SETSOCKOPT, fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, uintptr(unsafe.Pointer(&on)), unsafe.Sizeof(on), 0)
	return int32(fd), 0
}

// rawConnect begins to connect. zone is the index of the interface of a
// link-local IPv6 address.
func rawConnect(fd int32, address netip.AddrPort, zone uint32) syscall.Errno {
	port := func(p *uint16) { binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(p))[:], address.Port()) }
	if ip := address.Addr(); ip.Is4() {
		sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: ip.As4()}
		port(&sa.Port)
		_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
		return errno
	}
	sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: address.Addr().As16(), Scope_id: zone}
	port(&sa.Port)
	_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
	return errno
}

// socketName asks for the address of a socket or, with the other call, of its
// peer. The library's own functions cost a second system call.
func socketName(call uintptr, fd int32) (netip.AddrPort, syscall.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unix.SizeofSockaddrAny)
	_, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)))
	if errno != 0 {
		return netip.AddrPort{}, errno
	}
	return addressOf(&sa), 0
}

// addressOf returns the address in sa, or the invalid one.
func addressOf(sa *unix.RawSockaddrAny) netip.AddrPort {
	port := func(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), port(&in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom16(in.Addr).Unmap(), port(&in.Port))
	}
	return netip.AddrPort{}
}
