package handshake

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const (
	sampleKey    = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455 §1.3
	sampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

	goodRequest = "GET /chat?room=1 HTTP/1.1\r\n" +
		"Host: router.example:8080\r\n" +
		"Upgrade: websocket\r\n" +
		"Connection: keep-alive, Upgrade\r\n" +
		"Sec-WebSocket-Key: " + sampleKey + "\r\n" +
		"Sec-WebSocket-Version: 13\r\n\r\n"
)

// swap returns goodRequest with one piece replaced.
func swap(old, new string) string {
	if !strings.Contains(goodRequest, old) {
		panic("not in the good request: " + old)
	}
	return strings.Replace(goodRequest, old, new, 1)
}

// target returns goodRequest with another request target.
func target(t string) string { return swap("/chat?room=1", t) }

// add returns goodRequest with further field lines, each without its line end.
func add(lines ...string) string {
	return strings.TrimSuffix(goodRequest, "\r\n") + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// judge takes a request through all that happens before an upstream is chosen. It returns the status of the answer, 101
// if the request is let in.
func judge(t *testing.T, head string, r *Request) int {
	t.Helper()
	n, err := RequestEnd([]byte(head), 0, Limits{})
	if err == nil && n == 0 {
		t.Fatalf("the head has no end: %.200q", head)
	}
	if err == nil {
		err = ParseRequest([]byte(head)[:n], Limits{}, r)
	}
	if err == nil {
		err = r.CheckUpgrade()
	}
	if err == nil {
		return 101
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("error is a %T, want *Refusal", err)
	}
	checkRefusal(t, refusal, r.Method)
	return refusal.Status
}

// checkRefusal checks what every refusal must be like, the fields that go with some statuses included.
func checkRefusal(t *testing.T, refusal *Refusal, method []byte) {
	t.Helper()
	if !strings.HasSuffix(refusal.Reason, ".") {
		t.Errorf("reason is not a sentence: %q", refusal.Reason)
	}
	answer := string(refusal.AppendAnswer(nil, method))
	for _, want := range []string{
		fmt.Sprintf("HTTP/1.1 %d ", refusal.Status),
		"\r\nConnection: close",
		map[int]string{405: "\r\nAllow: GET\r\n", 426: "\r\nSec-WebSocket-Version: 13\r\n"}[refusal.Status],
	} {
		if !strings.Contains(answer, want) {
			t.Errorf("answer has no %q:\n%s", want, answer)
		}
	}
}

// manyLines returns n different field lines.
func manyLines(n int) (lines []string) {
	for i := range n {
		lines = append(lines, fmt.Sprintf("X-%d: v", i))
	}
	return lines
}

// list returns n different tokens as a list.
func list(n int) string {
	var tokens []string
	for i := range n {
		tokens = append(tokens, fmt.Sprint("p", i))
	}
	return strings.Join(tokens, ", ")
}

// TestRequestRows is the table of bad requests and their answers. A name begins with the number of its row in the
// project's table of bad inputs; the same number may have several cases, good neighbours of the bad ones included.
func TestRequestRows(t *testing.T) {
	key := func(k string) string { return swap(sampleKey, k) }
	upgrade := func(u string) string { return swap("Upgrade: websocket", u) }
	method := func(m string) string { return swap("GET", m) }
	host := func(h string) string { return swap("Host: router.example:8080\r\n", h) }
	version := func(v string) string { return swap("Sec-WebSocket-Version: 13\r\n", v) }
	connection := func(c string) string { return swap("Connection: keep-alive, Upgrade", c) }

	for _, row := range []struct {
		name string
		head string
		want int
	}{
		{"00 good", goodRequest, 101},
		{"00 frames behind the head", goodRequest + "\x81\x80\x00\n\r\x00", 101},
		{"01 HTTP/1.0 upgrade", swap("HTTP/1.1", "HTTP/1.0"), 400},
		{"01 HTTP/1.2", swap("HTTP/1.1", "HTTP/1.2"), 505},
		{"01 HTTP/2.0", swap("HTTP/1.1", "HTTP/2.0"), 505},
		{"01 HTTP/0.9", swap("HTTP/1.1", "HTTP/0.9"), 505},
		{"01 no version", swap(" HTTP/1.1", ""), 400},
		{"01 version in lower case", swap("HTTP/1.1", "http/1.1"), 400},
		{"01 long version", swap("HTTP/1.1", "HTTP/1.10"), 400},
		{"02 POST", method("POST"), 405},
		{"02 HEAD", method("HEAD"), 405},
		{"02 OPTIONS", method("OPTIONS"), 405},
		{"02 CONNECT with a path", method("CONNECT"), 405},
		{"02 CONNECT with an authority", swap("GET /chat?room=1", "CONNECT router.example:8080"), 405},
		{"02 lower-case get", method("get"), 405},
		{"02 unknown", method("BREW"), 501},
		{"02 too long for a method", method(strings.Repeat("G", 40)), 501},
		{"02 POST with a body", strings.Replace(add("Content-Length: 5"), "GET", "POST", 1), 405},
		{"03 h2c", strings.Replace(add("HTTP2-Settings: AAMAAABk"), "Upgrade: websocket", "Upgrade: h2c", 1), 400},
		{"04 foo", upgrade("Upgrade: foo"), 400},
		{"04 empty", upgrade("Upgrade:"), 400},
		{"04 websocket with a version", upgrade("Upgrade: websocket/13"), 400},
		{"04 mixed case", upgrade("uPGRADE:WebSocket"), 101},
		{"05 websocket and h2c", upgrade("Upgrade: websocket, h2c"), 400},
		{"05 h2c and websocket", upgrade("Upgrade: h2c, websocket"), 400},
		{"05 two lines", upgrade("Upgrade: websocket\r\nUpgrade: h2c"), 400},
		{"05 two equal lines", upgrade("Upgrade: websocket\r\nUpgrade: websocket"), 400},
		{"06 no Connection", connection("X-Connection: Upgrade"), 426},
		{"06 Connection without upgrade", connection("Connection: keep-alive"), 426},
		{"06 upgrade inside another option", connection("Connection: xUpgrade, Upgrade-x"), 426},
		{"06 no Upgrade", upgrade("X-Upgrade: websocket"), 426},
		{"07 no key", swap("Sec-WebSocket-Key", "X-Key"), 400},
		{"08 empty key", key(""), 400},
		{"08 not base64", key("!!hlIHNhbXBsZSBub25jZQ=="), 400},
		{"08 URL-safe base64", key("_-hlIHNhbXBsZSBub25jZQ=="), 400},
		{"08 15 bytes", key("MTIzNDU2Nzg5MDEyMzQ1"), 400},
		{"08 17 bytes", key("MTIzNDU2Nzg5MDEyMzQ1Njc="), 400},
		{"08 18 bytes", key("MTIzNDU2Nzg5MDEyMzQ1Njc4"), 400},
		{"08 no padding", key("dGhlIHNhbXBsZSBub25jZQ"), 400},
		{"08 two keys", add("Sec-WebSocket-Key: " + sampleKey), 400},
		{"08 two keys in one line", key(sampleKey + ", " + sampleKey), 400},
		{"08 white space around", key(" \t" + sampleKey + "\t "), 101},
		{"09 no version", version(""), 426},
		{"09 version 8", version("Sec-WebSocket-Version: 8\r\n"), 426},
		{"09 version 777", version("Sec-WebSocket-Version: 777\r\n"), 426},
		{"09 version 013", version("Sec-WebSocket-Version: 013\r\n"), 426},
		{"09 empty version", version("Sec-WebSocket-Version:\r\n"), 426},
		{"09 two versions", add("Sec-WebSocket-Version: 13"), 426},
		{"09 two versions in one line", version("Sec-WebSocket-Version: 13, 8\r\n"), 426},
		{"10 body", add("Content-Length: 5") + "hello", 400},
		{"11 chunked", add("Transfer-Encoding: chunked") + "0\r\n\r\n", 400},
		{"12 Content-Length 0", add("Content-Length: 0"), 101},
		{"13 Expect", add("Expect: 100-continue"), 417},
		{"13 another Expect", add("Expect: x"), 417},
		{"15 absolute, same authority", target("http://router.example:8080/chat"), 101},
		{"15 absolute, same authority in another case", target("WS://Router.Example:8080/chat"), 101},
		{"15 absolute without path", target("http://router.example:8080"), 101},
		{"15 absolute without path, with query", target("http://router.example:8080?a=b"), 101},
		{"15 absolute, other authority", target("http://other.example/chat"), 400},
		{"15 absolute, other port", target("http://router.example/chat"), 400},
		{"15 absolute, userinfo", target("http://u@router.example:8080/chat"), 400},
		{"15 absolute, no authority", target("http:///chat"), 400},
		{"15 absolute, other scheme", target("ftp://router.example:8080/chat"), 400},
		{"15 authority alone", target("router.example:8080"), 400},
		{"16 GET *", target("*"), 400},
		{"16 OPTIONS *", swap("GET /chat?room=1", "OPTIONS *"), 405},
		{"16 empty", swap("/chat?room=1 ", " "), 400},
		{"16 two spaces before", target(" /chat"), 400},
		{"16 two spaces after", target("/chat "), 400},
		{"16 space", target("/ch at"), 400},
		{"16 tab", target("/ch\tat"), 400},
		{"16 NUL", target("/ch\x00at"), 400},
		{"16 bare CR", target("/ch\rat"), 400},
		{"16 DEL", target("/ch\x7fat"), 400},
		{"16 non-ASCII", target("/chät"), 400},
		{"16 non-ASCII in the query", target("/?ä"), 400},
		{"16 no slash", target("chat"), 400},
		{"16 backslash", target("/chat\\x"), 400},
		{"16 half an octet", target("/chat%2"), 400},
		{"16 not an octet", target("/chat%zz"), 400},
		{"16 per cent in the query", target("/chat?100%"), 101},
		{"17 encoded dots", target("/a/%2e%2e/chat"), 101},
		{"17 two slashes", target("//chat"), 101},
		{"17 encoded slash", target("/a%2Fb"), 101},
		{"17 parameter", target("/chat;x"), 101},
		{"17 fragment", target("/chat#x"), 400},
		{"17 fragment in the query", target("/chat?a#x"), 400},
		{"17 above the root", target("/../chat"), 400},
		{"17 above the root, encoded", target("/a/%2E%2e/.%2e/chat"), 400},
		{"17 above the root, encoded slash", target("/a/..%2f..%2fchat"), 400},
		{"17 above the root, encoded backslash", target("/..%5cchat"), 400},
		{"17 above the root, parameter", target("/..;x/chat"), 400},
		{"17 above the root, empty segments", target("/a//../../chat"), 400},
		{"18 16 KiB target", target("/" + strings.Repeat("a", 16<<10)), 414},
		{"18 9 KiB target", target("/" + strings.Repeat("a", 9<<10)), 414},
		{"18 8 KiB target", target("/" + strings.Repeat("a", 8<<10-1)), 101},
		{"18 1 MiB target", target("/?" + strings.Repeat("a", 1<<20)), 414},
		{"20 TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
		{"20 PROXY v1", "PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n" + goodRequest, 400},
		{"20 PROXY v2", "\r\n\r\n\x00\r\nQUIT\n", 400},
		{"20 HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
		{"21 random bytes", "\xf1\x9e\x03\xa8", 400},
		{"21 empty line first", "\r\n" + goodRequest, 400},

		{"28 length and coding", add("Content-Length: 5", "Transfer-Encoding: chunked"), 400},
		{"28 zero length and coding", add("Transfer-Encoding: chunked", "Content-Length: 0"), 400},
		{"28 two lengths", add("Content-Length: 0", "Content-Length: 0"), 400},
		{"28 list of lengths", add("Content-Length: 0, 0"), 400},
		{"28 plus", add("Content-Length: +5"), 400},
		{"28 hex", add("Content-Length: 0x5"), 400},
		{"28 negative", add("Content-Length: -1"), 400},
		{"28 2^64", add("Content-Length: 18446744073709551616"), 400},
		{"28 empty", add("Content-Length:"), 400},
		{"28 tab", add("Content-Length:\t0"), 400},
		{"29 xchunked", add("Transfer-Encoding: xchunked"), 501},
		{"29 gzip, chunked", add("Transfer-Encoding: gzip, chunked"), 501},
		{"29 chunked, identity", add("Transfer-Encoding: chunked, identity"), 400},
		{"29 chunked twice", add("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400},
		{"29 empty", add("Transfer-Encoding:"), 400},
		{"29 tab", add("Transfer-Encoding:\tchunked"), 400},
		{"29 VT", add("Transfer-Encoding:\vchunked"), 400},
		{"29 in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"30 space before colon", add("X-A : b"), 400},
		{"30 obs-fold", add("X-A: b", " c"), 400},
		{"30 tab fold", add("X-A: b", "\tc"), 400},
		{"30 first line folded", swap("Host:", " Host:"), 400},
		{"30 empty name", add(": b"), 400},
		{"30 no colon", add("X-A"), 400},
		{"30 bare LF", add("X-A: b\nX-B: c"), 400},
		{"30 bare CR", add("X-A: b\rX-B: c"), 400},
		{"30 NUL", add("X-A: b\x00c"), 400},
		{"30 control byte", add("X-A: b\x01c"), 400},
		{"30 DEL", add("X-A: b\x7fc"), 400},
		{"30 quote in the name", add("X\"A: b"), 400},
		{"30 non-ASCII name", add("X-Ä: b"), 400},
		{"30 non-ASCII value", add("X-A: ä\xff"), 101},
		{"30 empty value", add("X-A:"), 101},
		{"31 no Host", host(""), 400},
		{"31 two Hosts", add("Host: router.example:8080"), 400},
		{"31 empty", host("Host:\r\n"), 400},
		{"31 space", host("Host: a b\r\n"), 400},
		{"31 open bracket", host("Host: [::1\r\n"), 400},
		{"31 not IPv6 in brackets", host("Host: [127.0.0.1]\r\n"), 400},
		{"31 zone", host("Host: [fe80::1%25eth0]\r\n"), 400},
		{"31 behind brackets", host("Host: [::1]x\r\n"), 400},
		{"31 userinfo", host("Host: user@router.example\r\n"), 400},
		{"31 path", host("Host: router.example/x\r\n"), 400},
		{"31 list", host("Host: a,b\r\n"), 400},
		{"31 encoded", host("Host: a%41\r\n"), 400},
		{"31 port alone", host("Host: :80\r\n"), 400},
		{"31 empty port", host("Host: a:\r\n"), 400},
		{"31 port out of range", host("Host: a:65536\r\n"), 400},
		{"31 port not a number", host("Host: a:8O\r\n"), 400},
		{"31 IPv6", host("Host: [2001:db8::1]\r\n"), 101},
		{"31 IPv6 with port", host("Host: [::1]:80\r\n"), 101},
		{"31 IPv4", host("Host: 192.0.2.1:80\r\n"), 101},
		{"32 empty first Connection", connection("Connection:\r\nConnection: Upgrade"), 101},
		{"32 mixed case", connection("cOnNeCtIoN: ,KEEP-alive,,upGRade,"), 101},
		{"32 1000 options", connection("Connection: Upgrade, " + list(1000)), 431},
		{"32 65 options", connection("Connection: Upgrade, " + list(64)), 431},
		{"32 64 options", connection("Connection: Upgrade, " + list(63)), 101},
		{"32 65 options in many lines", connection("Connection: " + strings.ReplaceAll(list(65), ", ", "\r\nConnection: ")), 431},
		{"32 option with a space", connection("Connection: Upgrade, a b"), 400},
		{"32 names Host", connection("Connection: Upgrade, host"), 400},
		{"32 names Origin", connection("Connection: Upgrade, Origin"), 400},
		{"32 names Content-Length", connection("Connection: Upgrade, Content-Length"), 400},
		{"32 names the key", connection("Connection: Upgrade, sec-websocket-key"), 400},
		{"32 names the extensions", connection("Connection: Upgrade, Sec-WebSocket-Extensions"), 400},
		{"32 names Sec-Fetch-Site", connection("Connection: Upgrade, Sec-Fetch-Site"), 400},
		{"34 underscore key alone", swap("Sec-WebSocket-Key", "Sec_WebSocket_Key"), 400},
		{"34 underscore key beside", add("Sec_WebSocket_Key: x"), 101},
		{"34 underscore length", add("Content_Length: 5"), 101},
		{"35 101 fields", add(manyLines(96)...), 431},
		{"35 100 fields", add(manyLines(95)...), 101},
		{"35 101 fields with underscores", strings.ReplaceAll(add(manyLines(96)...), "X-", "X_"), 431},
		{"35 64 KiB field", add("X-A: " + strings.Repeat("a", 64<<10)), 431},
		{"35 1 MiB", add("X-A: "+strings.Repeat("a", 512<<10), "X-B: "+strings.Repeat("a", 512<<10)), 431},
		{"35 16 KiB", add("X-A: " + strings.Repeat("a", 16<<10-len(add("X-A: ")))), 101},
		{"35 16 KiB and 1", add("X-A: " + strings.Repeat("a", 16<<10-len(add("X-A: "))+1)), 431},
		{"37 1000 subprotocols", add("Sec-WebSocket-Protocol: " + list(1000)), 400},
		{"37 101 subprotocols", add("Sec-WebSocket-Protocol: "+list(100), "Sec-WebSocket-Protocol: q"), 400},
		{"37 100 subprotocols", add("Sec-WebSocket-Protocol: " + list(100)), 101},
		{"37 invalid token", add("Sec-WebSocket-Protocol: a, b c"), 400},
		{"37 quoted", add("Sec-WebSocket-Protocol: \"a\""), 400},
		{"37 duplicate", add("Sec-WebSocket-Protocol: a, b, a"), 400},
		{"37 duplicate over two lines", add("Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: a"), 400},
		{"37 differ by case", add("Sec-WebSocket-Protocol: a, A"), 101},
		{"37 empty", add("Sec-WebSocket-Protocol:"), 400},
		{"37 commas only", add("Sec-WebSocket-Protocol: , ,"), 400},
		{"38 window bits 7", add("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7"), 101},
		{"38 duplicates", add("Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate"), 101},
		{"38 unterminated quote", add("Sec-WebSocket-Extensions: x; a=\"b"), 101},
		{"38 64 KiB", add("Sec-WebSocket-Extensions: x; a=" + strings.Repeat("b", 64<<10)), 431},
	} {
		t.Run(row.name, func(t *testing.T) {
			var r Request
			if got := judge(t, row.head, &r); got != row.want {
				t.Fatalf("status %d, want %d", got, row.want)
			}
			if row.want == 101 && !bytes.Equal(r.Key, []byte(sampleKey)) {
				t.Errorf("key is %q", r.Key)
			}
		})
	}
}

// TestPlainRequest checks that a request which is no upgrade is a valid one, with what the caller needs for its answer.
func TestPlainRequest(t *testing.T) {
	f := func(head string, length int64) {
		t.Helper()
		var r Request
		if err := ParseRequest([]byte(head), Limits{}, &r); err != nil {
			t.Errorf("%q: %v", head, err)
			return
		}
		if r.IsUpgrade() || r.ContentLength != length || r.HasBody() != (length != 0) {
			t.Errorf("%q: upgrade %v, length %d, body %v", head, r.IsUpgrade(), r.ContentLength, r.HasBody())
		}
	}
	f("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0)
	f("GET / HTTP/1.0\r\n\r\n", 0)
	f("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", 0)
	f("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0)
	f("POST /negotiate HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n", 12)
	f("POST /negotiate HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", -1)
}

// TestParseRequestWholeHead checks that a head with something behind it, or cut short, is not taken for a head.
func TestParseRequestWholeHead(t *testing.T) {
	for _, head := range []string{
		"", "GET", goodRequest[:len(goodRequest)-2], goodRequest[:len(goodRequest)-1], goodRequest + "x", goodRequest + goodRequest,
	} {
		var r Request
		err := ParseRequest([]byte(head), Limits{}, &r)
		var refusal *Refusal
		if !errors.As(err, &refusal) || refusal.Status != 400 {
			t.Errorf("%q: %v, want 400", head, err)
		}
	}
}

// TestRequestReuse checks that nothing of one request is left when its Request is used for the next.
func TestRequestReuse(t *testing.T) {
	var r Request
	if got := judge(t, add("Sec-WebSocket-Protocol: a", "X-A: b"), &r); got != 101 {
		t.Fatalf("status %d", got)
	}
	if err := ParseRequest([]byte("GET / HTTP/1.1\r\nHost: b\r\n\r\n"), Limits{}, &r); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Value("X-A"); ok || r.IsUpgrade() || r.Key != nil || len(r.Protocols) > 0 || r.Query != nil || string(r.Host) != "b" {
		t.Errorf("left over: %+v", r)
	}
}
