//go:build !linux || portable

package relay

import "net"

// wire stands between TLS and the connection, for what stands there during the
// handshake ([Places]).
type wire struct{ net.Conn }

func secured(conn net.Conn) net.Conn { return &wire{conn} }

// CloseWrite ends the stream to the other end, where the connection can do that.
func (w *wire) CloseWrite() error {
	if c, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}
