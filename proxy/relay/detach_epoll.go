//go:build linux && !portable

package relay

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
)

func detach(secured *tls.Conn) error {
	w, ok := secured.NetConn().(*wire)
	if !ok || w.Conn == nil {
		return net.ErrClosed // not ours, or joined
	}
	near, ok := w.Conn.(*conn)
	if !ok {
		return nil // it was never in a loop
	}
	fd, _ := near.take(nil)
	if fd < 0 {
		return net.ErrClosed
	}
	ordinary, err := connOf(fd)
	if err != nil {
		return fmt.Errorf("detach: %w", err)
	}
	w.Conn = ordinary
	return nil
}

// connOf gives a socket to the runtime's poller, or closes it.
func connOf(fd int32) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "socket")
	defer file.Close() // the connection has a descriptor of its own
	return net.FileConn(file)
}
