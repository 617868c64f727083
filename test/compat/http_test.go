//go:build compat && linux

package compat

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// curl returns the head and the body of the answer that curl gets.
func curl(t *testing.T, args ...string) (status int, header http.Header, body string) {
	t.Helper()
	args = append([]string{"--silent", "--show-error", "--include", "--max-time", "60"}, args...)
	p := launch(t, "curl", "curl", args...)
	first := p.line()
	if _, err := fmt.Sscanf(first, "HTTP/1.1 %d ", &status); err != nil {
		t.Fatalf("curl wrote %q: %v", first, err)
	}
	header = make(http.Header)
	for line := p.line(); line != ""; line = p.line() {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("curl wrote %q among header fields", line)
		}
		header.Add(name, strings.TrimSpace(value))
	}
	var lines []string
	for deadline := time.After(patience); ; {
		select {
		case line, ok := <-p.lines:
			if ok {
				lines = append(lines, line)
				continue
			}
		case <-deadline:
			t.Fatalf("curl did not end in %v", patience)
		}
		break
	}
	// curl speaks no WebSocket: it gives up on a session.
	if code := p.exit(); code != 0 && status != http.StatusSwitchingProtocols {
		t.Errorf("curl ended with exit code %d", code)
	}
	return status, header, strings.Join(lines, "\n")
}

// upgrade are the arguments for the handshake that RFC 6455 §1.3 shows, with changes: a field without a value is left out.
func upgrade(changes ...string) []string {
	fields := map[string]string{
		"Connection":            "Upgrade",
		"Upgrade":               "websocket",
		"Sec-WebSocket-Key":     "dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Version": "13",
	}
	for _, change := range changes {
		name, value, _ := strings.Cut(change, ":")
		fields[name] = value
	}
	args := []string{"--http1.1"}
	for name, value := range fields {
		if value != "" {
			args = append(args, "--header", name+": "+value)
		}
	}
	return args
}

// TestHTTP: what curl is told, when it asks for a session and when it does not.
func TestHTTP(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pointsman.yaml")
	text := fmt.Sprintf(`
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstreams: [{name: emulator, url: "%s"}]
routes: [{match: {path: /chat}, upstreams: [emulator]}]
`, startEmulator(t))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startRouter(t, "emulator", "--config", file)
	clients := strings.Replace(r.url, "ws://", "http://", 1)

	none := http.Header{}
	version := http.Header{"Sec-Websocket-Version": {"13"}}
	for _, row := range []struct {
		name   string
		args   []string
		path   string
		status int
		header http.Header // is part of the answer's
	}{
		{"session", append(upgrade(), "--max-time", "3"), "/chat", 101, http.Header{
			"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
		}},
		{"plain request", nil, "/chat", 426, http.Header{"Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}}},
		{"no route", nil, "/news", 404, none},
		{"session, no route", upgrade(), "/news", 404, none},
		{"old version", upgrade("Sec-WebSocket-Version:8"), "/chat", 426, version},
		{"no version", upgrade("Sec-WebSocket-Version:"), "/chat", 426, version},
		{"no key", upgrade("Sec-WebSocket-Key:"), "/chat", 400, none},
		{"short key", upgrade("Sec-WebSocket-Key:c2hvcnQ="), "/chat", 400, none},
		{"other protocol", upgrade("Upgrade:h2c"), "/chat", 400, none},
		{"HTTP/2 by upgrade", []string{"--http2"}, "/chat", 400, none},
		{"POST", append(upgrade(), "--request", "POST"), "/chat", 405, http.Header{"Allow": {"GET"}}},
		{"HTTP/1.0", append(upgrade(), "--http1.0"), "/chat", 400, none},
		{"body", append(upgrade(), "--request", "GET", "--data", "hello"), "/chat", 400, none},
		{"long head", append(upgrade(), "--header", "X-Long: "+strings.Repeat("x", 20<<10)), "/chat", 431, none},
		{"climbing path", append(upgrade(), "--path-as-is"), "/chat/../../news", 400, none},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, header, body := curl(t, append(row.args, clients+row.path)...)
			if status != row.status {
				t.Fatalf("status %d, want %d; %v %s", status, row.status, header, body)
			}
			for name, want := range row.header {
				if got := header.Get(name); !strings.EqualFold(got, want[0]) {
					t.Errorf("%s: %q, want %q", name, got, want[0])
				}
			}
			if status == http.StatusSwitchingProtocols {
				return
			}
			if got := header.Get("Connection"); !strings.HasPrefix(got, "close") {
				t.Errorf("Connection: %q after a refusal", got)
			}
			if want := fmt.Sprintf(`{"status":%d,"error":"`, row.status); !strings.HasPrefix(body, want) {
				t.Errorf("body %q does not begin with %q", body, want)
			}
		})
	}
	r.ends()
}

// TestAdmin: what curl is told at the admin address.
func TestAdmin(t *testing.T) {
	r := startRouter(t, "primary-1", onFreePorts("--primary", startEmulator(t))...)
	for _, row := range []struct {
		path   string
		status int
		body   string // is part of the answer's
	}{
		{"/healthz", 200, ""},
		{"/readyz", 200, ""},
		{"/status", 200, `"name":"primary-1"`},
		{"/nothing", 404, ""},
	} {
		t.Run(row.path, func(t *testing.T) {
			status, _, body := curl(t, r.admin+row.path)
			if status != row.status || !strings.Contains(strings.ReplaceAll(body, `": `, `":`), row.body) {
				t.Errorf("status %d, body %s; want %d and %q", status, body, row.status, row.body)
			}
		})
	}
	r.ends()
}
