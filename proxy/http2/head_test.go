package http2

import (
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	h2 "golang.org/x/net/http2"

	"github.com/google/go-cmp/cmp"
)

var keyLine = regexp.MustCompile(`(?m)^sec-websocket-key: [A-Za-z0-9+/]{22}==\r$`)

// TestHeads says how requests look in HTTP/1.1.
func TestHeads(t *testing.T) {
	const upgrade = "connection: Upgrade\nupgrade: websocket\nsec-websocket-key: KEY\n"
	for _, row := range []struct {
		name   string
		fields []hpack.HeaderField
		want   string
	}{
		{"session", tunnel(), "GET /chat?room=1 HTTP/1.1\nhost: router.example\n" + upgrade + "sec-websocket-version: 13\n\n"},
		{"what the client offers", tunnel("sec-websocket-protocol", "chat, v2", "sec-websocket-extensions", "permessage-deflate", "origin", "https://a.example"),
			"GET /chat?room=1 HTTP/1.1\nhost: router.example\n" + upgrade + "sec-websocket-version: 13\nsec-websocket-protocol: chat, v2\n" +
				"sec-websocket-extensions: permessage-deflate\norigin: https://a.example\n\n"},
		{"cookies", tunnel("cookie", "a=1", "x", "y", "cookie", "b=2", "cookie", "c=3"),
			"GET /chat?room=1 HTTP/1.1\nhost: router.example\n" + upgrade + "sec-websocket-version: 13\ncookie: a=1; b=2; c=3\nx: y\n\n"},
		{"a key of its own", tunnel("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
			"GET /chat?room=1 HTTP/1.1\nhost: router.example\n" + upgrade + "sec-websocket-version: 13\n\n"},
		{"the same host twice", tunnel("host", "Router.example"),
			"GET /chat?room=1 HTTP/1.1\nhost: router.example\n" + upgrade + "sec-websocket-version: 13\n\n"},
		{"protocol in capitals", list(":method", "CONNECT", ":protocol", "WebSocket", ":scheme", "HTTPS", ":authority", "a", ":path", "/"),
			"GET / HTTP/1.1\nhost: a\n" + upgrade + "\n"},
		{"te", tunnel("te", "trailers"), "GET /chat?room=1 HTTP/1.1\nhost: router.example\n" + upgrade + "sec-websocket-version: 13\nte: trailers\n\n"},
		{"empty value", tunnel("x", ""), "GET /chat?room=1 HTTP/1.1\nhost: router.example\n" + upgrade + "sec-websocket-version: 13\nx: \n\n"},
		{"plain request", list(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/x?y", "accept", "*/*"),
			"GET /x?y HTTP/1.1\nhost: a\naccept: */*\n\n"},
		{"plain request with a host field", list(":method", "POST", ":scheme", "https", ":path", "/", "host", "b:1", "content-length", "3"),
			"POST / HTTP/1.1\nhost: b:1\ncontent-length: 3\n\n"},
		{"no host at all", list(":method", "GET", ":scheme", "https", ":path", "/"), "GET / HTTP/1.1\n\n"},
		{"everything", list(":method", "OPTIONS", ":scheme", "https", ":authority", "a", ":path", "*"), "OPTIONS * HTTP/1.1\nhost: a\n\n"},
		{"plain CONNECT", list(":method", "CONNECT", ":authority", "a:443"), "CONNECT a:443 HTTP/1.1\nhost: a:443\n\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			heads := make(chan string, 1)
			r := start(t, Options{}, func(s *Stream) {
				defer s.Close()
				head, err := readHead(s)
				if err != nil {
					t.Error(err)
				}
				heads <- head
			})
			r.ask(true, row.fields)
			head := keyLine.ReplaceAllString(<-heads, "sec-websocket-key: KEY\r")
			if diff := cmp.Diff(row.want, strings.ReplaceAll(head, "\r\n", "\n")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestKeys checks that no two keys are the same.
func TestKeys(t *testing.T) {
	heads := make(chan string, 2)
	r := start(t, Options{}, func(s *Stream) {
		defer s.Close()
		head, _ := readHead(s)
		heads <- keyLine.FindString(head)
	})
	r.ask(true, tunnel())
	r.ask(true, tunnel())
	if a, b := <-heads, <-heads; a == b || a == "" {
		t.Errorf("got keys %q and %q", a, b)
	}
}

// TestMalformed asks what is no request (RFC 9113 §8.1.1): nobody hears of it.
func TestMalformed(t *testing.T) {
	rows := map[string][]hpack.HeaderField{
		"no method":                    list(":scheme", "https", ":authority", "a", ":path", "/"),
		"no scheme":                    list(":method", "GET", ":authority", "a", ":path", "/"),
		"no path":                      list(":method", "GET", ":scheme", "https", ":authority", "a"),
		"empty path":                   list(":method", "GET", ":scheme", "https", ":authority", "a", ":path", ""),
		"a status":                     list(":method", "GET", ":scheme", "https", ":path", "/", ":status", "200"),
		"only a status":                list(":status", "200"),
		"unknown pseudo field":         tunnel(":x", "y"),
		"two methods":                  list(":method", "GET", ":method", "GET", ":scheme", "https", ":path", "/"),
		"pseudo field behind others":   append(list(":method", "GET", ":scheme", "https", "x", "y"), list(":path", "/")...),
		"capitals":                     tunnel("X-Y", "z"),
		"space in a name":              tunnel("x y", "z"),
		"no name":                      tunnel("", "z"),
		"line end in a value":          tunnel("x", "y\r\nz: a"),
		"line end in the path":         list(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/ HTTP/1.1\r\nx: y"),
		"line end in the method":       list(":method", "GET / HTTP/1.1\r\nx: y\r\n", ":scheme", "https", ":authority", "a", ":path", "/"),
		"NUL":                          tunnel("x", "y\x00"),
		"space before a value":         tunnel("x", " y"),
		"tab behind a value":           tunnel("x", "y\t"),
		"connection":                   tunnel("connection", "upgrade"),
		"upgrade":                      list(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "upgrade", "websocket"),
		"keep-alive":                   tunnel("keep-alive", "5"),
		"proxy-connection":             tunnel("proxy-connection", "close"),
		"transfer-encoding":            tunnel("transfer-encoding", "chunked"),
		"te other than trailers":       tunnel("te", "gzip"),
		"another host":                 tunnel("host", "other.example"),
		"two hosts":                    list(":method", "GET", ":scheme", "https", ":path", "/", "host", "a", "host", "a"),
		"CONNECT without authority":    list(":method", "CONNECT"),
		"CONNECT with a path":          list(":method", "CONNECT", ":authority", "a", ":path", "/"),
		"protocol without CONNECT":     list(":method", "GET", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", "/"),
		"tunnel without path":          list(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a"),
		"tunnel without scheme":        list(":method", "CONNECT", ":protocol", "websocket", ":authority", "a", ":path", "/"),
		"tunnel without authority":     list(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/"),
		"tunnel with a host field":     list(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":path", "/", "host", "a"),
		"protocol with a line end":     list(":method", "CONNECT", ":protocol", "websocket\r\nx: y", ":scheme", "https", ":authority", "a", ":path", "/"),
		"authority with a line end":    list(":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a\r\nx: y", ":path", "/"),
		"control byte in a value":      tunnel("x", "a\x7fb"),
		"escape in the path":           list(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/\x1b"),
		"connection of a plain client": list(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/", "connection", "close"),
	}
	for name, fields := range rows {
		t.Run(name, func(t *testing.T) {
			r := start(t, Options{}, func(s *Stream) {
				t.Error("a stream was opened")
				s.Close()
			})
			id := r.ask(false, fields)
			r.wantsReset(id, h2.ErrCodeProtocol)
			r.do(r.frames.WritePing(false, [8]byte{1})) // all else goes on
			r.wants(h2.FramePing)
		})
	}
}

// TestFaults asks for what HTTP/1.1 has no words for. Whoever has the stream gets
// to know, and can answer.
func TestFaults(t *testing.T) {
	for _, row := range []struct {
		name   string
		fields []hpack.HeaderField
		want   error
	}{
		{"size", tunnel("x", strings.Repeat("y", 5000)), ErrHeadSize},
		{"number of fields", tunnel(strings.Split(strings.Repeat("x,y,", 200)+"x,y", ",")...), ErrHeadSize},
		{"scheme", list(":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "a", ":path", "/"), ErrScheme},
		{"scheme of a plain request", list(":method", "GET", ":scheme", "ftp", ":authority", "a", ":path", "/"), ErrScheme},
		{"protocol", list(":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "https", ":authority", "a", ":path", "/"), ErrProtocol},
		{"empty protocol", list(":method", "CONNECT", ":protocol", "", ":scheme", "https", ":authority", "a", ":path", "/"), ErrProtocol},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := start(t, Options{HeadSize: 4096}, func(s *Stream) {
				defer s.Close()
				if _, err := readHead(s); !errors.Is(err, row.want) {
					t.Errorf("got %v, want %v", err, row.want)
				}
				if _, err := io.WriteString(s, "HTTP/1.1 431 X\r\nContent-Length: 2\r\n\r\nno"); err != nil {
					t.Error(err)
				}
			})
			r.ask(true, row.fields)
			if e := r.wants(h2.FrameHeaders); e.field(":status") != "431" {
				t.Errorf("got %v", e)
			}
			if e := r.wants(h2.FrameData); e.data != "no" {
				t.Errorf("got %v", e)
			}
		})
	}
}
