//go:build compat && linux

package compat

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// overHTTP2 is a client whose sessions are streams of one connection.
var overHTTP2 = client{
	name: "ws over HTTP/2", command: []string{"node", "node/client_http2.js"}, pings: true, parts: true, silent: true, status: true,
}

// startHTTP2 returns a router that offers HTTP/2 and serves the path /chat.
func startHTTP2(t *testing.T, upstream string) *router {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pointsman.yaml")
	text := fmt.Sprintf(`
listen: [{address: "127.0.0.1:0", http2: true, tls: {certificates: [{cert: %q, key: %q}]}}]
admin: 127.0.0.1:0
upstreams: [{name: upstream, url: %q}]
routes: [{match: {path: /chat}, upstreams: [upstream]}]
`, authority.cert, authority.key, upstream)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return startRouter(t, "upstream", "--config", file)
}

// TestHTTP2: Node's HTTP/2 with each server.
func TestHTTP2(t *testing.T) {
	for _, s := range servers {
		t.Run("server="+s.name, func(t *testing.T) {
			up, port := s.start(t, 0)
			r := startHTTP2(t, localURL(port))
			peer := overHTTP2.start(t)
			open := func() {
				t.Helper()
				peer.do(command{
					Do: "open", URL: r.url + target, Protocols: []string{"chat.v2", "chat.v1"},
					Headers: map[string]string{"Authorization": authorization},
				})
				peer.wants(event{Event: "open", Protocol: "chat.v1"})
				up.wants(event{Event: "session", Path: target, Authorization: authorization, Protocol: "chat.v1"})
			}
			open()
			echoesAll(peer, overHTTP2)
			pings(peer, overHTTP2, up)
			closes(peer, overHTTP2, up, open)
			r.ends()
		})
	}
}

// TestHTTP2Refused: what Node is told, and that the connection goes on.
func TestHTTP2Refused(t *testing.T) {
	r := startHTTP2(t, startEmulator(t))
	peer := overHTTP2.start(t)
	peer.do(command{Do: "open", URL: r.url + "/news"})
	peer.wants(event{Event: "refused", Status: 404})
	peer.do(command{Do: "open", URL: r.url + "/chat", Headers: map[string]string{"Expect": "100-continue"}})
	peer.wants(event{Event: "refused", Status: 417})
	peer.do(command{Do: "open", URL: r.url + "/chat", Protocols: []string{"chat"}})
	peer.wants(event{Event: "open", Protocol: "chat"})
	echoesAll(peer, overHTTP2)
	r.ends()
}

// TestHTTP2Drained: a router that ends tells each session.
func TestHTTP2Drained(t *testing.T) {
	r := startHTTP2(t, startEmulator(t))
	peer := overHTTP2.start(t)
	peer.do(command{Do: "open", URL: r.url + "/chat", Protocols: []string{"chat"}})
	peer.wants(event{Event: "open", Protocol: "chat"})
	r.ends()
	peer.wants(event{Event: "close", Code: 1001, Reason: "shutting down"})
}

