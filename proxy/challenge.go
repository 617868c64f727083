package proxy

import (
	"bytes"
	"fmt"
)

// challengePath is where a directory of ACME looks when it validates a host name
// by http-01 (RFC 8555 §8.3).
var challengePath = []byte("/.well-known/acme-challenge/")

// answerChallenge answers a directory of ACME that looks at a challenge, and
// reports whether it was one.
func (c *clientConn) answerChallenge() bool {
	look, r := c.gate.challenge, &c.request
	if look == nil || string(r.Method) != "GET" || !bytes.HasPrefix(r.Path, challengePath) {
		return false
	}
	body, ok := look(string(r.Host), string(r.Path))
	if !ok {
		return false
	}
	c.refused = true // there is nothing left for the HTTP server
	c.say(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	return true
}
