package handshake

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

var requestSeeds = []string{
	goodRequest, browserRequest,
	goodRequest + "\x81\x80\x00\n\r\x00",
	target("http://router.example:8080?q"), target("/a/%2e%2e/b;c//d%2Fe?f#g"), target("/a|b^c`{d}?\"<>\\%"),
	swap("GET", "POST"), swap("GET /chat?room=1", "CONNECT router.example:8080"), swap("GET /chat?room=1", "OPTIONS *"),
	swap("HTTP/1.1", "HTTP/1.0"), swap("router.example:8080", "[2001:db8::1]:80"),
	swap("keep-alive", "x-hop,,"), swap("keep-alive", "Origin"),
	add("Connection: X-A", "X-A: b", "X-Forwarded-For: c", "X_A: d", "Te: trailers"),
	add("Content-Length: 0"), add("Content-Length: +5"), add("Transfer-Encoding: chunked"), add("Transfer-Encoding: gzip, chunked"),
	add("Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: c"), add("Sec-WebSocket-Extensions: x; a=\"b, c"),
	add("X-A: b", " c"), add("X-A : b"), add("X-A: \xff\x80"), add("Expect: 100-continue"), add("X-A: b\x00"),
	"GET / HTTP/1.1\nHost: a\n\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n0\r\n\r\n",
}

// FuzzParseRequest checks of every request: no panic; errors are refusals; what is accepted, net/http reads in the same way;
// and what goes upstream is accepted again, is the same handshake, and says only what it should about host and client.
func FuzzParseRequest(f *testing.F) {
	for _, s := range requestSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := RequestEnd(b, 0, Limits{})
		checkRequestError(t, err)
		checkPieces(t, b, n, err)
		if n == 0 {
			return
		}
		head := b[:n]
		var r Request
		if err := ParseRequest(head, Limits{}, &r); err != nil {
			checkRequestError(t, err)
			return
		}
		checkAgainstNetHTTP(t, head, &r)
		checkNormalPath(t, &r)
		if err := r.CheckUpgrade(); err != nil {
			checkRequestError(t, err)
			return
		}
		checkUpstream(t, &r)
	})
}

func checkRequestError(t *testing.T, err error) {
	t.Helper()
	var refusal *Refusal
	if err != nil && (!errors.As(err, &refusal) || refusal.Status < 400) {
		t.Fatalf("error is %v, want *Refusal", err)
	}
}

// checkPieces checks that a head which comes byte by byte ends at the same place, or is refused as well.
func checkPieces(t *testing.T, b []byte, n int, whole error) {
	if len(b) > 4<<10 { // keeps the fuzzer fast; the limits have a test of their own
		return
	}
	for have := 1; have <= len(b); have++ {
		got, err := RequestEnd(b[:have], have-1, Limits{})
		if err != nil {
			if whole == nil {
				t.Fatalf("refused after %d bytes, but not as a whole: %v", have, err)
			}
			return
		}
		if got != 0 {
			if got != n || whole != nil {
				t.Fatalf("ends at %d in pieces, at %d as a whole (%v)", got, n, whole)
			}
			return
		}
	}
	if n != 0 || whole != nil {
		t.Fatalf("no end in pieces, at %d as a whole (%v)", n, whole)
	}
}

