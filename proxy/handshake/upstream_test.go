package handshake

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	sampleUpstream = Upstream{Host: "east.internal:9001", Prefix: "/ws/"}
	sampleForward  = Forward{Client: netip.MustParseAddr("192.0.2.7"), Proto: "http"}
)

// forward lets a request in and returns what goes upstream.
func forward(t *testing.T, head string, up Upstream, fwd Forward) string {
	t.Helper()
	var r Request
	if got := judge(t, head, &r); got != 101 {
		t.Fatalf("status %d", got)
	}
	return string(r.AppendUpstream(nil, up, fwd))
}

func lines(l ...string) string { return strings.Join(l, "\r\n") + "\r\n\r\n" }

// TestAppendUpstream is the whole of forwarding in one request: the rows on Content-Length: 0, on fields of one hop, on
// fields about the client, on underscores, and on lists over several lines.
func TestAppendUpstream(t *testing.T) {
	got := forward(t, lines(
		"GET /chat/%2e/x?token=a%2Fb&&c HTTP/1.1",
		"X-First:  kept as it is\t ",
		"host: Router.Example",
		"Connection:",
		"cOOkie: a=b",
		"upgrade: WEBSOCKET",
		"Connection: keep-alive, upGRADE , x-hop",
		"X-Hop: 1",
		"x-hop: 2",
		"X-Hop-2: 3",
		"Keep-Alive: timeout=5",
		"Proxy-Connection: keep-alive",
		"Proxy-Authorization: Basic eA==",
		"Proxy-Authenticate: Basic",
		"TE: trailers",
		"Trailer: X-T",
		"HTTP2-Settings: AAMAAABk",
		"Content-Length: 0",
		"X-Forwarded-For: 10.0.0.1",
		"x-forwarded-proto: https",
		"X-Forwarded-Host: evil.example",
		"X-Forwarded-Prefix: /admin",
		"Forwarded: for=10.0.0.1",
		"X-Real-IP: 10.0.0.1",
		"X_Forwarded_For: 10.0.0.1",
		"Sec_WebSocket_Key: x",
		"Sec-WebSocket-Key: "+sampleKey,
		"Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Protocol: a, b",
		"Authorization: Bearer t",
		"Sec-WebSocket-Protocol: c",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
		"Sec-WebSocket-Extensions: x; a=\"b",
		"Origin: https://app.example",
		"X-Empty:",
	), sampleUpstream, sampleForward)
	want := lines(
		"GET /ws/chat/%2e/x?token=a%2Fb&&c HTTP/1.1",
		"Host: east.internal:9001",
		"Connection: Upgrade",
		"Upgrade: websocket",
		"X-First: kept as it is",
		"cOOkie: a=b",
		"X-Hop-2: 3",
		"Sec-WebSocket-Key: "+sampleKey,
		"Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Protocol: a, b",
		"Authorization: Bearer t",
		"Sec-WebSocket-Protocol: c",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
		"Sec-WebSocket-Extensions: x; a=\"b",
		"Origin: https://app.example",
		"X-Empty: ",
		"X-Forwarded-For: 192.0.2.7",
		"X-Forwarded-Proto: http",
		"X-Forwarded-Host: Router.Example",
	)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAppendUpstreamTarget checks how the path of the upstream's URL and the client's target are joined.
func TestAppendUpstreamTarget(t *testing.T) {
	f := func(prefix, tgt, want string) {
		t.Helper()
		got := forward(t, target(tgt), Upstream{Host: "u", Prefix: prefix}, sampleForward)
		if line, _, _ := strings.Cut(got, "\r\n"); line != "GET "+want+" HTTP/1.1" {
			t.Errorf("%q and %s: %s, want %s", prefix, tgt, line, want)
		}
	}
	f("", "/chat", "/chat")
	f("/", "/chat", "/chat")
	f("/ws", "/chat", "/ws/chat")
	f("/ws/", "/chat?a=/", "/ws/chat?a=/")
	f("/ws//", "/", "/ws/")
	f("", "/", "/")
	f("", "//chat//x", "//chat//x")
	f("/ws", "/a/../b", "/ws/a/../b")
	f("/ws", "/a?", "/ws/a?")
	f("/ws", "http://router.example:8080", "/ws/")
	f("/ws", "http://router.example:8080?q", "/ws/?q")
	f("", "http://router.example:8080/x?q", "/x?q")
}

// TestAppendUpstreamClient checks how the client's address is written.
func TestAppendUpstreamClient(t *testing.T) {
	f := func(client netip.Addr, want string) {
		t.Helper()
		got := forward(t, goodRequest, sampleUpstream, Forward{Client: client, Proto: "https"})
		if want := "\r\nX-Forwarded-For: " + want + "\r\nX-Forwarded-Proto: https\r\n"; !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	f(netip.MustParseAddr("192.0.2.7"), "192.0.2.7")
	f(netip.MustParseAddr("::ffff:192.0.2.7"), "192.0.2.7")
	f(netip.MustParseAddr("2001:db8::1"), "2001:db8::1")
	f(netip.MustParseAddr("fe80::1%eth0"), "fe80::1")
	f(netip.Addr{}, "unknown")
}
