package http2

import (
	"testing"

	h2 "golang.org/x/net/http2"
)

// TestDemand11 checks that a request that is sent to HTTP/1.1 gets that code alone,
// once, and that the connection goes on.
func TestDemand11(t *testing.T) {
	r := start(t, Options{}, func(s *Stream) {
		if _, err := readHead(s); err != nil {
			t.Error(err)
		}
		s.Demand11()
		s.Demand11()
		if _, err := s.Write([]byte("HTTP/1.1 204 No Content\r\n\r\n")); err == nil {
			t.Error("it could still be answered")
		}
		s.Close()
	})
	id := r.ask(true, list(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/"))
	r.wantsReset(id, h2.ErrCodeHTTP11Required)
	id = r.ask(false, list(":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/"))
	r.wantsReset(id, h2.ErrCodeHTTP11Required)
}