// checkAgainstNetHTTP checks that another parser reads the same request.
func checkAgainstNetHTTP(t *testing.T, head []byte, r *Request) {
	t.Helper()
	if _, ok := r.Value("Trailer"); ok && r.ContentLength < 0 {
		return // net/http also judges the names of trailers, which come after the head
	}
	want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		t.Fatalf("net/http refuses what we accept: %v", err)
	}
	if string(r.Method) != want.Method || string(r.Target) != want.RequestURI || string(r.Host) != want.Host && !equalFold(r.Host, want.Host) {
		t.Fatalf("we read %s %s %s, net/http %s %s %s", r.Method, r.Target, r.Host, want.Method, want.RequestURI, want.Host)
	}
	if r.ContentLength != want.ContentLength || want.ProtoMinor != r.Minor {
		t.Fatalf("we read length %d and minor %d, net/http %d and %d", r.ContentLength, r.Minor, want.ContentLength, want.ProtoMinor)
	}
	ours := make(http.Header)
	for _, field := range r.Fields {
		name := textproto.CanonicalMIMEHeaderKey(string(field.Name))
		ours[name] = append(ours[name], string(field.Value))
	}
	theirs := want.Header
	for name := range theirs {
		if strings.Contains(name, "_") {
			delete(theirs, name)
		}
	}
	// net/http keeps these elsewhere, or adds one to make up for another.
	for _, name := range []string{"Host", "Transfer-Encoding", "Trailer"} {
		delete(ours, name)
		delete(theirs, name)
	}
	if ours["Cache-Control"] == nil && ours["Pragma"] != nil {
		delete(theirs, "Cache-Control")
	}
	if len(ours) != len(theirs) {
		t.Fatalf("we read %q, net/http %q", ours, theirs)
	}
	for name, values := range ours {
		if !slices.Equal(values, theirs[name]) {
			t.Fatalf("%s: we read %q, net/http %q", name, values, theirs[name])
		}
	}
}

// checkNormalPath checks that the normal form is one: stable, without anything that it promises to resolve.
func checkNormalPath(t *testing.T, r *Request) {
	t.Helper()
	form := r.NormalPath(nil)
	if string(form) == "*" {
		return
	}
	again := Request{Path: form}
	if got := again.NormalPath(nil); !bytes.Equal(got, form) {
		t.Fatalf("%s: the form is %s, the form of the form %s", r.Path, form, got)
	}
	if form[0] != '/' || bytes.Contains(form, []byte("//")) || bytes.Contains(form, []byte("/../")) ||
		bytes.Contains(form, []byte("/./")) || bytes.HasSuffix(form, []byte("/..")) || bytes.HasSuffix(form, []byte("/.")) {
		t.Fatalf("%s: the form is %s", r.Path, form)
	}
}

// checkUpstream checks what goes upstream.
func checkUpstream(t *testing.T, r *Request) {
	t.Helper()
	head := r.AppendUpstream(nil, sampleUpstream, sampleForward)
	loose := Limits{Size: 1 << 20, Target: 1 << 20, Fields: 200}
	n, err := RequestEnd(head, 0, loose)
	if err != nil || n != len(head) {
		t.Fatalf("upstream: ends at %d of %d, %v", n, len(head), err)
	}
	var u Request
	if err := ParseRequest(head, loose, &u); err != nil {
		t.Fatalf("upstream: %v", err)
	}
	if err := u.CheckUpgrade(); err != nil {
		t.Fatalf("upstream: %v", err)
	}
	if !bytes.Equal(u.Key, r.Key) || string(u.Host) != sampleUpstream.Host || u.ContentLength != 0 {
		t.Fatalf("upstream: key %s, host %s, length %d", u.Key, u.Host, u.ContentLength)
	}
	if !slices.EqualFunc(u.Protocols, r.Protocols, bytes.Equal) {
		t.Fatalf("upstream: subprotocols %s, client %s", u.Protocols, r.Protocols)
	}
	if string(u.Path) != "/ws"+string(r.Path) || !bytes.Equal(u.Query, r.Query) || (u.Query == nil) != (r.Query == nil) {
		t.Fatalf("upstream: %s ? %s, client: %s ? %s", u.Path, u.Query, r.Path, r.Query)
	}
	var forwarded []string
	fields, bad := parseFields(nil, head[bytes.IndexByte(head, '\n')+1:], 200, false)
	if bad != faultNone {
		t.Fatalf("upstream: %v", fieldRefusals[bad])
	}
	for _, field := range fields {
		if field.kind == kindHop || field.kind == kindNominated || bytes.IndexByte(field.Name, '_') >= 0 {
			t.Fatalf("upstream: %s passes", field.Name)
		}
		if field.kind >= kindForwarded {
			forwarded = append(forwarded, string(field.Name)+"="+string(field.Value))
		}
	}
	if want := []string{"X-Forwarded-For=192.0.2.7", "X-Forwarded-Proto=http", "X-Forwarded-Host=" + string(r.Host)}; !slices.Equal(forwarded, want) {
		t.Fatalf("upstream: %q, want %q", forwarded, want)
	}
}

