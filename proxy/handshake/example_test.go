package handshake_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// A handshake from the client's first bytes to the head of the 101 that it gets.
func Example() {
	received := []byte("GET /chat HTTP/1.1\r\nHost: router.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	limits := handshake.Limits{}

	end, err := handshake.RequestEnd(received, 0, limits)
	if err != nil || end == 0 {
		fmt.Println("read on, or refuse:", err)
		return
	}
	var request handshake.Request
	if err := handshake.ParseRequest(received[:end], limits, &request); err != nil {
		fmt.Println(err)
		return
	}
	if err := request.CheckUpgrade(); err != nil {
		fmt.Println(err)
		return
	}
	show(request.AppendUpstream(nil,
		handshake.Upstream{Host: "east.internal", Prefix: "/ws"},
		handshake.Forward{Client: netip.MustParseAddr("192.0.2.7"), Proto: "http"}))

	sent := []byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Set-Cookie: a=b\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
	end, err = handshake.AnswerEnd(sent, 0, limits)
	if err != nil || end == 0 {
		fmt.Println("read on, or try another upstream:", err)
		return
	}
	var answer handshake.Answer
	if err := handshake.ParseAnswer(sent[:end], limits, &request, &answer); err != nil {
		fmt.Println(err)
		return
	}
	show(answer.AppendClient(nil))
	// Output:
	// GET /ws/chat HTTP/1.1
	// Host: east.internal
	// Connection: Upgrade
	// Upgrade: websocket
	// Sec-WebSocket-Version: 13
	// Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
	// X-Forwarded-For: 192.0.2.7
	// X-Forwarded-Proto: http
	// X-Forwarded-Host: router.example
	//
	// HTTP/1.1 101 Switching Protocols
	// Connection: Upgrade
	// Upgrade: websocket
	// Set-Cookie: a=b
	// Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=
}

// A refusal is the answer that the client gets.
func ExampleRefusal_AppendAnswer() {
	_, err := handshake.RequestEnd([]byte("\x16\x03\x01"), 0, handshake.Limits{})
	var refusal *handshake.Refusal
	if errors.As(err, &refusal) {
		show(refusal.AppendAnswer(nil, nil))
	}
	// Output:
	// HTTP/1.1 400 Bad Request
	// Connection: close
	// Content-Type: application/json
	// Content-Length: 108
	//
	// {"status":400,"error":"This port speaks HTTP/1.1; what came is not an HTTP/1.1 request.","code":"not_http"}
}

// show prints a head or an answer with the line ends of the platform.
func show(b []byte) { fmt.Print(strings.ReplaceAll(string(b), "\r\n", "\n")) }
