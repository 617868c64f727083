package crowd

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"

	"github.com/pointsman/pointsman/bench/internal/frame"
)

// labelSize is the length of what tells one message from all others: its client, its session and its number.
const labelSize = 16

// message is what all clients of a loop send. Only the label at its front differs.
type message struct {
	plain []byte
	frame []byte // header and masked payload
	size  int    // of the header
	key   [4]byte
}

func newMessage(size int) message {
	m := message{plain: make([]byte, size)}
	_, _ = rand.Read(m.key[:]) // never fails, as documented
	_, _ = rand.Read(m.plain)
	h := frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Key: m.key, Length: size}
	m.size = h.Size()
	m.frame = make([]byte, m.size+size)
	frame.Put(m.frame, h)
	frame.Mask(m.frame[m.size:], m.plain, m.key)
	return m
}

// label writes the label of c's present message into the plain payload.
func (m *message) label(c *conn) {
	binary.LittleEndian.PutUint32(m.plain[0:], uint32(c.client.number))
	binary.LittleEndian.PutUint32(m.plain[4:], c.client.sessions)
	binary.LittleEndian.PutUint64(m.plain[8:], c.messages)
}

// of returns the frame of c's present message; it is valid until the next call.
func (m *message) of(c *conn) []byte {
	m.label(c)
	frame.Mask(m.frame[m.size:], m.plain[:labelSize], m.key)
	return m.frame
}

// matches reports whether payload is c's present message.
func (m *message) matches(c *conn, payload []byte) bool {
	m.label(c)
	return bytes.Equal(payload, m.plain)
}