var answerSeeds = []string{
	goodAnswer, browserAnswer, goodAnswer + "\x82\x00",
	"HTTP/1.1 101\r\nUpgrade: websocket\r\nConnection: a, upgrade\r\nA: b\r\nSec-WebSocket-Accept: x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\n\r\nhello",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"HTTP/1.0 503 \xff\r\nRetry-After: 5\r\nKeep-Alive: x\r\n\r\n",
	"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
	"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 204\r\nContent-Length: 5\r\n\r\n",
	strings.Replace(browserAnswer, "permessage-deflate", "x; a=\"b\\c\", permessage-deflate; d=e", 1),
}

// FuzzParseAnswer checks of every answer: no panic; errors are bad answers; what is accepted, net/http reads in the same way;
// a 101 is the answer to the request; and what goes to the client is accepted again and chooses the same.
func FuzzParseAnswer(f *testing.F) {
	for _, s := range answerSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Request
		if err := ParseRequest([]byte(browserRequest), Limits{}, &r); err != nil {
			t.Fatal(err)
		}
		if err := r.CheckUpgrade(); err != nil {
			t.Fatal(err)
		}
		n, err := AnswerEnd(b, 0, Limits{})
		if checkAnswerError(t, err); n == 0 {
			return
		}
		var a Answer
		if err := ParseAnswer(b[:n], Limits{}, &r, &a); err != nil {
			checkAnswerError(t, err)
			return
		}
		want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b[:n])), nil)
		if err != nil {
			t.Fatalf("net/http refuses what we accept: %v", err)
		}
		if a.Status != want.StatusCode {
			t.Fatalf("we read status %d, net/http %d", a.Status, want.StatusCode)
		}
		if a.Status == 101 {
			checkSwitch(t, &a, want.Header)
		}
		if !a.Interim() {
			checkClient(t, &r, &a)
		}
	})
}

func checkAnswerError(t *testing.T, err error) {
	t.Helper()
	var bad *BadAnswer
	if err != nil && !errors.As(err, &bad) {
		t.Fatalf("error is %v, want *BadAnswer", err)
	}
}

// checkSwitch checks an accepted 101 with what net/http has read.
func checkSwitch(t *testing.T, a *Answer, h http.Header) {
	t.Helper()
	if got := h["Sec-Websocket-Accept"]; !slices.Equal(got, []string{sampleAccept}) {
		t.Fatalf("accept is %q", got)
	}
	if got := h["Upgrade"]; len(got) != 1 || !strings.EqualFold(got[0], "websocket") {
		t.Fatalf("upgrade is %q", got)
	}
	if got := h["Sec-Websocket-Protocol"]; len(got) > 1 || len(got) == 1 && got[0] != "chat.v1" && got[0] != "chat.v2" {
		t.Fatalf("subprotocol is %q", got)
	}
	if got := h["Sec-Websocket-Extensions"]; len(got) == 0 && a.RSV != 0 ||
		len(got) == 1 && (a.RSV != RSV1 || !strings.HasPrefix(got[0], "permessage-deflate")) || len(got) > 1 {
		t.Fatalf("extensions are %q, reserved bits %#x", got, a.RSV)
	}
}

// checkClient checks what goes to the client.
func checkClient(t *testing.T, r *Request, a *Answer) {
	t.Helper()
	head := a.AppendClient(nil)
	loose := Limits{Size: 1 << 20, Fields: 200}
	if n, err := AnswerEnd(head, 0, loose); err != nil || n != len(head) {
		t.Fatalf("client: ends at %d of %d, %v", n, len(head), err)
	}
	var c Answer
	if err := ParseAnswer(head, loose, r, &c); err != nil {
		t.Fatalf("client: %v", err)
	}
	if c.Status != a.Status || c.Body != a.Body || c.ContentLength != a.ContentLength || !bytes.Equal(c.Protocol, a.Protocol) || c.RSV != a.RSV {
		t.Fatalf("client: %+v, upstream: %+v", c, a)
	}
	for _, field := range c.Fields {
		if field.kind == kindHop || field.kind == kindNominated {
			t.Fatalf("client: %s passes", field.Name)
		}
	}
}
