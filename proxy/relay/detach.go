package relay

import "crypto/tls"

// Detach takes a connection of [Server], whose handshake is done, out of the
// loops. From then on it is an ordinary connection: several goroutines may use it,
// and a deadline that is set holds for calls under way, but it cannot be joined any
// more. No other call may be under way, and the deadlines have to be set anew. If
// it fails the connection is of no more use than to be closed.
func Detach(conn *tls.Conn) error { return detach(conn) }
