// Package relay moves the frames of joined WebSockets. Its noun is the session:
// one client connection and the upstream connection it is joined to.
//
// # Invariant
//
// What one side sends reaches the other side in order and unchanged, or the
// session ends. Only three things are ever added or taken away: a Close frame
// that ends the session, a Ping of our own, and the Pong that answers it. They
// stand between two frames, never inside one. A session has one owner at any
// time, ends exactly once, and says why ([End]).
//
// # How
//
// On Linux there is one event loop per processor. Both sockets of a session
// live in the same loop, which owns all of the session's state; other
// goroutines reach it through a mailbox. A loop has one large read buffer for
// whichever socket is ready and writes to the peer at once, so an idle session
// holds no buffer. Only what a full socket did not take is kept, in a pooled
// chunk, and the other socket is not read until that is gone.
//
// The loops also accept clients and ask upstreams, as a [Reception] bids them: so a
// handshake that waits for nothing but its two sockets needs no goroutine either, and
// nor does a client that is slow or is sent away. A client that is not joined yet is a
// [Guest] of its loop. In each turn sessions come first, and then a few guests.
//
// TLS is done in the loops, too. Its handshake is not: a goroutine does it on a
// connection of [Server] or [Client] before the session is joined. From then on
// the loop reads the socket, and crypto/tls reads what the loop has read; what
// crypto/tls writes, the loop sends. So TLS never waits. What it keeps of a session
// at rest is its keys, and a buffer for the largest record that has come.
//
// A client that sends more than [Rate] allows is not read for a moment, and TCP
// holds it up; each loop knows when whose turn is. A session without such a limit
// knows nothing of it. What stays behind of a held up client in the relay is some
// small messages that one read took in vain, with TLS the rest of a record.
//
// A client connection that is no socket, such as a stream of HTTP/2, is joined
// over a pair of sockets: the loop has one end, and at the other a goroutine for
// each direction carries its bytes.
//
// Elsewhere, or with the build tag portable, two goroutines with blocking reads
// drive the same session code under a lock. That is for laptops.
//
// # What it refuses
//
// The relay does not judge a handshake, choose an upstream or retry, and it never
// looks into the payload of a message: that belongs to the two ends. It does no handshake of
// TLS and no renegotiation.
package relay
