// Package echo is the upstream that the measured proxies stand in front of: a WebSocket echo server that costs as
// little as possible, so that what is measured is the proxy.
//
// The noun is a Server. Each of its loops owns a listener (SO_REUSEPORT), an epoll set and every connection it accepted;
// nothing is shared between loops but the number of open sessions, which GET /api/sessions tells. The invariant: a message is answered whole, with one write where the socket takes
// it, as a real server would; a session at rest holds no buffer.
//
// Lifecycle: Listen opens the sockets and starts nothing; Run serves until its context ends and closes everything.
//
// A peer that ends its connection is answered with a RST instead of a FIN. A proxy closes its side first when its
// client leaves, and would keep the port in TIME_WAIT; at ten thousand sessions per second the 28,000 ports of loopback
// would be the figure measured. After a Close frame the server ends the TCP connection normally (RFC 6455 section 7.1.1).
//
// It refuses extensions, subprotocols, messages above 16 MiB and time limits: it is no server for strangers.
package echo
