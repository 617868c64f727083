//go:build !linux || portable

package relay

import (
	"net"
	"net/netip"
	"time"
)

func (r *Relay) listen(ln net.Listener) (net.Listener, error) { return ln, nil }

func (r *Relay) dial(_ net.Conn, address netip.AddrPort, deadline time.Time) (net.Conn, error) {
	d := net.Dialer{Deadline: deadline, KeepAlive: -1}
	return d.Dial("tcp", address.String())
}

// moment is when to end a read that shall take only what is there: the system
// gives no bytes to a read whose time is over.
func moment(net.Conn) time.Time { return time.Now().Add(time.Millisecond) }

func setUserTimeout(net.Conn, time.Duration) {}

func (r *Relay) after(d time.Duration, f func()) { time.AfterFunc(d, f) }
