package http2

import (
	"errors"
	"io"
	"strings"
	"testing"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/google/go-cmp/cmp"
)

// answering gives every request this answer, and tells what became of it.
func answering(text string, results chan<- error) func(*Stream) {
	return func(s *Stream) {
		defer s.Close()
		if _, err := readHead(s); err != nil {
			results <- err
			return
		}
		_, err := io.WriteString(s, text)
		results <- err
	}
}

// TestAnswers says how answers look in HTTP/2.
func TestAnswers(t *testing.T) {
	plain := func(method string) []hpack.HeaderField {
		return list(":method", method, ":scheme", "https", ":authority", "a", ":path", "/")
	}
	for _, row := range []struct {
		name   string
		asked  []hpack.HeaderField
		answer string
		fields []hpack.HeaderField
		body   string
	}{
		{"refusal", plain("GET"),
			"HTTP/1.1 426 Upgrade Required\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 3\r\n\r\nno\n",
			list(":status", "426", "sec-websocket-version", "13", "content-length", "3"), "no\n"},
		{"refusal of a tunnel", tunnel(), "HTTP/1.1 403 \r\nContent-Length: 1\r\n\r\nx", list(":status", "403", "content-length", "1"), "x"},
		{"no reason", tunnel(), "HTTP/1.1 403\r\n\r\n", list(":status", "403"), ""},
		{"success that is none for a tunnel", plain("GET"), "HTTP/1.1 200 OK\r\n\r\nyes", list(":status", "200"), "yes"},
		{"chunked", plain("GET"), "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
			list(":status", "404", "x", "y"), "hello world"},
		{"HEAD", plain("HEAD"), "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", list(":status", "404", "content-length", "5"), ""},
		{"order and white space", plain("GET"), "HTTP/1.1 404 Not Found\r\nB:1\r\nA: \t2 \r\nb: 3\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n",
			[]hpack.HeaderField{{Name: ":status", Value: "404"}, {Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "b", Value: "3"},
				{Name: "set-cookie", Value: "a=1", Sensitive: true}, {Name: "set-cookie", Value: "b=2", Sensitive: true}}, ""},
		{"of one hop", plain("GET"), "HTTP/1.1 503 X\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\nRetry-After: 3\r\n\r\n", list(":status", "503", "retry-after", "3"), ""},
		{"large head", plain("GET"), "HTTP/1.1 404 X\r\nX: " + strings.Repeat(`\`, 30000) + "\r\n\r\n", list(":status", "404", "x", strings.Repeat(`\`, 30000)), ""},
		{"large body", plain("GET"), "HTTP/1.1 404 X\r\n\r\n" + strings.Repeat("0123456789", 6000), list(":status", "404"), strings.Repeat("0123456789", 6000)},
	} {
		t.Run(row.name, func(t *testing.T) {
			results := make(chan error, 1)
			r := start(t, Options{}, answering(row.answer, results))
			id := r.ask(true, row.asked)
			e := r.wants(h2.FrameHeaders)
			if diff := cmp.Diff(row.fields, e.fields); diff != "" {
				t.Error(diff)
			}
			body := ""
			for !e.end {
				e = r.wants(h2.FrameData)
				body += e.data
			}
			if body != row.body || e.stream != id {
				t.Errorf("got a body of %d bytes on stream %d, want %d", len(body), e.stream, len(row.body))
			}
			if err := <-results; err != nil {
				t.Error(err)
			}
			r.Conn.Close()
			r.wantsEnd() // and no reset: the client had nothing more to say
		})
	}
}

// TestNoAnswer writes what cannot be an answer.
func TestNoAnswer(t *testing.T) {
	get := list(":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	for _, row := range []struct {
		name   string
		asked  []hpack.HeaderField
		answer string
		want   error
	}{
		{"success for a tunnel", tunnel(), "HTTP/1.1 200 OK\r\n\r\n", ErrTunnel},
		{"no content for a tunnel", tunnel(), "HTTP/1.1 204 No Content\r\n\r\n", ErrTunnel},
		{"session that was not asked for", get, good101, errAnswer},
		{"nothing", get, "", errAnswer},
		{"half a head", get, "HTTP/1.1 404 Not Found\r\nX: y\r\n", errAnswer},
		{"other version", get, "HTTP/2.0 404 Not Found\r\n\r\n", errAnswer},
		{"no status", get, "HTTP/1.1 \r\n\r\n", errAnswer},
		{"no colon", get, "HTTP/1.1 404 X\r\nX\r\n\r\n", errAnswer},
		{"bad chunk", get, "HTTP/1.1 404 X\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", errAnswer},
	} {
		t.Run(row.name, func(t *testing.T) {
			results := make(chan error, 1)
			r := start(t, Options{}, answering(row.answer, results))
			id := r.ask(false, row.asked)
			if err := <-results; !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			r.wantsReset(id, h2.ErrCodeCancel)
		})
	}
}

// TestSecondAnswer writes an answer behind one that was not sent, and more behind
// one that was.
func TestSecondAnswer(t *testing.T) {
	r := start(t, Options{}, func(s *Stream) {
		defer s.Close()
		if _, err := readHead(s); err != nil {
			t.Error(err)
		}
		if err := s.CloseWrite(); err == nil {
			t.Error("the stream was ended before its answer")
		}
		if _, err := io.WriteString(s, "HTTP/1.1 200 OK\r\n\r\n"); !errors.Is(err, ErrTunnel) {
			t.Error(err)
		}
		if _, err := io.WriteString(s, "HTTP/1.1 502 Bad Gateway\r\n\r\n"); err != nil {
			t.Error(err)
		}
		if _, err := io.WriteString(s, "more"); !errors.Is(err, errAnswered) {
			t.Error(err)
		}
		if err := s.CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	id := r.ask(false, tunnel())
	if e := r.wants(h2.FrameHeaders); e.field(":status") != "502" || !e.end {
		t.Errorf("got %v", e)
	}
	r.wantsReset(id, h2.ErrCodeNo) // the client has not ended its side
}
