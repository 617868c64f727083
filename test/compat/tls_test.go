//go:build compat && linux

package compat

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startSecure returns a router that speaks TLS with its clients. more are further lines of its configuration.
func startSecure(t *testing.T, upstream string, more ...string) *router {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pointsman.yaml")
	text := fmt.Sprintf(`
listen: [{address: "127.0.0.1:0", tls: {certificates: [{cert: %q, key: %q}]}}]
admin: 127.0.0.1:0
upstreams: [{name: upstream, url: %q}]
%s
`, authority.cert, authority.key, upstream, strings.Join(more, "\n"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startRouter(t, "upstream", "--config", file)
	if !strings.HasPrefix(r.url, "wss://127.0.0.1:") {
		t.Fatalf("the router listens on %s, want wss", r.url)
	}
	return r
}

// address is where a router listens, without the scheme.
func (r *router) address() string {
	_, address, _ := strings.Cut(r.url, "://")
	return address
}

// TestTLSClients: each client speaks TLS with the router.
func TestTLSClients(t *testing.T) {
	r := startSecure(t, startEmulator(t))
	everyClient(t, func(t *testing.T, c client, deflate bool) {
		peer := c.start(t)
		peer.do(command{Do: "open", URL: r.url + target, Protocols: []string{"chat.v2", "chat.v1"}, Deflate: deflate})
		peer.wants(event{Event: "open", Protocol: "chat.v2", Deflate: deflate})
		echoesAll(peer, c)
		peer.do(command{Do: "close", Code: 1000, Reason: "done"})
		peer.wants(event{Event: "close", Code: 1000, Reason: "done"})
	})
	r.ends()
}

// TestTLSServers: the router speaks TLS with each server, and with its clients or not.
func TestTLSServers(t *testing.T) {
	for _, s := range servers {
		for _, both := range []bool{false, true} {
			t.Run(fmt.Sprintf("server=%s,both=%v", s.name, both), func(t *testing.T) {
				up, port := s.start(t, 0, authority.cert, authority.key)
				upstream := fmt.Sprintf("wss://localhost:%d", port)
				var r *router
				if both {
					r = startSecure(t, upstream)
				} else {
					r = startRouter(t, "primary-1", onFreePorts("--primary", upstream)...)
				}
				c := clients[0]
				peer := c.start(t)
				open := func() {
					t.Helper()
					peer.do(command{Do: "open", URL: r.url + target, Protocols: []string{"chat.v1"}, Headers: map[string]string{"Authorization": authorization}})
					peer.wants(event{Event: "open", Protocol: "chat.v1"})
					up.wants(event{Event: "session", Path: target, Authorization: authorization, Protocol: "chat.v1"})
				}
				open()
				echoesAll(peer, c)
				pings(peer, c, up)
				closes(peer, c, up, open)
				r.ends()
			})
		}
	}
}

// handshakeAndHello is the handshake that RFC 6455 §1.3 shows, and the masked "Hello" of §5.7 behind it.
var handshakeAndHello = "GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" +
	"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"

// TestOpenSSL: a session by OpenSSL's own client, with each version and resumed, too.
func TestOpenSSL(t *testing.T) {
	r := startSecure(t, startEmulator(t))
	ticket := filepath.Join(t.TempDir(), "ticket")
	for _, row := range []struct {
		name  string
		args  []string
		wants string // in what it says of the session
	}{
		{"TLS 1.2", []string{"-tls1_2"}, "Protocol  : TLSv1.2"},
		{"TLS 1.3", []string{"-tls1_3", "-sess_out", ticket}, "New, TLSv1.3"},
		{"TLS 1.3 again", []string{"-tls1_3", "-sess_in", ticket}, "Reused, TLSv1.3"},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := append([]string{"s_client", "-connect", r.address(), "-servername", "localhost", "-verify_return_error", "-ign_eof"}, row.args...)
			p := launch(t, "openssl", "openssl", args...)
			if _, err := io.WriteString(p.stdin, handshakeAndHello); err != nil {
				t.Fatal(err)
			}
			said, echoed := "", false
			for !echoed {
				line := p.line()
				said += line + "\n"
				// The echo has no line end: it comes with what is said behind it.
				if strings.Contains(line, ": s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
					// A Close frame makes both ends go, and the last line come.
					if _, err := io.WriteString(p.stdin, "\x88\x82\x00\x00\x00\x00\x03\xe8"); err != nil {
						t.Fatal(err)
					}
				}
				echoed = strings.Contains(line, "\x81\x05Hello")
			}
			if !strings.Contains(said, row.wants) {
				t.Errorf("no %q in:\n%s", row.wants, said)
			}
			p.kill()
		})
	}
	r.ends()
}

