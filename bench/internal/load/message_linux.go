package load

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	mathrand "math/rand/v2"

	"github.com/pointsman/pointsman/bench/internal/frame"
)

// labelSize is the length of what tells one message from all others of a run: its loop, its connection and its number.
const labelSize = 16

// message is what all connections of a loop send. Only the label differs, so a loop needs one frame in memory however
// many connections it has.
type message struct {
	number int    // of the loop
	plain  []byte // the payload; what stands in the place of the label is not used
	frame  []byte // header and masked payload
	header int    // length of the header in frame
	key    [4]byte
}

func newMessage(size, number int) message {
	m := message{number: number, plain: make([]byte, size)}
	_, _ = rand.Read(m.key[:]) // never fails, as documented
	noise := mathrand.New(mathrand.NewPCG(1, 2))
	for i := range m.plain {
		m.plain[i] = byte(noise.Uint32())
	}
	h := frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Key: m.key, Length: size}
	m.header = h.Size()
	m.frame = make([]byte, m.header+size)
	frame.Put(m.frame, h)
	frame.Mask(m.frame[m.header:], m.plain, m.key)
	return m
}

// label is the first part of the payload of c's current message; a short message has a short label.
func (m *message) label(c *conn) (label [labelSize]byte, size int) {
	binary.LittleEndian.PutUint32(label[0:], uint32(m.number)<<24|uint32(c.slot))
	binary.LittleEndian.PutUint32(label[4:], c.serial)
	// The number first changes the byte that even a payload of a few bytes carries.
	binary.LittleEndian.PutUint64(label[8:], c.number)
	label[0] ^= byte(c.number)
	return label, min(labelSize, len(m.plain))
}

// address writes c's label into the frame and returns the frame.
func (m *message) address(c *conn) []byte {
	label, size := m.label(c)
	frame.Mask(m.frame[m.header:], label[:size], m.key)
	return m.frame
}

// matches reports whether b is what c's message has at payload offset at.
func (m *message) matches(c *conn, at int, b []byte) bool {
	if len(b) > len(m.plain)-at {
		return false
	}
	if label, size := m.label(c); at < size {
		n := min(len(b), size-at)
		if !bytes.Equal(b[:n], label[at:at+n]) {
			return false
		}
		b, at = b[n:], at+n
	}
	return bytes.Equal(b, m.plain[at:at+len(b)])
}
