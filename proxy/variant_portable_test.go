//go:build !linux || portable

package proxy

// cutsHandshakes says that handshakes under way take their time.
const cutsHandshakes = false
