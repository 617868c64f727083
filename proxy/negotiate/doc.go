// Package negotiate makes the answers of the control path: where a client shall connect, and with which token. Its noun is the
// [Negotiator]; beside it stands [Affinity], which leads the requests of one client connection to the same upstream.
//
// # What is answered
//
//   - [Negotiator.Negotiate]: a client of Web PubSub gets {"url": …}, one of SignalR the redirect form of its negotiation, protocol
//     version 0 or 1. [ViaProxy] leads it to this router with a token of the router's own, [ViaDirect] to the upstream that was picked
//     with a token of that upstream.
//   - [Negotiator.GenerateToken]: the call :generateToken of both REST APIs.
//   - [Negotiator.List]: all upstreams with what routing believes of them, in the form that Azure Functions hands to applications.
//   - [Affinity.Adapt]: the answer of a SignalR server behind us, with a connection token that leads back to this server.
//
// # Invariants
//
//   - Nothing is answered with a token unless the request was authenticated with a key of the route, or the route was declared open.
//   - Where an upstream is named, it is one that the router of the set has picked for this request.
//   - Every answer is complete: status, header fields and body. None holds more of a refused request than its fault.
//   - An upstream's answer is changed in one place, its connection token, or passed byte for byte, or refused. It is never guessed at.
//
// # Lifecycle
//
// [New] and [NewAffinity] validate and start nothing; there is nothing to close. All methods are pure but for the random numbers
// that they draw, the memory of an Affinity and of verified tokens, and the clock. They may be called concurrently. They do not
// block: whoever wants upstreams probed on demand does so before he asks.
//
// # What the package refuses
//
// It speaks no HTTP: a [Request] comes in, an [Answer] goes out. It follows no redirect of an upstream; where that leads is between
// the client and the one who sent it. It grants no permissions that the request or the configuration did not name.
//
// The wire formats are those of the published clients and servers of SignalR and Web PubSub. What could not be verified is marked
// where it matters.
package negotiate
