// Package proxy is the router: it accepts WebSocket clients and joins each to an
// upstream that takes sessions. Its noun is the session.
//
// # Invariant
//
// A client is answered 101 only after an upstream has answered 101, verified.
// Until then a failed attempt moves on to the next upstream and the client sees
// nothing of it; afterwards the session stays where it is until it ends.
//
// # The life of a session, by file
//
//   - reception.go is what the loops do by themselves: a plain handshake, from its
//     first byte to the session or the refusal, without a goroutine. All others it
//     hands over.
//   - gate.go reads the head of a new connection and has it judged, before
//     anything else parses a byte of it.
//   - streams.go has package http2 carry a connection of HTTP/2, and lets each of
//     its streams in through the same gate.
//   - serve.go is the whole life in one place: classify, check, connect, answer, join.
//   - forwarded.go finds out who the client is, behind proxies that are trusted;
//     peraddress.go counts its sessions.
//   - route.go finds the rule for a host and path, origins.go judges the page.
//   - search.go is the search for an upstream among those that package pool picks,
//     one attempt each; it waits for nothing. connect.go makes the attempts that a
//     goroutine waits for: on a connection that spares.go has kept ready, or that
//     dial.go opens, ask.go asks and judges the answer.
//   - answer.go writes every answer that is not a 101; refusals.go names and counts
//     them.
//   - ticket.go is who a client of an Azure service is, and what each upstream is
//     shown in the place of its token; afresh.go how such clients are sent elsewhere.
//   - frontdesk.go answers the plain requests of a route that stands for a service,
//     with what desk.go has at hand: negotiations (package negotiate, and
//     negotiation.go where an upstream answers), and calls of the REST API (package
//     fanout). plain.go, content.go and reply.go are their HTTP.
//   - package relay then moves the frames, and session.go takes the end.
//
// # Lifecycle
//
// [New] validates and starts nothing. [Proxy.Run] serves until its context is
// done, then stops accepting, ends the sessions with Close 1001, and returns
// when everything it started has ended.
package proxy
