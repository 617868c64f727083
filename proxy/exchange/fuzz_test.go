package exchange

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// still is an upstream that says a text.
type still struct{ tape }

func (s *still) Write(p []byte) (int, error)      { return len(p), nil }
func (s *still) SetWriteDeadline(time.Time) error { return nil }
func (s *still) Close() error                     { return nil }

// FuzzAnswers checks of everything that an upstream can say: what looks whole to
// the client is whole, is what the standard library would have read from the
// upstream itself, and nothing stands behind it.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "HTTP/1.1 200 OK\r\n\r\nhi", "HTTP/1.0 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", "HTTP/1.1 101 X\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 426 X\r\nConnection: a, upgrade\r\nA: b\r\nUpgrade: h2c\r\n\r\n",
	} {
		f.Add(s, "GET", true)
		f.Add(s, "HEAD", false)
	}
	get := map[string]string{"GET": "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD": "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"}
	f.Fuzz(func(t *testing.T, text, method string, keep bool) {
		if get[method] == "" {
			return
		}
		var client recorder
		upstream := &still{tape{text: text, piece: 7}}
		e := New(NewClient(&client, nil), parse(t, get[method]), Options{Keep: keep})
		e.upstream, e.up = upstream, &inbound{conn: upstream}
		e.uploaded.Store(true)
		var r Result
		e.receive(&r)
		if r.Err != nil && !r.Answered {
			if out := client.String(); out != "" && !strings.HasPrefix(out, "HTTP/1.1 1") {
				t.Fatalf("no answer, but %q", out)
			}
			return
		}
		out := client.String()
		status, body, rest, err := readAnswer(out, method)
		if (err == nil) != (r.Err == nil) {
			t.Fatalf("result %+v, but the client has read %d %q, %v", r, status, body, err)
		}
		if err != nil {
			return
		}
		if rest != "" {
			t.Fatalf("%q stands behind the answer %q", rest, out)
		}
		theirs, theirBody, _, err := readAnswer(text, method)
		if err != nil && strings.Contains(err.Error(), "too much overhead") {
			return
		}
		if err != nil || theirs != status || theirBody != body {
			t.Fatalf("the client has read %d %q, the upstream has said %d %q, %v", status, body, theirs, theirBody, err)
		}
	})
}

// readAnswer reads the first answer that is not interim, and what stands behind
// it.
func readAnswer(text, method string) (status int, body, rest string, err error) {
	in := bufio.NewReader(strings.NewReader(text))
	for {
		a, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			return 0, "", "", err
		}
		if a.StatusCode < 200 {
			continue
		}
		b, err := io.ReadAll(a.Body)
		if err != nil {
			return a.StatusCode, string(b), "", err
		}
		behind, err := io.ReadAll(in)
		return a.StatusCode, string(b), string(behind), err
	}
}