// TestCurlHTTP2: curl, which speaks HTTP/2 but opens no WebSockets with it, is told what it would be told otherwise.
func TestCurlHTTP2(t *testing.T) {
	r := startHTTP2(t, startEmulator(t))
	clients := strings.Replace(r.url, "wss://", "https://", 1)
	for _, row := range []struct {
		name string
		args []string
		path string
		want string // the status line, and the start of the body
	}{
		{"plain request", nil, "/chat", `HTTP/2 426 ` + `{"status":426,"error":"`},
		{"no route", nil, "/news", `HTTP/2 404 ` + `{"status":404,"error":"`},
		{"HEAD", []string{"--head"}, "/chat", `HTTP/2 426 `},
		{"POST", []string{"--data", strings.Repeat("x", 100_000)}, "/chat", `HTTP/2 426 ` + `{"status":426,"error":"`},
		{"long head", []string{"--header", "X-Long: " + strings.Repeat("x", 20<<10)}, "/chat", `HTTP/2 431 ` + `{"status":431,"error":"`},
		{"HTTP/1.1 all the same", []string{"--http1.1"}, "/chat", `HTTP/1.1 426 Upgrade Required{"status":426,"error":"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			args := append([]string{"--silent", "--show-error", "--include", "--http2", "--max-time", "60", "--cacert", authority.file}, row.args...)
			p := launch(t, "curl", "curl", append(args, clients+row.path)...)
			first := p.line()
			for line := p.line(); line != ""; line = p.line() {
				if name, _, _ := strings.Cut(strings.ToLower(line), ":"); strings.HasPrefix(first, "HTTP/2") && (name == "connection" || name == "upgrade" || name == "transfer-encoding") {
					t.Errorf("%q has no place in HTTP/2", line)
				}
			}
			var body string
			for line := range p.lines {
				body += line
			}
			if got := first + body; !strings.HasPrefix(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
			if code := p.exit(); code != 0 {
				t.Errorf("curl ended with exit code %d", code)
			}
		})
	}
	r.ends()
}

// pageHTTP2 makes a browser connect, for something else, and then opens sessions.
const pageHTTP2 = `<!DOCTYPE html><script>
const tell = (what) => fetch('/told', { method: 'POST', body: JSON.stringify(what) });
const address = location.hash.slice(1);
const session = (n) => new Promise((resolve) => {
  const socket = new WebSocket('wss://' + address);
  const echoes = [];
  socket.binaryType = 'arraybuffer';
  socket.onopen = () => { socket.send('session ' + n); socket.send(new Uint8Array(300000)); };
  socket.onmessage = ({ data }) => {
    echoes.push(typeof data === 'string' ? data : data.byteLength);
    if (echoes.length === 2) socket.close(1000, 'done');
  };
  socket.onclose = ({ code, wasClean }) => resolve([...echoes, code, wasClean]);
});
fetch('https://' + address, { mode: 'no-cors', credentials: 'include' })
  .then(() => Promise.all([1, 2, 3].map(session)))
  .then(tell, (error) => tell(String(error)));
</script>`

// TestChromiumHTTP2: a browser that has a connection of HTTP/2 opens its sessions as streams of it.
func TestChromiumHTTP2(t *testing.T) {
	told := make(chan string, 10)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			var what any
			if err := json.NewDecoder(r.Body).Decode(&what); err != nil {
				t.Errorf("the page told nonsense: %v", err)
			}
			told <- fmt.Sprint(what)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, pageHTTP2)
	}))
	defer site.Close()
	r := startHTTP2(t, startEmulator(t))
	between := passOn(t, r.address())
	browser := launch(t, "chromium", "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--ignore-certificate-errors", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", site.URL+"/#"+between.Addr().String()+"/chat")
	select {
	case got := <-told:
		if want := "[[session 1 300000 1000 true] [session 2 300000 1000 true] [session 3 300000 1000 true]]"; got != want {
			t.Errorf("the page told %s, want %s", got, want)
		}
	case <-browser.ended:
		t.Errorf("the browser ended: %v", browser.cmd.ProcessState)
	case <-time.After(patience):
		t.Errorf("the page told nothing in %v", patience)
	}
	if n := between.conns.Load(); n != 1 {
		t.Errorf("the browser opened %d connections, want 1", n)
	}
	browser.kill()
	r.ends()
}

// A counter passes connections on and counts them.
type counter struct {
	net.Listener
	conns atomic.Int64
}

// passOn starts a counter that ends with the test.
func passOn(t *testing.T, to string) *counter {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	c := &counter{Listener: ln}
	carry := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		to.Close()
		from.Close()
	}
	go func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return // the test has ended
			}
			c.conns.Add(1)
			far, err := net.Dial("tcp4", to)
			if err != nil {
				near.Close()
				continue
			}
			go carry(near, far)
			go carry(far, near)
		}
	}()
	return c
}
