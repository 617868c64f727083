package relay

import (
	"crypto/tls"
	"net"
	"time"
)

// The other end of an ordinary connection that is quiet is asked by TCP whether it
// is there, because no loop does: it is given up after less than vanished.
var askedByTCP = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 10 * time.Second, Count: 3}

// vanished is how long bytes may stay unacknowledged.
const vanished = time.Minute

// Ordinary takes a connection of [Relay.Listen] or [Relay.Dial], or [Server] or
// [Client] over that with its handshake done, out of the loops, and returns it as an
// ordinary one: one goroutine may read while another writes, and a deadline that
// is set holds for calls under way. It can still be joined. No other call may be
// under way, and the deadlines have to be set anew. If the other end vanishes, a
// read or write fails within a minute or so, even if nothing is to be said. Connections that are
// not of TCP come back as they are. If it fails the connection is closed.
func Ordinary(conn net.Conn) (net.Conn, error) {
	if t, ok := conn.(*tls.Conn); ok {
		if err := Detach(t); err != nil {
			t.NetConn().Close()
			return nil, err
		}
		watchOver(tcpBelow(t.NetConn()))
		return t, nil
	}
	conn, err := ordinary(conn)
	if err != nil {
		return nil, err
	}
	watchOver(tcpBelow(conn))
	return conn, nil
}

// tcpBelow is the connection of TCP that another one stands for, nil if there is
// none.
func tcpBelow(conn net.Conn) *net.TCPConn {
	if w, ok := conn.(*wire); ok {
		conn = w.Conn
	}
	tcp, _ := conn.(*net.TCPConn)
	return tcp
}

// watchOver has TCP notice when the other end vanishes; nil is no connection.
func watchOver(conn *net.TCPConn) {
	if conn != nil {
		_ = conn.SetKeepAliveConfig(askedByTCP)
		giveUpAfter(conn, vanished)
	}
}
