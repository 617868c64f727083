//go:build linux && !portable

package relay

import (
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

func ordinary(of net.Conn) (net.Conn, error) {
	near, ok := of.(*conn)
	if !ok {
		return of, nil
	}
	fd, _ := near.take(nil)
	if fd < 0 {
		return nil, net.ErrClosed
	}
	c, err := connOf(fd)
	if err != nil {
		return nil, fmt.Errorf("take connection out of its loop: %w", err)
	}
	return c, nil
}

// giveUpAfter sets how long bytes may stay unacknowledged (RFC 5482 §1).
func giveUpAfter(conn *net.TCPConn, d time.Duration) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d/time.Millisecond))
	})
}
