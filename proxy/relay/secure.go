package relay

import (
	"crypto/tls"
	"errors"
	"net"
)

// Server returns the server side of TLS over conn, a connection of
// [Relay.Listen] or any other, such that a session can be joined with it. The
// handshake is done in the caller's goroutine, like everything else before
// [Relay.Join]; from then on a loop does what TLS does, and until the session has
// ended nobody else may use the connection.
func Server(conn net.Conn, config *tls.Config) *tls.Conn { return tls.Server(secured(conn), config) }

// Client returns the client side of TLS over conn; see [Server]. It does not
// renegotiate, whatever config says: a loop cannot wait for a handshake.
func Client(conn net.Conn, config *tls.Config) *tls.Conn {
	if config != nil && config.Renegotiation != tls.RenegotiateNever {
		config = config.Clone()
		config.Renegotiation = tls.RenegotiateNever
	}
	return tls.Client(secured(conn), config)
}

// errNoHandshake refuses a connection whose TLS has not begun.
var errNoHandshake = errors.New("join: the TLS handshake is not done")

// handshakeDone reports whether a connection has no TLS, or TLS whose handshake is
// done.
func handshakeDone(conn net.Conn) bool {
	t, ok := conn.(*tls.Conn)
	return !ok || t.ConnectionState().HandshakeComplete
}

// below is the connection under TLS. To close that is to close at once: TLS would
// say good-bye first, and wait for room.
func below(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}
