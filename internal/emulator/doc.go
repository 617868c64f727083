// Package emulator is a small, honest WebSocket upstream for the demo, for
// tests and for work on a laptop. Its noun is the [Emulator].
//
// An emulator echoes every text and binary message on every path, or leaves the
// answers to a [Service]: those in the packages below it emulate Azure Web
// PubSub and Azure SignalR Service. It answers GET /api/health itself, and can
// be told to misbehave the way real upstreams do:
// refuse connections, hang, reset, answer handshakes with an error, be slow,
// report itself unhealthy. Each fault is a method and, over HTTP, a POST under
// /control/ (see [Emulator.Run] for the list).
//
// Invariant: apart from the faults that were switched on, an emulator obeys
// RFC 6455. As an echo it returns each message with its type and bytes unchanged,
// one answer per message and in order. It ends a session with a Close frame
// unless it was told to cut.
//
// Lifecycle: [New] validates and opens nothing. [Emulator.Listen] binds the
// addresses, so that [Emulator.URL] is known. [Emulator.Run] serves until its
// context ends, closes the sessions with 1001 and returns when all its
// goroutines have ended. Tests use the short form:
//
//	e, err := emulator.New(emulator.Options{Name: "east"})
//	stop, err := e.Start()
//	t.Cleanup(stop)
//
// The package refuses to be a server for others: it knows no TLS, and whoever
// reaches /control/ controls it. Keep it on loopback.
package emulator
