package proxy

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// TestHTTPAccessLog checks the record of a request, in which no query stands.
func TestHTTPAccessLog(t *testing.T) {
	balanced(t)
	s, _ := scripted(t, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno")
	var out bytes.Buffer
	r := passing(t, Options{AccessLogger: slog.New(slog.NewTextHandler(&out, nil))}, HTTP{}, member{address: s.address()})
	r.exchange("POST", "POST /p?token=secret HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
	r.stop() // which writes what is queued
	got := out.String()
	for _, want := range []string{"msg=request", "client=127.0.0.1", "method=POST", "path=/p", "upstream=east", "status=404", "whole=true", "client_bytes=3", "upstream_bytes=2"} {
		if !strings.Contains(got, want+" ") && !strings.Contains(got, want+"\n") {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if strings.Contains(got, "secret") || strings.Count(got, "\n") != 1 {
		t.Errorf("got %q", got)
	}
}
