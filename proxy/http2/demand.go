package http2

import h2 "golang.org/x/net/http2"

// Demand11 refuses the request: it is to be made with HTTP/1.1 (RFC 9113 §7, HTTP_1_1_REQUIRED), which the client then does by itself
// on another connection. It is for a request that has not been answered. The stream still has to be closed.
func (s *Stream) Demand11() {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.closed || s.gone || s.answered {
		return
	}
	_ = c.frames.WriteRSTStream(s.id, h2.ErrCodeHTTP11Required)
	s.answered, s.outEnded = true, true
	s.fail(errAnswered)
}
