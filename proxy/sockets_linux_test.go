package proxy

import "syscall"

// smallSockets is a [net.Dialer]'s Control for sockets with buffers of 4 KiB,
// and segments that are shorter: with the long ones of a loopback interface
// such sockets would wait for timers of the kernel most of the time.
func smallSockets(_, _ string, raw syscall.RawConn) error {
	var err error
	set := func(fd, level, option, value int) {
		if err == nil {
			err = syscall.SetsockoptInt(fd, level, option, value)
		}
	}
	if cerr := raw.Control(func(fd uintptr) {
		set(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536)
		set(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4<<10)
		set(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 4<<10)
	}); cerr != nil {
		return cerr
	}
	return err
}
