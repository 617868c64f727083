// Package http2 is the server side of a connection of HTTP/2 (RFC 9113) that
// carries WebSockets (RFC 8441). Its noun is the stream: one request of the
// client, as a [net.Conn] that looks like a connection of HTTP/1.1.
//
// # Invariant
//
// Whoever has a [Stream] reads the head of an HTTP/1.1 request from it, writes
// an HTTP/1.1 answer to it, and after a 101 reads and writes the bytes of a
// WebSocket. An extended CONNECT is an upgrade with a key of our own, a 101
// becomes status 200, the end of one direction is END_STREAM, and an abrupt end
// is RST_STREAM with CANCEL. What the two versions of HTTP demand of each other's
// heads is kept, so nothing stands in a head that a strict parser of HTTP/1.1
// reads differently.
//
// # Bounds
//
// A client has a window of [Window] bytes on each stream, which opens again only
// as whoever has the stream takes bytes. That and the number of streams bound
// what waits for the sessions, so the window of the connection is opened at once
// and a stream that nobody reads holds up no other. What waits for the client is
// bounded for all streams together. A place is free again when its
// [Stream] has been closed, not when the client has reset it: who resets what it
// has just asked for gains nothing (CVE-2023-44487). Frames that carry nothing
// are paid for from a budget; a client that has used it up is told to calm
// down.
//
// # Lifecycle
//
// [New] makes a connection and starts nothing. [Conn.Run] reads it in the
// caller's goroutine until it has ended, with one more goroutine that writes and
// one for each request until its handler returns. [Conn.Leave] ends it in good
// order, [Conn.Close] at once. A connection that has had no session for a while
// ends by itself; requests that are refused do not prolong its life.
//
// # What it refuses
//
// It pushes nothing, knows no priorities, has no request bodies other than
// WebSockets, and does no TLS: that and the choice of HTTP/2 are done before.
// It does not judge requests beyond what HTTP/2 itself demands. Frames and the
// compression of fields are golang.org/x/net/http2's.
package http2
