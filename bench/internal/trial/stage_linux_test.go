package trial

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
)

func TestUpstreamEntry(t *testing.T) {
	f := func(u upstream, want string) {
		t.Helper()
		if got := u.entry("role: secondary"); got != "  - {name: far, "+want+", role: secondary}\n" {
			t.Errorf("%q, want %q", got, want)
		}
	}
	secure := &authority.Authority{CAFile: "/ca"}
	f(upstream{name: "far", addr: "127.0.0.1:1"}, `url: "ws://127.0.0.1:1"`)
	f(upstream{name: "far", addr: "127.0.0.1:1", way: "127.0.0.1:2"}, `url: "ws://127.0.0.1:2"`)
	f(upstream{name: "far", addr: "127.0.0.1:1", secure: secure}, `url: "wss://127.0.0.1:1", tls: {ca: "/ca", server_name: "bench.test"}`)
}

// The sampler tells refusals from everything else.
func TestSampler(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	addr := strings.TrimPrefix(s.URL, "http://")
	_, err := handshake(addr)
	if r, ok := errors.AsType[*refusal](err); !ok || r.status != 503 {
		t.Errorf("%v, want a refusal with 503", err)
	}
	clients := sample(t.Context(), addr, 1000)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		clients.mu.Lock()
		n := clients.status[503]
		clients.mu.Unlock()
		if n >= 3 {
			break
		}
	}
	s.Close()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		clients.mu.Lock()
		n := clients.status[0]
		clients.mu.Unlock()
		if n >= 3 {
			break
		}
	}
	_, failed := clients.stop()
	if clients.status[503] < 3 || clients.status[0] < 3 || clients.tried() != failed || clients.first == nil {
		t.Errorf("%v, %d tried, %d failed, first %v", clients.status, clients.tried(), failed, clients.first)
	}
}
