package handshake

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const goodAnswer = "HTTP/1.1 101 Switching Protocols\r\n" +
	"Upgrade: websocket\r\n" +
	"Connection: Upgrade\r\n" +
	"Sec-WebSocket-Accept: " + sampleAccept + "\r\n\r\n"

// answerTo parses an answer to a request.
func answerTo(t *testing.T, request, head string) (*Answer, error) {
	t.Helper()
	var r Request
	if got := judge(t, request, &r); got != 101 {
		t.Fatalf("request: status %d", got)
	}
	n, err := AnswerEnd([]byte(head), 0, Limits{})
	if err != nil {
		return nil, err
	}
	var a Answer
	return &a, ParseAnswer([]byte(head[:n]), Limits{}, &r, &a)
}

// TestAnswerRows is the table of answers of an upstream. A name begins with the number of its row in the project's table of
// bad inputs. status is 0 for a bad answer, for which the client gets 502.
func TestAnswerRows(t *testing.T) {
	request := add("Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: c",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-webkit-deflate-frame",
		"Sec-WebSocket-Extensions: foo; a=\"x, bar; y\"",
		`Sec-WebSocket-Extensions: qux; a="\", baz; "`)
	swap := func(old, new string) string {
		if !strings.Contains(goodAnswer, old) {
			panic("not in the good answer: " + old)
		}
		return strings.Replace(goodAnswer, old, new, 1)
	}
	add := func(lines ...string) string {
		return strings.TrimSuffix(goodAnswer, "\r\n") + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	plain := func(status string, lines ...string) string {
		return "HTTP/1.1 " + status + "\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	tooMany := add(manyLines(98)...)
	for _, row := range []struct {
		name   string
		head   string
		status int
	}{
		{"00 good", goodAnswer, 101},
		{"00 mixed case", "HTTP/1.1 101 \r\nUPGRADE: WebSocket\r\nconnection: keep-alive, upgrade\r\nsec-websocket-ACCEPT:" + sampleAccept + " \r\n\r\n", 101},
		{"00 no reason", swap("101 Switching Protocols", "101"), 101},
		{"00 Content-Length 0", add("Content-Length: 0"), 101},
		{"22 wrong accept", swap("s3pP", "S3pP"), 0},
		{"22 accept of another key", swap(sampleAccept, "HSmrc0sMlYUkAGmm5OPpG2HaGWk="), 0},
		{"22 missing accept", swap("Sec-WebSocket-Accept", "X-Accept"), 0},
		{"22 underscore accept", swap("Sec-WebSocket-Accept", "Sec_WebSocket_Accept"), 0},
		{"22 empty accept", swap(sampleAccept, ""), 0},
		{"22 double accept", add("Sec-WebSocket-Accept: " + sampleAccept), 0},
		{"22 double accept in one line", swap(sampleAccept, sampleAccept+", "+sampleAccept), 0},
		{"23 other protocol", swap("Upgrade: websocket", "Upgrade: h2c"), 0},
		{"23 two protocols", swap("Upgrade: websocket", "Upgrade: websocket, h2c"), 0},
		{"23 two Upgrade lines", add("Upgrade: websocket"), 0},
		{"23 no Upgrade", swap("Upgrade: websocket", "X-Upgrade: websocket"), 0},
		{"23 no Connection", swap("Connection: Upgrade", "X-Connection: Upgrade"), 0},
		{"23 Connection close", swap("Connection: Upgrade", "Connection: close"), 0},
		{"23 Connection names accept", swap("Connection: Upgrade", "Connection: Upgrade, Sec-WebSocket-Accept"), 0},
		{"23 HTTP/1.0", swap("HTTP/1.1", "HTTP/1.0"), 0},
		{"23 HTTP/2.0", swap("HTTP/1.1", "HTTP/2.0"), 0},
		{"23 body", add("Content-Length: 1"), 0},
		{"23 chunked", add("Transfer-Encoding: chunked"), 0},
		{"24 200 with upgrade fields", swap("101 Switching Protocols", "200 OK"), 200},
		{"24 302", plain("302 Found", "Location: /x", "Content-Length: 0"), 302},
		{"24 401", plain("401 Unauthorized", "WWW-Authenticate: Basic"), 401},
		{"24 426", plain("426 Upgrade Required", "Upgrade: websocket", "Sec-WebSocket-Version: 13"), 426},
		{"24 503", plain("503 Service Unavailable", "Retry-After: 5"), 503},
		{"24 HTTP/1.0 answer", "HTTP/1.0 403 Forbidden\r\nA: b\r\n\r\n", 403},
		{"24 interim", plain("103 Early Hints", "Link: </x>"), 103},
		{"25 1 MiB", add("A: " + strings.Repeat("a", 1<<20)), 0},
		{"25 101 fields", tooMany, 0},
		{"25 1000 options", plain("200 OK", "Connection: "+list(1000)), 0},
		{"26 subprotocol", add("Sec-WebSocket-Protocol: b"), 101},
		{"26 subprotocol of the second line", add("Sec-WebSocket-Protocol: c"), 101},
		{"26 subprotocol not offered", add("Sec-WebSocket-Protocol: d"), 0},
		{"26 subprotocol in another case", add("Sec-WebSocket-Protocol: A"), 0},
		{"26 two subprotocols", add("Sec-WebSocket-Protocol: a, b"), 0},
		{"26 two lines of subprotocols", add("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: a"), 0},
		{"26 empty subprotocol", add("Sec-WebSocket-Protocol:"), 0},
		{"26 extension", add("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"), 101},
		{"26 extensions", add("Sec-WebSocket-Extensions: foo; a=\"x\" , permessage-deflate"), 101},
		{"26 extension not offered", add("Sec-WebSocket-Extensions: permessage-bzip2"), 0},
		{"26 second extension not offered", add("Sec-WebSocket-Extensions: foo, permessage-bzip2"), 0},
		{"26 extension offered only inside quotes", add("Sec-WebSocket-Extensions: bar"), 0},
		{"26 extension offered only behind a quoted quote", add("Sec-WebSocket-Extensions: baz"), 0},
		{"26 extension with such an offer", add("Sec-WebSocket-Extensions: qux"), 101},
		{"26 extension twice", add("Sec-WebSocket-Extensions: foo, permessage-deflate; a, foo"), 0},
		{"26 two lines of extensions", add("Sec-WebSocket-Extensions: foo", "Sec-WebSocket-Extensions: permessage-deflate"), 0},
		{"26 empty extension", add("Sec-WebSocket-Extensions:"), 0},
		{"26 empty element", add("Sec-WebSocket-Extensions: foo,"), 0},
		{"26 unterminated quote", add("Sec-WebSocket-Extensions: foo; a=\"b"), 0},
		{"26 quoted space", add("Sec-WebSocket-Extensions: foo; a=\"b c\""), 0},
		{"26 empty parameter", add("Sec-WebSocket-Extensions: foo;"), 0},
		{"26 parameter without value", add("Sec-WebSocket-Extensions: foo; a="), 0},
		{"26 many extensions", add("Sec-WebSocket-Extensions: " + list(1000)), 0},
		{"28 length and coding", plain("200 OK", "Content-Length: 5", "Transfer-Encoding: chunked"), 0},
		{"28 two lengths", plain("200 OK", "Content-Length: 5", "Content-Length: 5"), 0},
		{"28 plus", plain("200 OK", "Content-Length: +5"), 0},
		{"29 xchunked", plain("200 OK", "Transfer-Encoding: xchunked"), 0},
		{"29 chunked, identity", plain("200 OK", "Transfer-Encoding: chunked, identity"), 0},
		{"29 in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0},
		{"30 space before colon", add("A : b"), 0},
		{"30 obs-fold", add("A: b", " c"), 0},
		{"30 empty name", add(": b"), 0},
		{"30 no colon", add("A"), 0},
		{"30 control byte", add("A: \x01"), 0},
		{"30 option with a space", swap("Connection: Upgrade", "Connection: Upgrade, a b"), 0},
		{"30 status of two digits", plain("10 x", "A: b"), 0},
		{"30 status of four digits", plain("1010 x", "A: b"), 0},
		{"30 status 099", plain("099 x", "A: b"), 0},
		{"30 status 600", plain("600 x", "A: b"), 0},
		{"30 status -01", plain("-01 x", "A: b"), 0},
		{"30 two spaces", plain(" 200 OK", "A: b"), 0},
		{"30 no status", "HTTP/1.1\r\nA: b\r\n\r\n", 0},
		{"30 control byte in the reason", plain("200 O\x01K", "A: b"), 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, err := answerTo(t, request, row.head)
			var bad *BadAnswer
			switch {
			case row.status == 0 && (!errors.As(err, &bad) || bad.Reason == ""):
				t.Errorf("error %v, want *BadAnswer", err)
			case row.status != 0 && err != nil:
				t.Error(err)
			case row.status != 0 && a.Status != row.status:
				t.Errorf("status %d, want %d", a.Status, row.status)
			case row.status != 0 && a.Interim() != (row.status == 103):
				t.Errorf("interim is %v", a.Interim())
			}
		})
	}
}

// TestAnswerNothingOffered checks that an upstream cannot choose what nobody offered.
func TestAnswerNothingOffered(t *testing.T) {
	for _, line := range []string{"Sec-WebSocket-Protocol: a", "Sec-WebSocket-Extensions: permessage-deflate"} {
		head := strings.TrimSuffix(goodAnswer, "\r\n") + line + "\r\n\r\n"
		if _, err := answerTo(t, goodRequest, head); err == nil {
			t.Errorf("%s: accepted", line)
		}
	}
}

// TestAnswerChoice checks what an accepted 101 says about subprotocol and reserved bits.
func TestAnswerChoice(t *testing.T) {
	request := add("Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: permessage-deflate, x-webkit-deflate-frame, foo")
	f := func(line, protocol string, rsv byte) {
		t.Helper()
		a, err := answerTo(t, request, strings.TrimSuffix(goodAnswer, "\r\n")+line+"\r\n\r\n")
		if err != nil {
			t.Errorf("%s: %v", line, err)
			return
		}
		if v, ok := a.Value("SEC-websocket-accept"); !ok || string(v) != sampleAccept {
			t.Errorf("%s: accept reads %q, %v", line, v, ok)
		}
		if string(a.Protocol) != protocol || a.RSV != rsv {
			t.Errorf("%s: protocol %q, reserved bits %#x", line, a.Protocol, a.RSV)
		}
	}
	f("X-A: b", "", 0)
	f("Sec-WebSocket-Protocol: b", "b", 0)
	f("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15", "", RSV1)
	f("Sec-WebSocket-Extensions: x-webkit-deflate-frame", "", RSV1)
	f("Sec-WebSocket-Extensions: foo", "", RSV1|RSV2|RSV3)
	f("Sec-WebSocket-Extensions: permessage-deflate, foo; a=\"b\\c\"", "", RSV1|RSV2|RSV3)
}

// TestAnswerBody checks how the body of an answer ends.
func TestAnswerBody(t *testing.T) {
	f := func(status, line string, body Body, length int64) {
		t.Helper()
		a, err := answerTo(t, goodRequest, fmt.Sprintf("HTTP/1.1 %s\r\n%s\r\n\r\n", status, line))
		if err != nil {
			t.Errorf("%s, %s: %v", status, line, err)
			return
		}
		if a.Body != body || a.ContentLength != length {
			t.Errorf("%s, %s: body %d, length %d", status, line, a.Body, a.ContentLength)
		}
	}
	f("200 OK", "Content-Length: 12", BodyLength, 12)
	f("200 OK", "Content-Length: 0", BodyNone, 0)
	f("200 OK", "Transfer-Encoding: chunked", BodyChunked, 0)
	f("200 OK", "X-A: b", BodyToEnd, 0)
	f("204 No Content", "X-A: b", BodyNone, 0)
	f("204 No Content", "Content-Length: 5", BodyNone, 0)
	f("304 Not Modified", "Content-Length: 5", BodyNone, 0)
	f("103 Early Hints", "X-A: b", BodyNone, 0)
}

// TestAppendClient checks the whole head that goes to the client.
func TestAppendClient(t *testing.T) {
	f := func(name, head, want string) {
		t.Helper()
		a, err := answerTo(t, add("Sec-WebSocket-Protocol: a", "Sec-WebSocket-Extensions: foo"), head)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		if diff := cmp.Diff(want, string(a.AppendClient(nil))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	f("101", lines("HTTP/1.1 101 Yes", "Server: x", "upgrade: WebSocket", "Set-Cookie: a=b", "connection: x-hop, Upgrade",
		"Sec-WebSocket-Accept: "+sampleAccept, "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic",
		"Content-Length: 0", "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Extensions: foo", "X_A:  b ", "Set-Cookie: c=d"),
		lines("HTTP/1.1 101 Yes", "Connection: Upgrade", "Upgrade: websocket", "Server: x", "Set-Cookie: a=b",
			"Sec-WebSocket-Accept: "+sampleAccept, "Sec-WebSocket-Protocol: a", "Sec-WebSocket-Extensions: foo", "X_A: b",
			"Set-Cookie: c=d"))
	f("401", lines("HTTP/1.1 401 No", "WWW-Authenticate: Basic", "Connection: keep-alive", "Content-Length: 3"),
		lines("HTTP/1.1 401 No", "Connection: close", "WWW-Authenticate: Basic", "Content-Length: 3"))
	f("200 with upgrade fields", lines("HTTP/1.1 200 OK", "Upgrade: websocket", "Connection: Upgrade", "Transfer-Encoding: Chunked"),
		lines("HTTP/1.1 200 OK", "Connection: close", "Transfer-Encoding: chunked"))
	f("426", lines("HTTP/1.0 426 Upgrade Required", "Upgrade: h2c", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
		lines("HTTP/1.1 426 Upgrade Required", "Connection: close, Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"))
	f("204", lines("HTTP/1.1 204", "Content-Length: 5", "A: b"), lines("HTTP/1.1 204 ", "Connection: close", "A: b"))
}

// TestAccept checks the sample of RFC 6455 §1.3.
func TestAccept(t *testing.T) {
	if got := Accept([]byte(sampleKey)); string(got[:]) != sampleAccept {
		t.Errorf("got %s", got)
	}
}
