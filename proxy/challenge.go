package proxy

import (
	"bytes"
	"fmt"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// challengePath is where a directory of ACME looks when it validates a host name
// by http-01 (RFC 8555 §8.3).
var challengePath = []byte("/.well-known/acme-challenge/")

// mayBeChallenge reports whether a request may be that of such a directory.
func (g *gate) mayBeChallenge(r *handshake.Request) bool {
	return g.challenge != nil && string(r.Method) == "GET" && bytes.HasPrefix(r.Path, challengePath)
}

// answerChallenge answers a directory of ACME that looks at a challenge, and
// reports whether it was one.
func (c *clientConn) answerChallenge() bool {
	r := &c.request
	if !c.gate.mayBeChallenge(r) {
		return false
	}
	body, ok := c.gate.challenge(string(r.Host), string(r.Path))
	if !ok {
		return false
	}
	c.refused = true // there is nothing left for the HTTP server
	c.say(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	return true
}
