package proxy

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/proxy/relay"
)

// TestStreamsRefused asks for what there is not. The answers are those of HTTP/1.1.
func TestStreamsRefused(t *testing.T) {
	tunnel := func(more ...string) http.Header {
		h := http.Header{":protocol": {"websocket"}, "Sec-Websocket-Version": {"13"}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	for _, row := range []struct {
		name, method, target string
		header               http.Header
		status               int
		code                 string
		field, value         string
	}{
		{"no route", http.MethodConnect, "/elsewhere", tunnel(), 404, "no_route", "", ""},
		{"plain request", http.MethodGet, "/chat", nil, 426, "no_upgrade", "Sec-Websocket-Version", "13"},
		{"plain request elsewhere", http.MethodGet, "/elsewhere", nil, 404, "no_route", "", ""},
		{"HEAD", http.MethodHead, "/chat", nil, 426, "", "Sec-Websocket-Version", "13"},
		{"other version", http.MethodConnect, "/chat", tunnel("Sec-WebSocket-Version", "8"), 426, "wrong_websocket_version", "Sec-Websocket-Version", "13"},
		{"other protocol", http.MethodConnect, "/chat", http.Header{":protocol": {"connect-udp"}}, 501, "unknown_protocol", "", ""},
		{"other origin", http.MethodConnect, "/chat", tunnel("Origin", "https://b.example"), 403, "origin_not_allowed", "", ""},
		{"subprotocol twice", http.MethodConnect, "/chat", tunnel("Sec-WebSocket-Protocol", "a, a"), 400, "subprotocol_twice", "", ""},
		{"expectation", http.MethodConnect, "/chat", tunnel("Expect", "200-ok"), 417, "expectation", "", ""},
		{"path above the root", http.MethodConnect, "/chat/../..", tunnel(), 400, "path_climbs", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			s := newAccepter(t)
			var o Options
			m := member{address: s.address()}
			u := m.build(t)
			o.Upstreams = append(o.Upstreams, u)
			o.Routes = []Route{{Path: "/chat", Set: set(t, u), Origins: []string{"https://a.example"}}}
			r, client := startStreams(t, o)
			c, err := client.ask(row.method, row.target, row.header)
			if err != nil {
				t.Fatal(err)
			}
			if c.StatusCode != row.status || row.field != "" && c.Header.Get(row.field) != row.value {
				t.Errorf("got %s %v", c.Status, c.Header)
			}
			var says struct {
				Status int
				Code   string
			}
			if body := c.body(); row.code == "" {
				if body != "" {
					t.Errorf("got a body: %q", body)
				}
			} else if err := json.Unmarshal([]byte(body), &says); err != nil || says.Code != row.code || says.Status != row.status {
				t.Errorf("got %q, %v, want code %s", body, err, row.code)
			}
			// The connection goes on.
			other := client.connect("/chat", "Origin", "https://a.example")
			if other.StatusCode != http.StatusOK || client.dialed.Load() != 1 {
				t.Errorf("got %s on connection %d", other.Status, client.dialed.Load())
			}
			s.session()
			if n := r.Totals().Refused; n != 1 {
				t.Errorf("%d were refused", n)
			}
		})
	}
}

// TestStreamsAnswered passes on what upstreams answer instead of opening a session.
func TestStreamsAnswered(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		status       int
		body         string
	}{
		{"with a length", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\nWWW-Authenticate: Basic\r\n\r\nknock", 401, "knock"},
		{"chunked", "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n3\r\npe\n\r\n0\r\nX: y\r\n\r\n", 403, "nope\n"},
		{"to the end", "HTTP/1.1 302 Found\r\nLocation: /b\r\n\r\nthere", 302, "there"},
		{"large", "HTTP/1.1 404 Not Found\r\nContent-Length: 500000\r\n\r\n" + strings.Repeat("0123456789", 50000), 404, strings.Repeat("0123456789", 50000)},
		{"without a body", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", 400, ""},
		// To a client with HTTP/1.1 this is no session, to one with HTTP/2 it would be.
		{"success", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 502, ""},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", 502, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			s := newStub(t, func(c *stubConn) { c.reply(row.answer) })
			_, client := startStreams(t, Options{}, member{address: s.address()})
			c := client.connect("/chat")
			if c.StatusCode != row.status || len(c.Header["Transfer-Encoding"])+len(c.Header["Connection"]) != 0 {
				t.Errorf("got %s %v", c.Status, c.Header)
			}
			if body := c.body(); row.body != "" && body != row.body || row.status == 502 && !strings.Contains(body, "bad_upstream_answer") {
				t.Errorf("got a body of %d bytes: %.60q", len(body), body)
			}
		})
	}
}

// TestStreamsCounted counts streams as sessions: in total, and at their client's
// address.
func TestStreamsCounted(t *testing.T) {
	for _, row := range []struct {
		name   string
		limits Limits
		status int
		code   string
	}{
		{"in total", Limits{Sessions: 2}, 503, "too_many_sessions"},
		{"at the address", Limits{SessionsPerAddress: 2}, 429, "too_many_sessions_of_address"},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			s := newAccepter(t)
			r, client := startStreams(t, Options{Limits: row.limits, Relay: relay.Options{CloseWait: soon}}, member{address: s.address()})
			first := client.open()
			up := s.session()
			client.open()
			s.session()
			c := client.connect("/chat")
			if body := c.body(); c.StatusCode != row.status || !strings.Contains(body, row.code) || c.Header.Get("Retry-After") == "" && row.status == 429 {
				t.Errorf("got %s %v, %s", c.Status, c.Header, body)
			}
			first.reset()
			up.eof()
			up.Close()
			until(t, "the place to be free", func() bool { return r.Sessions() == 1 })
			client.open()
			s.session()
		})
	}
}

// TestStreamsUseFiles counts a descriptor for each stream.
func TestStreamsUseFiles(t *testing.T) {
	s := newAccepter(t)
	r, client := startStreams(t, Options{}, member{address: s.address()})
	client.open()
	s.session()
	// The connection, the end of the pair, and the two of the session.
	until(t, "the handshake to be over", func() bool { return r.filesUsed() == 4 })
}
