//go:build linux && !portable

package proxy

// cutsHandshakes says that the end of the router cuts handshakes under way: their
// sockets wait in the loops.
const cutsHandshakes = true
