// Package failover measures what clients notice when the primary upstream goes away under pointsman.
//
// The noun is a trial: a primary and a secondary upstream, pointsman in front of them, new sessions at a fixed rate (one
// handshake, one echoed message, one close), and one fault: the primary is killed, so that connections are refused, or
// stopped, so that the kernel still accepts connections and nobody answers. The invariant: sessions begin on schedule
// whatever happens to earlier ones, so a slow time cannot hide itself, and the client's own patience is longer than
// every time-out of the proxy, so a slow failover shows as latency and only a refused client as a failure.
//
// Lifecycle: Run starts the three processes and stops them before it returns.
//
// Its clients are those of coder/websocket and share nothing with package load: latency counts here, not rate. It
// refuses to judge; package report does that.
package failover
