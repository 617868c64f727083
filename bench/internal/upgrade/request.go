package upgrade

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/pointsman/pointsman/bench/internal/frame"
)

// KeySize is the length of a Sec-WebSocket-Key value.
const KeySize = 24

// Request is the handshake that all connections of a loop send; only the key differs. Make it with NewRequest. It is for one
// goroutine.
type Request struct {
	text []byte
	key  []byte // where the key stands in text
}

// NewRequest makes the request for a host and a request target.
func NewRequest(host, target string) Request {
	const placeholder = "AAAAAAAAAAAAAAAAAAAAAA=="
	text := []byte(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", target, host, placeholder))
	at := bytes.LastIndex(text, []byte(placeholder))
	return Request{text: text, key: text[at : at+len(placeholder)]}
}

// Draw returns a new key (RFC 6455 section 4.1: 16 random bytes) and the answer that it must get.
func Draw() (key [KeySize]byte, accept [frame.AcceptSize]byte) {
	var raw [16]byte
	binary.LittleEndian.PutUint64(raw[0:], rand.Uint64())
	binary.LittleEndian.PutUint64(raw[8:], rand.Uint64())
	base64.StdEncoding.Encode(key[:], raw[:])
	return key, frame.Accept(key[:])
}

// With returns the request with key in its place; it is valid until the next call.
func (r *Request) With(key [KeySize]byte) []byte {
	copy(r.key, key[:])
	return r.text
}
