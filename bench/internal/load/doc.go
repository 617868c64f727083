// Package load is the client side of the measurements: many WebSocket clients in few threads, leaner than anything that
// can stand between them and the echo.
//
// The noun is a run: Relay keeps one message in flight on each connection, or sends at a fixed pace, Handshakes opens sessions as fast as they
// are accepted, Idle opens sessions and holds them. The invariant: every echoed byte is compared with what was sent,
// including the number of the message, and every 101 answer with its key; whatever differs is counted as an error and
// never as a result.
//
// Each loop is one goroutine on one thread with its own epoll set, connections and histogram. A run starts its loops,
// moves them from phase to phase, and returns when all have ended and all sockets are closed.
//
// Sessions are ended with a RST, so that no port stays in TIME_WAIT on either side and loopback's 28,000 ports do not
// limit the rate.
//
// It refuses IPv6, extensions and addresses that need a resolver: everything runs on loopback.
package load
