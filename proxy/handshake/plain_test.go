package handshake

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// admit parses and checks a request that is no upgrade, and returns the status of its refusal, 0 for none.
func admit(t testing.TB, head string, r *Request) int {
	t.Helper()
	err := ParseRequest([]byte(head), Limits{}, r)
	if err == nil {
		err = r.CheckPlain()
	}
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		t.Fatalf("error is %v, want *Refusal", err)
	}
	if err != nil {
		return refusal.Status
	}
	return 0
}

// TestAppendPlain is the whole of what an upstream gets of a request that is no upgrade.
func TestAppendPlain(t *testing.T) {
	for _, row := range []struct {
		name     string
		head     string
		identity bool
		want     string
	}{
		{"all fields", lines(
			"POST /a%2Fb?x=1&&y HTTP/1.1",
			"Host: Router.Example",
			"X-First:  kept as it is\t ",
			"Connection: keep-alive, x-hop",
			"X-Hop: 1",
			"Keep-Alive: timeout=5",
			"TE: trailers",
			"Trailer: X-T",
			"Upgrade: h2c",
			"Content-Length: 007",
			"X-Forwarded-For: 10.0.0.1",
			"X-Real-IP: 10.0.0.1",
			"X_Forwarded_For: 10.0.0.1",
			"Sec-WebSocket-Key: x",
			"Accept-Encoding: gzip",
			"expect: 100-Continue",
			"Cookie: a=b",
		), false, lines(
			"POST /ws/a%2Fb?x=1&&y HTTP/1.1",
			"Host: east.internal:9001",
			"Connection: close",
			"X-First: kept as it is",
			"Content-Length: 7",
			"Sec-WebSocket-Key: x",
			"Accept-Encoding: gzip",
			"expect: 100-Continue",
			"Cookie: a=b",
			"X-Forwarded-For: 192.0.2.7",
			"X-Forwarded-Proto: http",
			"X-Forwarded-Host: Router.Example",
		)},
		{"chunked, identity", lines("PUT / HTTP/1.1", "Host: a", "Transfer-Encoding: Chunked", "accept-encoding: gzip"), true, lines(
			"PUT /ws/ HTTP/1.1", "Host: east.internal:9001", "Connection: close", "Accept-Encoding: identity", "Transfer-Encoding: chunked",
			"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: http", "X-Forwarded-Host: a",
		)},
		{"an expectation without a body", lines("GET /? HTTP/1.1", "Host: a", "Expect: 100-continue"), false, lines(
			"GET /ws/? HTTP/1.1", "Host: east.internal:9001", "Connection: close",
			"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: http", "X-Forwarded-Host: a",
		)},
		{"HTTP/1.0", lines("POST / HTTP/1.0", "Host: a", "Content-Length: 0", "Expect: anything"), false, lines(
			"POST /ws/ HTTP/1.1", "Host: east.internal:9001", "Connection: close", "Content-Length: 0",
			"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: http", "X-Forwarded-Host: a",
		)},
	} {
		t.Run(row.name, func(t *testing.T) {
			var r Request
			if status := admit(t, row.head, &r); status != 0 {
				t.Fatalf("status %d", status)
			}
			got := string(r.AppendPlain(nil, &Plain{Upstream: sampleUpstream, Forward: sampleForward, Identity: row.identity}))
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCheckPlain checks who is let in, and what the client wants of its connection.
func TestCheckPlain(t *testing.T) {
	for _, row := range []struct {
		head       string
		status     int
		close, cts bool // wants the end; waits for an interim answer
	}{
		{head: lines("GET / HTTP/1.1", "Host: a")},
		{head: lines("GET / HTTP/1.1", "Host: a", "Connection: keep-alive")},
		{head: lines("GET / HTTP/1.1", "Host: a", "Connection: x", "Connection: a, CLOSE"), close: true},
		{head: lines("GET / HTTP/1.0", "Connection: keep-alive"), close: true},
		{head: lines("POST / HTTP/1.1", "Host: a", "Content-Length: 1", "Expect: 100-continue"), cts: true},
		{head: lines("POST / HTTP/1.1", "Host: a", "Content-Length: 0", "Expect: 100-continue")},
		{head: lines("POST / HTTP/1.0", "Host: a", "Content-Length: 1", "Expect: 100-continue"), close: true},
		{head: lines("POST / HTTP/1.1", "Host: a", "Expect: 200-ok"), status: 417},
		{head: lines("POST / HTTP/1.1", "Host: a", "Expect: 100-continue", "Expect: 100-continue"), status: 417},
		{head: lines("POST / HTTP/1.1", "Host: a", "Connection: Host"), status: 400},
		{head: lines("POST / HTTP/1.1", "Host: a", "Connection: content-length", "Content-Length: 1"), status: 400},
		{head: lines("POST / HTTP/1.1", "Host: a", "Connection: sec-fetch-site", "Sec-Fetch-Site: none"), status: 400},
		{head: lines("TRACE / HTTP/1.1", "Host: a"), status: 405},
		{head: lines("OPTIONS * HTTP/1.1", "Host: a"), status: 405},
	} {
		var r Request
		if status := admit(t, row.head, &r); status != row.status {
			t.Errorf("%q: status %d, want %d", row.head, status, row.status)
		}
		if row.status == 0 && (r.WantsClose() != row.close || r.WantsContinue() != row.cts) {
			t.Errorf("%q: close %v, continue %v", row.head, r.WantsClose(), r.WantsContinue())
		}
	}
}

// TestPlainAnswers checks what is taken for an answer, how its body ends, and what the client gets of the head.
func TestPlainAnswers(t *testing.T) {
	const fields = "X-A: b\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: x\r\nTrailer: x\r\nContent-Encoding: gzip\r\nEtag: \"e\"\r\n"
	const kept = "X-A: b\r\nContent-Encoding: gzip\r\nEtag: \"e\"\r\n"
	for _, row := range []struct {
		name, head, method string
		bad                bool
		body               Body
		down               Downstream
		want               string
	}{
		{name: "length", head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + fields, body: BodyLength, want: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + kept},
		{name: "close", head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", body: BodyLength, down: Downstream{Close: true}, want: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n"},
		{name: "chunked", head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", body: BodyChunked, down: Downstream{Chunked: true}, want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"},
		{name: "to the end", head: "HTTP/1.0 200 OK\r\n", body: BodyToEnd, down: Downstream{Chunked: true}, want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"},
		{name: "sized", head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + fields, body: BodyLength, down: Downstream{Sized: true, Length: 7}, want: "HTTP/1.1 200 OK\r\n" + kept + "Content-Length: 7\r\n"},
		{name: "replaced", head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + fields, body: BodyLength, down: Downstream{Sized: true, Replaced: true, Length: 7}, want: "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 7\r\n"},
		{name: "more fields", head: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", down: Downstream{Header: [][2]string{{"Set-Cookie", "a=b"}}}, want: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: a=b\r\n"},
		{name: "HEAD", method: "HEAD", head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", want: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"},
		{name: "204", head: "HTTP/1.1 204 No\r\nContent-Length: 0\r\n", want: "HTTP/1.1 204 No\r\n"},
		{name: "304", head: "HTTP/1.1 304 No\r\nContent-Length: 5\r\n", want: "HTTP/1.1 304 No\r\nContent-Length: 5\r\n"},
		{name: "426", head: "HTTP/1.1 426 Up\r\nConnection: upgrade\r\nUpgrade: foo\r\nContent-Length: 0\r\n", want: "HTTP/1.1 426 Up\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n"},
		{name: "101", head: "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", bad: true},
		{name: "two lengths", head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n", bad: true},
		{name: "two framings", head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", bad: true},
		{name: "two framings of nothing", method: "HEAD", head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", bad: true},
		{name: "nominated length", head: "HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 5\r\n", bad: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var a Answer
			err := ParsePlainAnswer([]byte(row.head+"\r\n"), Limits{}, []byte(row.method), &a)
			if row.bad {
				var bad *BadAnswer
				if !errors.As(err, &bad) {
					t.Errorf("got %v, want *BadAnswer", err)
				}
				return
			}
			if err != nil || a.Body != row.body {
				t.Fatalf("got %v, body %d", err, a.Body)
			}
			if diff := cmp.Diff(row.want+"\r\n", string(a.AppendPlain(nil, &row.down))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzPlain checks of every request that is no upgrade and is let in: what goes upstream is let in again, is the same
// request with one framing, and the standard library reads it in the same way.
func FuzzPlain(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add([]byte(s))
		f.Add([]byte(strings.Replace(s, "Upgrade: websocket\r\n", "", 1)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := RequestEnd(b, 0, Limits{})
		if err != nil || n == 0 {
			return
		}
		var r, again Request
		if ParseRequest(b[:n], Limits{}, &r) != nil || r.IsUpgrade() {
			return
		}
		if err := r.CheckPlain(); err != nil {
			checkRequestError(t, err)
			return
		}
		out := r.AppendPlain(nil, &Plain{Upstream: Upstream{Host: "east:1"}, Forward: sampleForward})
		// What is ours is longer than what it takes the place of.
		if status := admit(t, string(out), &again); status != 0 && len(out) < DefaultSize && len(r.Fields) < DefaultFields-8 {
			t.Fatalf("status %d for\n%q", status, out)
		} else if status != 0 {
			return
		}
		if string(again.Method) != string(r.Method) || string(again.Path) != string(r.Path) || string(again.Query) != string(r.Query) ||
			again.ContentLength != r.ContentLength || string(again.Host) != "east:1" || !again.WantsClose() || again.IsUpgrade() {
			t.Fatalf("%q became\n%q", b[:n], out)
		}
		theirs, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(out), strings.NewReader("0\r\n\r\n"))))
		if err != nil {
			if strings.Contains(err.Error(), "URI") || strings.Contains(err.Error(), "parse") {
				return // net/url has narrower ideas of a target
			}
			t.Fatalf("net/http: %v for\n%q", err, out)
		}
		if theirs.Method != string(r.Method) || theirs.ContentLength != r.ContentLength || len(theirs.TransferEncoding) > 1 || theirs.Host != "east:1" {
			t.Fatalf("net/http reads %q as %+v", out, theirs)
		}
	})
}
