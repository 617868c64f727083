// Package handshake is the opening handshake of a WebSocket session as an intermediary sees it: the client's request head
// and the upstream's answer head, as bytes.
//
// It holds the rules of RFC 6455 §4 (the handshake), RFC 9112 (message syntax) and RFC 9110 §7.6.1 (fields that belong to
// one hop), and nothing else: no connection, no goroutine, no clock. Every function is pure and may be called from any
// goroutine, as long as two goroutines do not share one [Request] or one [Answer].
//
// # Use
//
// The reader of a new connection calls [RequestEnd] after each read until the head is complete, then [ParseRequest] and
// [Request.CheckUpgrade]. [Request.Trace] finds out who the client is, behind proxies that are trusted, and
// [Request.AppendUpstream] writes the head for the chosen upstream. What the upstream sends goes through [AnswerEnd] and
// [ParseAnswer]; an interim answer ([Answer.Interim]) is skipped, at most [MaxInterim] times. [Answer.AppendClient] writes the
// head for the client. Bytes behind a head are never looked at: they are the first frames.
//
// # Invariants
//
//   - A head is judged whole and once. Whatever [ParseRequest] accepts, a strict HTTP/1.1 parser reads in the same way:
//     one method, one target, one host, the same fields; there is nothing left for two parsers to disagree about.
//   - What goes to the upstream is a valid opening handshake with the client's own key, subprotocols and extensions, with
//     exactly one Host, Connection and Upgrade field, and without fields that the client has no right to set.
//   - An [Answer] with status 101 has been proved against the request: protocol, accept key, subprotocol, extensions.
//
// # Memory
//
// Nothing is copied: fields are sub-slices of the head. The caller owns the head's buffer and leaves it alone until it is
// done with the Request, Answer or [Trail], and ParseAnswer also reads the Request. All three may be used again for another
// head and keep their slices' capacity, so a warm handshake allocates nothing, but for each address that a trusted proxy names.
// Refusals are values prepared in advance ([Refusals]).
//
// # What it refuses to do
//
// It does not follow a redirect, read a body, compare an Origin with a list, pick a route or an upstream, look into the
// parameters of an extension (they are between the two ends), or repair a malformed head. It adds no Via field: the tunnel
// is transparent, and X-Forwarded-For already tells the upstream about the hop.
package handshake