// TestCurlTLS: what curl is told over TLS.
func TestCurlTLS(t *testing.T) {
	r := startSecure(t, startEmulator(t))
	clients := strings.Replace(r.url, "wss://", "https://", 1)
	trust := []string{"--cacert", authority.file}
	status, header, _ := curl(t, append(append(upgrade(), "--max-time", "3"), append(trust, clients+"/chat")...)...)
	if status != http.StatusSwitchingProtocols || header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("status %d, %v", status, header)
	}
	status, _, body := curl(t, append(trust, "--http1.1", clients+"/chat")...)
	if status != http.StatusUpgradeRequired {
		t.Errorf("status %d, %s", status, body)
	}
	r.ends()
}

// page opens a session as browsers do, and tells how that went.
const page = `<!DOCTYPE html><script>
const tell = (what) => fetch('/told', { method: 'POST', body: JSON.stringify(what) });
const socket = new WebSocket(location.hash.slice(1), ['chat.v1']);
const echoes = [];
socket.binaryType = 'arraybuffer';
socket.onopen = () => { socket.send('grüße'); socket.send(new Uint8Array(100000)); };
socket.onmessage = ({ data }) => {
  echoes.push(typeof data === 'string' ? data : data.byteLength);
  if (echoes.length === 2) socket.close(1000, 'done');
};
socket.onclose = ({ code, reason, wasClean }) => tell({ echoes, code, reason, wasClean, protocol: socket.protocol });
</script>`

// TestChromium: a browser holds a session over TLS, from a page whose origin is allowed, and gets none from another.
func TestChromium(t *testing.T) {
	told := make(chan map[string]any, 10)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			var what map[string]any
			if err := json.NewDecoder(r.Body).Decode(&what); err != nil {
				t.Errorf("the page told nonsense: %v", err)
			}
			told <- what
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, page)
	}))
	defer site.Close()
	for _, row := range []struct {
		name, origin string
		want         map[string]any
	}{
		{"allowed", site.URL, map[string]any{
			"echoes": []any{"grüße", 100_000.0}, "code": 1000.0, "reason": "done", "wasClean": true, "protocol": "chat.v1",
		}},
		{"not allowed", "https://app.example", map[string]any{
			"echoes": []any{}, "code": 1006.0, "reason": "", "wasClean": false, "protocol": "",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := startSecure(t, startEmulator(t), fmt.Sprintf("routes: [{match: {path: /}, upstreams: [upstream], origins: [%q]}]", row.origin))
			browser := launch(t, "chromium", "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
				"--ignore-certificate-errors", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", site.URL+"/#"+r.url+"/chat")
			select {
			case got := <-told:
				if a, b := fmt.Sprint(got), fmt.Sprint(row.want); a != b {
					t.Errorf("the page told %s, want %s", a, b)
				}
			case <-browser.ended:
				t.Errorf("the browser ended: %v", browser.cmd.ProcessState)
			case <-time.After(patience):
				t.Errorf("the page told nothing in %v", patience)
			}
			browser.kill()
			r.ends()
		})
	}
}
