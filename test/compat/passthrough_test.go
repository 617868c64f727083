//go:build compat && linux

package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// application is a server of the application's own behind the router.
type application struct {
	peer
	name string
	port int
}

// startApplications starts two of them.
func startApplications(t *testing.T, script string) map[string]*application {
	t.Helper()
	both := make(map[string]*application, 2)
	for _, name := range []string{"east", "west"} {
		p := peer{launch(t, name, "node", script, name)}
		e := p.next()
		if e.Event != "listening" {
			t.Fatalf("%s began with %+v", name, e)
		}
		both[name] = &application{p, name, e.Port}
	}
	return both
}

// startPassing starts a router in front of both, which are of equal rank, that passes all requests.
func startPassing(t *testing.T, protocol string, both map[string]*application) *router {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pointsman.yaml")
	text := fmt.Sprintf(`listen: "127.0.0.1:0"
admin: "127.0.0.1:0"
upstreams:
  - {name: east, url: "ws://127.0.0.1:%d"}
  - {name: west, url: "ws://127.0.0.1:%d"}
routes:
  - {protocol: %s, http: pass, access_keys: ["0123456789abcdef0123456789abcdef"]}
`, both["east"].port, both["west"].port, protocol)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startRouter(t, "east", "--config", file)
	r.waitHealthy("west")
	return r
}

// opened waits until that many clients have told which server they are at, and counts them.
func (p peer) opened(count int, kind string) map[string]int {
	p.t.Helper()
	at := make(map[string]int)
	for n := 0; n < count; {
		switch e := p.next(); e.Event {
		case "open":
			if e.Kind != kind {
				p.t.Errorf("a client is connected by %s, want %s", e.Kind, kind)
			}
			at[e.Path]++
			n++
		case "refused":
			p.t.Logf("%s: %s", p.name, e.Reason) // while a server is gone: they try again
		}
	}
	return at
}

// TestPassthrough has clients fall back to what is no WebSocket, in front of two servers that share nothing: everything of
// one client has to come to the same one. Then one of the servers dies, and its clients go to the other.
func TestPassthrough(t *testing.T) {
	const clients = 20
	for _, row := range []struct {
		name, protocol, server, client string
		args                           []string
		kind                           string
	}{
		{"socket.io", "websocket", "passthrough_socketio_server.js", "passthrough_socketio_client.js", nil, "websocket"},
		{"socket.io, polling only", "websocket", "passthrough_socketio_server.js", "passthrough_socketio_client.js", []string{"polling"}, "polling"},
		{"signalr as websocket, WebSockets", "websocket", "passthrough_signalr_server.js", "passthrough_signalr_client.js", []string{"WebSockets"}, "WebSockets"},
		{"signalr as signalr, WebSockets", "signalr", "passthrough_signalr_server.js", "passthrough_signalr_client.js", []string{"WebSockets"}, "WebSockets"},
		{"signalr as websocket, ServerSentEvents", "websocket", "passthrough_signalr_server.js", "passthrough_signalr_client.js", []string{"ServerSentEvents"}, "ServerSentEvents"},
		{"signalr as signalr, ServerSentEvents", "signalr", "passthrough_signalr_server.js", "passthrough_signalr_client.js", []string{"ServerSentEvents"}, "ServerSentEvents"},
		{"signalr as websocket, LongPolling", "websocket", "passthrough_signalr_server.js", "passthrough_signalr_client.js", []string{"LongPolling"}, "LongPolling"},
		{"signalr as signalr, LongPolling", "signalr", "passthrough_signalr_server.js", "passthrough_signalr_client.js", []string{"LongPolling"}, "LongPolling"},
	} {
		t.Run(row.name, func(t *testing.T) {
			both := startApplications(t, "node/"+row.server)
			r := startPassing(t, row.protocol, both)
			url := "http" + r.url[len("ws"):]
			if row.server == "passthrough_signalr_server.js" {
				url += "/hub"
			}
			args := append([]string{"node/" + row.client, url, fmt.Sprint(clients)}, row.args...)
			p := peer{launch(t, "clients", "node", args...)}
			at := p.opened(clients, row.kind)
			t.Logf("at first: %v", at)
			if at["east"] == 0 || at["west"] == 0 {
				t.Errorf("one server has them all: %v", at)
			}
			began := time.Now()
			both["east"].kill()
			moved := p.opened(at["east"], row.kind)
			t.Logf("moved within %v: %v", time.Since(began).Round(time.Millisecond), moved)
			if moved["west"] != at["east"] {
				t.Errorf("the clients of east went to %v", moved)
			}
			p.kill()
			r.ends()
		})
	}
}
