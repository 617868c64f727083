//go:build !linux || portable

package relay

import (
	"net"
	"time"
)

func ordinary(conn net.Conn) (net.Conn, error) { return conn, nil }

// tcpBelow is the connection itself if it is of TCP, else nil.
func tcpBelow(conn net.Conn) *net.TCPConn {
	tcp, _ := conn.(*net.TCPConn)
	return tcp
}

// giveUpAfter does nothing: each system has its own way.
func giveUpAfter(*net.TCPConn, time.Duration) {}
