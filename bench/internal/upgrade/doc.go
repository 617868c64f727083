// Package upgrade is the client's side of the opening handshake, as bytes.
//
// The noun is a Request: the head that all connections of a loop send, with a fresh key for each. The invariant: an answer
// is a session only if it is a 101 with the accept key of the very request (RFC 6455 section 4.1).
//
// It refuses what the measurements do not need: subprotocols, extensions, TLS.
package upgrade
