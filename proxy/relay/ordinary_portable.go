//go:build !linux || portable

package relay

import (
	"net"
	"time"
)

func ordinary(conn net.Conn) (net.Conn, error) { return conn, nil }

// giveUpAfter does nothing: each system has its own way.
func giveUpAfter(*net.TCPConn, time.Duration) {}
