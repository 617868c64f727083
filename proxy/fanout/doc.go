// Package fanout makes one call of a data-plane REST API into calls to all upstreams that it concerns, and their answers into one.
// Its noun is the [Fanout].
//
// # What goes where
//
// [Table] has every known call of Azure Web PubSub (stable versions 2021-10-01 to 2024-12-01) and of Azure SignalR Service
// (/api/v1, and 2022-06-01 to 2024-12-01), each with its [Kind], which says to whom it goes and how the answers are combined. An
// answer is a yes (2xx), a no (404, where the call knows one) or a failure. A yes from anyone is the answer, a failure beats a no,
// and what some have not done is told.
//
// # Invariants
//
//   - Nothing is silent: unless every upstream that the call concerns has done its part, the answer names those that have not, in the
//     field [PartialField], with what became of each in [ResultField], and in the body where the answer may have another one.
//   - A message is never sent twice to an upstream, unless the first time nothing of it had left: an answer that is lost, late or broken
//     is a failure. Other calls are repeated only if the table says that it makes no difference, and only if configured.
//   - Each upstream gets the caller's path byte for byte and a token of its own: signed with its key, for its host, with the claims of
//     the caller's.
//   - Memory is bounded: calls at a time, bytes of a body, bytes of an answer, connections, and connection ids known.
//
// # Lifecycle
//
// [New] validates and starts nothing; connections are opened as they are needed and kept for a while. [Fanout.Do] returns when all
// that it has started has ended; a deadline per upstream sees to that. [Fanout.Close] closes what is kept. A [Directory] outlives a
// reload: hand it to the next Fanout. Everything may be used concurrently.
//
// A call goes on when its client has gone: half of a broadcast is worse than all of it. Do not tie the context of Do to the client's
// connection, but to the life of the process.
//
// # What the package refuses
//
// It verifies no token: the caller hands in one that is verified. It decides no routing: the caller may hand in a choice of
// upstreams. It knows no wire but HTTP/1.1. It answers neither probes nor :generateToken, which are answered elsewhere ([Local]).
// It does not understand filters, lists of exclusions and messages; they pass as they came.
package fanout
