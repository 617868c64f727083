package broadcast

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// What is called. The hub is called bench.
const (
	Path        = "/api/hubs/bench/:send"
	Target      = Path + "?api-version=2024-12-01"
	ContentType = "text/plain"
)

// MinSize is the shortest body: it holds nothing but a number.
const MinSize = 16

// Number tells broadcasts apart. A series is what one caller sends, one message after the other, from place 0.
type Number struct{ Series, Place uint32 }

// put writes the number at the front of a body.
func (n Number) put(body []byte) {
	var b [MinSize / 2]byte
	binary.BigEndian.PutUint32(b[:4], n.Series)
	binary.BigEndian.PutUint32(b[4:], n.Place)
	hex.Encode(body, b[:])
}

// ParseNumber reads the number at the front of a body.
func ParseNumber(body []byte) (n Number, ok bool) {
	var b [MinSize / 2]byte
	if len(body) < MinSize {
		return n, false
	}
	if _, err := hex.Decode(b[:], body[:MinSize]); err != nil {
		return n, false
	}
	return Number{binary.BigEndian.Uint32(b[:4]), binary.BigEndian.Uint32(b[4:])}, true
}

// Message is one call to one host, head and body. It has one owner.
type Message struct {
	bytes []byte
	body  []byte // the end of bytes
}

// NewMessage makes the call to host with a token and a body of size bytes, at least MinSize.
func NewMessage(host, token string, size int) *Message {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		Target, host, token, ContentType, size)
	b := append([]byte(head), bytes.Repeat([]byte("x"), size)...)
	return &Message{b, b[len(head):]}
}

// With returns the bytes of the call with that number. They are good until the next use of the message.
func (m *Message) With(n Number) []byte {
	n.put(m.body)
	return m.bytes
}
