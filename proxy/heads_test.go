package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// headRow is a head on the wire and the status of its answer.
type headRow struct {
	name string // begins with the number of the row in the table of bad inputs
	head string
	want int
}

// manyLines returns n different field lines.
func manyLines(n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("X-%d: v", i))
	}
	return lines
}

// manyTokens returns n different tokens as a list.
func manyTokens(n int) string {
	var tokens []string
	for i := range n {
		tokens = append(tokens, fmt.Sprint("p", i))
	}
	return strings.Join(tokens, ", ")
}

// as returns goodHead with another method.
func as(method string) string { return swap("GET", method) }

// keyed returns goodHead with another key.
func keyed(key string) string { return swap(sampleKey, key) }

// hosted returns goodHead with other lines in place of Host.
func hosted(lines string) string { return swap("Host: router.example:8080\r\n", lines) }

// optioned returns goodHead with another line in place of Connection.
func optioned(line string) string { return swap("Connection: keep-alive, Upgrade", line) }

// versioned returns goodHead with other lines in place of Sec-WebSocket-Version.
func versioned(lines string) string { return swap("Sec-WebSocket-Version: 13\r\n", lines) }

// Rows that need time or a special upstream stand elsewhere: 14, 19 and 21 in
// deadlines_test.go, 22 to 27 in answers_test.go, 33 and 34 also in
// headers_test.go. The part of row 20 about TLS ports and row 36 (Origin) are
// about what this router does not have: it serves plain ports, and an Origin
// goes to the upstream to judge.
var (
	handshakeRows = []headRow{
		{"01 HTTP/1.0 upgrade", swap("HTTP/1.1", "HTTP/1.0"), 400},
		{"01 HTTP/1.2", swap("HTTP/1.1", "HTTP/1.2"), 505},
		{"01 no version", swap(" HTTP/1.1", ""), 400},
		{"02 POST", as("POST"), 405},
		{"02 HEAD", as("HEAD"), 405},
		{"02 PUT", as("PUT"), 405},
		{"02 OPTIONS", as("OPTIONS"), 405},
		{"02 CONNECT with a path", as("CONNECT"), 405},
		{"02 CONNECT with an authority", swap("GET /chat?room=1", "CONNECT router.example:8080"), 405},
		{"02 lower-case get", as("get"), 405},
		{"02 unknown", as("BREW"), 501},
		{"02 POST with a body", strings.Replace(add("Content-Length: 5"), "GET", "POST", 1) + "hello", 405},
		{"02 POST with a body that does not come", strings.Replace(add("Content-Length: 500000"), "GET", "POST", 1), 405},
		{"02 POST with a chunked body", strings.Replace(add("Transfer-Encoding: chunked"), "GET", "POST", 1) + "0\r\n\r\n", 405},
		{"03 h2c", strings.Replace(add("HTTP2-Settings: AAMAAABk"), "Upgrade: websocket", "Upgrade: h2c", 1), 400},
		{"04 foo", swap("Upgrade: websocket", "Upgrade: foo"), 400},
		{"04 empty", swap("Upgrade: websocket", "Upgrade:"), 400},
		{"05 websocket and h2c", swap("Upgrade: websocket", "Upgrade: websocket, h2c"), 400},
		{"05 two lines", swap("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"), 400},
		{"05 two equal lines", swap("Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: websocket"), 400},
		{"06 Connection without upgrade", optioned("Connection: keep-alive"), 426},
		{"06 no Upgrade", swap("Upgrade: websocket", "X-Upgrade: websocket"), 426},
		{"06 plain request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 426},
		{"06 plain request with Connection: close", "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 426},
		{"06 plain HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 426},
		{"06 plain POST with a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 426},
		{"07 no key", swap("Sec-WebSocket-Key", "X-Key"), 400},
		{"08 empty key", keyed(""), 400},
		{"08 not base64", keyed("!!hlIHNhbXBsZSBub25jZQ=="), 400},
		{"08 15 bytes", keyed("MTIzNDU2Nzg5MDEyMzQ1"), 400},
		{"08 two keys", add("Sec-WebSocket-Key: " + sampleKey), 400},
		{"09 no version", versioned(""), 426},
		{"09 version 8", versioned("Sec-WebSocket-Version: 8\r\n"), 426},
		{"09 version 777", versioned("Sec-WebSocket-Version: 777\r\n"), 426},
		{"09 two versions", add("Sec-WebSocket-Version: 13"), 426},
		{"10 body", add("Content-Length: 5") + "hello", 400},
		{"10 body that does not come", add("Content-Length: 5"), 400},
		{"11 chunked", add("Transfer-Encoding: chunked") + "0\r\n\r\n", 400},
		{"13 Expect", add("Expect: 100-continue"), 417},
		{"13 another Expect", add("Expect: x"), 417},
		{"15 other authority", asking("http://other.example/chat"), 400},
		{"15 other port", asking("http://router.example/chat"), 400},
		{"15 userinfo", asking("http://u@router.example:8080/chat"), 400},
		{"15 authority alone", asking("router.example:8080"), 400},
		{"16 GET *", asking("*"), 400},
		{"16 empty", swap("/chat?room=1 ", " "), 400},
		{"16 space", asking("/ch at"), 400},
		{"16 tab", asking("/ch\tat"), 400},
		{"16 NUL", asking("/ch\x00at"), 400},
		{"16 bare CR", asking("/ch\rat"), 400},
		{"16 non-ASCII", asking("/chät"), 400},
		{"17 fragment", asking("/chat#x"), 400},
		{"17 above the root", asking("/a/%2e%2e/..%2fchat"), 400},
		{"18 16 KiB target", asking("/" + strings.Repeat("a", 16<<10)), 414},
		{"18 1 MiB target", asking("/?" + strings.Repeat("a", 1<<20)), 414},
		{"20 TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x01", 500), 400},
		{"20 PROXY v1", "PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n" + goodHead, 400},
		{"20 PROXY v2", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c", 400},
		{"20 HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		{"21 random bytes", "\xf1\x9e\x03\xa8\x00\x17", 400},
		{"21 empty line first", "\r\n" + goodHead, 400},
	}

	fieldRows = []headRow{
		{"28 length and coding", add("Content-Length: 5", "Transfer-Encoding: chunked"), 400},
		{"28 two lengths", add("Content-Length: 0", "Content-Length: 0"), 400},
		{"28 plus", add("Content-Length: +5"), 400},
		{"28 hex", add("Content-Length: 0x5"), 400},
		{"28 negative", add("Content-Length: -1"), 400},
		{"28 2^64", add("Content-Length: 18446744073709551616"), 400},
		{"29 xchunked", add("Transfer-Encoding: xchunked"), 501},
		{"29 chunked, identity", add("Transfer-Encoding: chunked, identity"), 400},
		{"29 tab", add("Transfer-Encoding:\tchunked"), 400},
		{"29 VT", add("Transfer-Encoding:\vchunked"), 400},
		{"29 in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"30 space before the colon", add("X-A : b"), 400},
		{"30 folded", add("X-A: b", " c"), 400},
		{"30 empty name", add(": b"), 400},
		{"30 bare LF", add("X-A: b\nX-B: c"), 400},
		{"30 bare CR", add("X-A: b\rX-B: c"), 400},
		{"30 NUL", add("X-A: b\x00c"), 400},
		{"30 line ends are bare LF", strings.ReplaceAll(goodHead, "\r\n", "\n"), 400},
		{"31 no Host", hosted(""), 400},
		{"31 two Hosts", add("Host: router.example:8080"), 400},
		{"31 space", hosted("Host: a b\r\n"), 400},
		{"31 open bracket", hosted("Host: [::1\r\n"), 400},
		{"31 userinfo", hosted("Host: user@router.example\r\n"), 400},
		{"32 1000 options", optioned("Connection: Upgrade, " + manyTokens(1000)), 431},
		{"32 names the key", optioned("Connection: Upgrade, sec-websocket-key"), 400},
		{"32 names Host", optioned("Connection: Upgrade, host"), 400},
		{"34 underscores in the key", swap("Sec-WebSocket-Key", "Sec_WebSocket_Key"), 400},
		{"35 101 fields", add(manyLines(96)...), 431},
		{"35 64 KiB field", add("X-A: " + strings.Repeat("a", 64<<10)), 431},
		{"35 1 MiB", add("X-A: "+strings.Repeat("a", 512<<10), "X-B: "+strings.Repeat("a", 512<<10)), 431},
		{"37 1000 subprotocols", add("Sec-WebSocket-Protocol: " + manyTokens(1000)), 400},
		{"37 invalid token", add("Sec-WebSocket-Protocol: a, b c"), 400},
		{"37 duplicate", add("Sec-WebSocket-Protocol: a, b, a"), 400},
		{"38 64 KiB of extensions", add("Sec-WebSocket-Extensions: x; a=" + strings.Repeat("b", 64<<10)), 431},
	}

	// goodRows are the good neighbours of the bad rows.
	goodRows = []headRow{
		{"00 good", goodHead, 101},
		{"04 mixed case", swap("Upgrade: websocket", "uPGRADE:WebSocket"), 101},
		{"08 white space around the key", keyed(" \t" + sampleKey + "\t "), 101},
		{"12 Content-Length 0", add("Content-Length: 0"), 101},
		{"15 same authority", asking("http://router.example:8080/chat"), 101},
		{"15 same authority in another case", asking("WS://Router.Example:8080/chat"), 101},
		{"17 encoded dots", asking("/a/%2e%2e/chat"), 101},
		{"17 two slashes", asking("//chat"), 101},
		{"17 encoded slash", asking("/a%2Fb"), 101},
		{"17 parameter", asking("/chat;x"), 101},
		{"18 8 KiB target", asking("/" + strings.Repeat("a", 8<<10-1)), 101},
		{"30 non-ASCII value", add("X-A: ä\xff"), 101},
		{"30 empty value", add("X-A:"), 101},
		{"31 IPv6", hosted("Host: [2001:db8::1]:80\r\n"), 101},
		{"32 empty first Connection", optioned("Connection:\r\nConnection: Upgrade"), 101},
		{"32 mixed case", optioned("cOnNeCtIoN: ,KEEP-alive,,upGRade,"), 101},
		{"32 with close", optioned("Connection: close, Upgrade"), 101},
		{"33 X-Forwarded-For", add("X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "X-Real-IP: 192.0.2.1"), 101},
		{"34 underscores", add("X_Forwarded_For: 192.0.2.1", "Sec_WebSocket_Key: x", "Content_Length: 5"), 101},
		{"35 100 fields", add(manyLines(95)...), 101},
		{"35 16 KiB", add("X-A: " + strings.Repeat("a", 16<<10-len(add("X-A: ")))), 101},
		{"36 Origin", add("Origin: null"), 101},
		{"37 100 subprotocols", add("Sec-WebSocket-Protocol: " + manyTokens(100)), 101},
		{"38 window bits", add("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7"), 101},
		{"38 unterminated quote", add("Sec-WebSocket-Extensions: x; a=\"b"), 101},
	}
)

// TestRefusedHeads sends what is refused. Nothing of it may reach the upstream,
// and each connection must end soon after its answer.
func TestRefusedHeads(t *testing.T) {
	balanced(t)
	upstream := newAccepter(t)
	r := start(t, Options{}, member{address: upstream.address()})
	for _, row := range append(handshakeRows, fieldRows...) {
		t.Run(row.name, func(t *testing.T) {
			c := r.dial()
			c.t = t
			c.offer(row.head)
			c.refused(row.head, row.want)
		})
	}
	until(t, "all to be counted", func() bool {
		return r.Totals().Refused == uint64(len(handshakeRows)+len(fieldRows))
	})
	r.stop()
	upstream.stop()
	if conns := upstream.conns.Load(); conns != 0 {
		t.Errorf("%d connections, %d bytes reached the upstream", conns, upstream.bytes.Load())
	}
	if got := r.Totals(); got.Handshakes != 0 || got.Abandoned != 0 {
		t.Errorf("totals %+v", got)
	}
}

// refused reads the answer to a refused head and the end of the connection,
// which the router does not put off.
func (p *peer) refused(head string, want int) answer {
	p.t.Helper()
	method, _, _ := strings.Cut(head, " ")
	began := time.Now()
	a, err := p.readAnswer(method)
	if err != nil {
		p.t.Fatalf("%s: %v", firstLine(head), err)
	}
	if a.StatusCode != want {
		p.t.Fatalf("%s: got %s, want %d: %s", firstLine(head), a.Status, want, a.body)
	}
	p.gone()
	if took := time.Since(began); took > leeway {
		p.t.Errorf("answer and end took %v", took)
	}
	if !a.Close {
		p.t.Errorf("no Connection: close in %v", a.Header)
	}
	if a.ProtoMajor != 1 || a.ProtoMinor != 1 {
		p.t.Errorf("answer in %s", a.Proto)
	}
	p.checkBody(a, method, want)
	for name, value := range map[int]map[string]string{
		405: {"Allow": "GET"},
		426: {"Sec-Websocket-Version": "13", "Upgrade": "websocket"},
	}[want] {
		if got := a.Header.Values(name); len(got) != 1 || got[0] != value {
			p.t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	return a
}

// checkBody checks that the body is what every refusal of the router says.
func (p *peer) checkBody(a answer, method string, want int) {
	p.t.Helper()
	if kind := a.Header.Get("Content-Type"); kind != "application/json" {
		p.t.Errorf("content type %q", kind)
	}
	if method == http.MethodHead {
		if a.body != "" || a.ContentLength <= 0 {
			p.t.Errorf("body %q, length %d", a.body, a.ContentLength)
		}
		return
	}
	var said struct {
		Status      int
		Error, Code string
	}
	if err := json.Unmarshal([]byte(a.body), &said); err != nil {
		p.t.Fatalf("body %q: %v", a.body, err)
	}
	if said.Status != want || !strings.HasSuffix(said.Error, ".") || said.Code == "" {
		p.t.Errorf("body %q", a.body)
	}
}

// TestAcceptedHeads sends what looks odd and is right.
func TestAcceptedHeads(t *testing.T) {
	balanced(t)
	upstream := newAccepter(t)
	r := start(t, Options{}, member{address: upstream.address()})
	for _, row := range goodRows {
		t.Run(row.name, func(t *testing.T) {
			c := r.dial()
			c.t = t
			c.say(row.head)
			c.upgraded()
			u := upstream.session()
			c.send(masked(textFrame, "hello"))
			u.wants(textFrame, "hello")
			c.Close()
			u.gone()
			u.Close()
		})
	}
}
