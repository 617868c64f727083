package handshake

import (
	"net/netip"
	"strings"
	"testing"
)

// browserRequest is about what a browser sends.
var browserRequest = strings.TrimSuffix(goodRequest, "\r\n") + strings.Join([]string{
	"Pragma: no-cache",
	"Cache-Control: no-cache",
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
	"Origin: https://app.example",
	"Accept-Encoding: gzip, deflate, br, zstd",
	"Accept-Language: en-GB,en;q=0.9",
	"Cookie: session=0123456789abcdef0123456789abcdef",
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
	"Sec-WebSocket-Protocol: chat.v2, chat.v1",
}, "\r\n") + "\r\n\r\n"

var browserAnswer = strings.TrimSuffix(goodAnswer, "\r\n") +
	"Sec-WebSocket-Protocol: chat.v2\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSet-Cookie: a=b\r\n\r\n"

// handshaker does the whole work of one handshake with buffers that it keeps.
type handshaker struct {
	request, answer []byte
	r               Request
	a               Answer
	up, down, path  []byte
}

func (h *handshaker) run(tb testing.TB) {
	n, err := RequestEnd(h.request, 0, Limits{})
	if err == nil {
		err = ParseRequest(h.request[:n], Limits{}, &h.r)
	}
	if err == nil {
		err = h.r.CheckUpgrade()
	}
	if err != nil {
		tb.Fatal(err)
	}
	h.path = h.r.NormalPath(h.path[:0])
	h.up = h.r.AppendUpstream(h.up[:0], sampleUpstream, Forward{Client: netip.AddrFrom4([4]byte{192, 0, 2, 7}), Proto: "http"})
	n, err = AnswerEnd(h.answer, 0, Limits{})
	if err == nil {
		err = ParseAnswer(h.answer[:n], Limits{}, &h.r, &h.a)
	}
	if err != nil {
		tb.Fatal(err)
	}
	h.down = h.a.AppendClient(h.down[:0])
}

// TestAllocations pins that a warm handshake allocates nothing, and neither does a refusal.
func TestAllocations(t *testing.T) {
	h := handshaker{request: []byte(browserRequest), answer: []byte(browserAnswer)}
	if n := testing.AllocsPerRun(200, func() { h.run(t) }); n > 0 {
		t.Errorf("handshake: %v allocations", n)
	}
	bad := []byte(add("Expect: 100-continue"))
	var r Request
	var answer []byte
	n := testing.AllocsPerRun(200, func() {
		err := ParseRequest(bad, Limits{}, &r)
		if err == nil {
			err = r.CheckUpgrade()
		}
		refusal, ok := err.(*Refusal) //nolint:errorlint // errors.As allocates, and nothing wraps here
		if !ok {
			t.Fatal(err)
		}
		answer = refusal.AppendAnswer(answer[:0], r.Method)
	})
	if n > 0 {
		t.Errorf("refusal: %v allocations", n)
	}
}

// BenchmarkHandshake measures all of one handshake but the I/O.
func BenchmarkHandshake(b *testing.B) {
	h := handshaker{request: []byte(browserRequest), answer: []byte(browserAnswer)}
	b.ReportAllocs()
	for b.Loop() {
		h.run(b)
	}
}

// BenchmarkHostile measures the request that takes the longest to judge: as many options and fields as are allowed.
func BenchmarkHostile(b *testing.B) {
	head := []byte(add(append(manyLines(93), "Connection: "+list(62), "Sec-WebSocket-Protocol: "+list(100))...))
	var r Request
	b.ReportAllocs()
	for b.Loop() {
		err := ParseRequest(head, Limits{}, &r)
		if err == nil {
			err = r.CheckUpgrade()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
