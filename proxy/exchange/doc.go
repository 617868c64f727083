// Package exchange carries plain requests of HTTP/1.1 to an upstream and their answers back. Its noun is the [Exchange]: one
// request, whose head the caller has judged, and its answer.
//
// # Invariants
//
//   - Nothing is gathered before it is passed on: what one side sends goes to the other as it comes, and a side that takes nothing
//     holds up the other. An idle exchange holds two buffers of a few KiB.
//   - Each message has one framing on each side (RFC 9112 §6), and it is ours: bodies are taken out of the framing in which they
//     came, which is read to the letter, and put into a new one. No byte of one message can become part of another.
//   - An answer that is not whole is never made to look whole. If the upstream ends it early, or its framing is broken, the client's
//     connection ends within it: before the last chunk, short of the length, or with a reset if nothing else tells. The one
//     exception is [Exchange.Leave] for a stream of server-sent events, which has no end of its own.
//   - The body of a request that breaks off never looks whole to the upstream either.
//   - A client that goes away takes its request with it: the connection to the upstream is closed.
//
// # Lifecycle
//
// A [Client] is the connection of a client, for one exchange after the other. [New] makes an exchange and starts nothing.
// [Exchange.Send] sends the head, to one upstream after the other until one has taken a byte of it. [Exchange.Carry] does the rest in
// the caller's goroutine, with one more that reads the client, and returns when both have ended. The connection to the upstream is for
// one exchange, and closed then.
//
// # What it refuses
//
// It picks no upstream, opens no connection, tries nothing twice and answers nothing itself: what went wrong is for the caller
// to tell the client. Trailers are checked and dropped (RFC 9110 §6.5.1 allows it), chunk extensions too. A 101 is not an answer to what
// is carried here.
package exchange
