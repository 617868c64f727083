package proxy

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/internal/emulator"
)

// TestForwardedHead checks, to the byte, the head that the upstream gets.
func TestForwardedHead(t *testing.T) {
	balanced(t)
	heads := make(chan string, 1)
	s := newStub(t, func(c *stubConn) {
		if c.readHead() {
			heads <- c.head
			c.reply("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
		}
	})
	forwarded := "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: router.example:8080\r\n\r\n"
	upgrade := "Host: " + s.address() + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	websocket := "Sec-WebSocket-Key: " + sampleKey + "\r\nSec-WebSocket-Version: 13\r\n"
	for _, row := range []struct {
		name, prefix, head, want string
	}{
		{"plain", "", goodHead, "GET /chat?room=1 HTTP/1.1\r\n" + upgrade + websocket + forwarded},
		{"prefix", "/base", goodHead, "GET /base/chat?room=1 HTTP/1.1\r\n" + upgrade + websocket + forwarded},
		{"prefix with a slash", "/base/", goodHead, "GET /base/chat?room=1 HTTP/1.1\r\n" + upgrade + websocket + forwarded},
		{"encoded prefix", "/b%2Fse", asking("/"), "GET /b%2Fse/ HTTP/1.1\r\n" + upgrade + websocket + forwarded},
		{"path and query as they came", "", asking("/a//b/%2e%2e/%7Ec;x=1?q=%20&&access_token=a.b?c"),
			"GET /a//b/%2e%2e/%7Ec;x=1?q=%20&&access_token=a.b?c HTTP/1.1\r\n" + upgrade + websocket + forwarded},
		{"empty query", "", asking("/chat?"), "GET /chat? HTTP/1.1\r\n" + upgrade + websocket + forwarded},
		{"absolute target", "", asking("ws://router.example:8080/chat?x"), "GET /chat?x HTTP/1.1\r\n" + upgrade + websocket + forwarded},
		{"32 hop by hop", "", strings.Replace(add("X-Hop: 1", "Keep-Alive: timeout=5", "TE: trailers", "Trailer: X", "Proxy-Authorization: Basic x",
			"Proxy-Connection: keep-alive", "X-End: 2"), "keep-alive, Upgrade", "x-HOP, Upgrade", 1),
			"GET /chat?room=1 HTTP/1.1\r\n" + upgrade + websocket + "X-End: 2\r\n" + forwarded},
		{"33 forwarded by the client", "", add("X-Forwarded-For: 192.0.2.1", "x-forwarded-proto: https", "X-FORWARDED-HOST: evil",
			"Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1"),
			"GET /chat?room=1 HTTP/1.1\r\n" + upgrade + websocket + forwarded},
		{"34 underscores", "", add("X_Forwarded_For: 192.0.2.1", "Sec_WebSocket_Key: x"),
			"GET /chat?room=1 HTTP/1.1\r\n" + upgrade + websocket + forwarded},
		{"12 Content-Length", "", add("Content-Length: 0"), "GET /chat?room=1 HTTP/1.1\r\n" + upgrade + websocket + forwarded},
		{"end to end", "", add("Origin: https://app.example", "Cookie: a=b; c=d", "Authorization: Bearer x", "sec-websocket-PROTOCOL: a,  b",
			"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "X-Latin: \xe4"),
			"GET /chat?room=1 HTTP/1.1\r\n" + upgrade + websocket + "Origin: https://app.example\r\nCookie: a=b; c=d\r\nAuthorization: Bearer x\r\n" +
				"sec-websocket-PROTOCOL: a,  b\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
				"X-Latin: \xe4\r\n" + forwarded},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := start(t, Options{}, member{address: s.address() + row.prefix})
			if a := r.ask(row.head).answer(); a.StatusCode != 404 {
				t.Fatalf("got %s: %s", a.Status, a.body)
			}
			if diff := cmp.Diff(row.want, <-heads); diff != "" {
				t.Errorf("head for the upstream (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnswerHead checks the fields of a 101 that the client gets.
func TestAnswerHead(t *testing.T) {
	balanced(t)
	s := newStub(t, func(c *stubConn) {
		if c.reply(with(acceptLine, acceptLine+"sec-websocket-protocol: b\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"+
			"Set-Cookie: a=1\r\nSet-Cookie: a=2\r\nX-Upstream: east\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n")) {
			c.handOver()
		}
	})
	r := start(t, Options{}, member{address: s.address()})
	c := r.ask(add("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b", "Sec-WebSocket-Extensions: permessage-deflate"))
	a := c.upgraded()
	want := http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Accept": {sampleAccept},
		"Sec-Websocket-Protocol": {"b"}, "Sec-Websocket-Extensions": {"permessage-deflate; server_no_context_takeover"},
		"Set-Cookie": {"a=1", "a=2"}, "X-Upstream": {"east"}, "Date": {"Sun, 06 Nov 1994 08:49:37 GMT"},
	}
	if diff := cmp.Diff(want, a.Header); diff != "" {
		t.Errorf("fields of the 101 (-want +got):\n%s", diff)
	}
	u := s.session()
	c.Close()
	u.gone()
	u.Close()
}

// TestRelayedHead checks, to the byte, an answer that is not a 101.
func TestRelayedHead(t *testing.T) {
	balanced(t)
	fields := "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nx-lower: 1\r\nSet-Cookie: a=1\r\nServer: stub\r\nSet-Cookie: a=2\r\nContent-Encoding: br\r\n"
	for name, row := range map[string]struct{ from, to string }{
		"length":  {"Content-Length: 3\r\n\r\nabc", "Content-Length: 3\r\n\r\nabc"},
		"chunked": {"Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n1;x\r\na\r\n2\r\nbc\r\n0\r\nX-T: 1\r\n\r\n", "\r\n3\r\nabc\r\n0\r\n\r\n"},
		"empty":   {"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n"},
		"to end":  {"\r\nabc", "\r\nabc"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t, func(c *stubConn) { c.reply("HTTP/1.1 418 I'm a teapot\r\n" + fields + row.from) })
			r := start(t, Options{}, member{address: s.address()})
			c := r.ask(goodHead)
			var got strings.Builder
			if _, err := c.in.WriteTo(&got); err != nil {
				t.Fatal(err)
			}
			coding := ""
			if strings.HasPrefix(row.from, "Transfer-Encoding") {
				coding = "Transfer-Encoding: chunked\r\n"
			}
			want := "HTTP/1.1 418 I'm a teapot\r\nConnection: close\r\n" + coding + fields + row.to
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEmulatorName checks the field by which clients see where they are.
func TestEmulatorName(t *testing.T) {
	balanced(t)
	e := emulate(t, "east")
	r := start(t, Options{}, member{address: e.Addr()})
	c := r.ask(goodHead)
	if got := c.upgraded().Header.Get(emulator.NameHeader); got != "east" {
		t.Errorf("%s: %q", emulator.NameHeader, got)
	}
	c.Close()
}
