//go:build unix

package fanout

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// stale reports whether an idle connection is of no use any more: the other side has closed it, or has sent what nobody asked for. Of
// TLS, a session ticket that came late looks so as well; that costs a new connection and nothing else.
func stale(conn net.Conn) bool {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	readable := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		readable = err != unix.EAGAIN && err != unix.EWOULDBLOCK && err != unix.EINTR
	})
	return err != nil || readable
}
