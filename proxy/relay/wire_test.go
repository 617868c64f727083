package relay

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
)

// First bytes of frames: FIN, reserved bits, opcode.
const (
	textFrame   = 0x81
	binaryFrame = 0x82
	textStart   = 0x01
	middle      = 0x00
	lastPart    = 0x80
	closeFrame  = 0x88
	pingFrame   = 0x89
	pongFrame   = 0x8A
)

// header is the header of a frame with its length in the shortest form; key is
// nil for a frame without mask.
func header(first byte, size uint64, key []byte) []byte {
	var b []byte
	switch {
	case size < 126:
		b = []byte{first, byte(size)}
	case size < 1<<16:
		b = binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(size))
	default:
		b = binary.BigEndian.AppendUint64([]byte{first, 127}, size)
	}
	if key != nil {
		b[1] |= 0x80
	}
	return append(b, key...)
}

// unmasked is a whole frame as a server sends it.
func unmasked(first byte, payload string) []byte {
	return append(header(first, uint64(len(payload)), nil), payload...)
}

// masked is a whole frame as a client sends it, with a new key.
func masked(first byte, payload string) []byte {
	key := binary.BigEndian.AppendUint32(nil, rand.Uint32())
	b := header(first, uint64(len(payload)), key)
	start := len(b)
	b = append(b, payload...)
	unmask(b[start:], key)
	return b
}

func unmask(p, key []byte) {
	for i := range p {
		p[i] ^= key[i%4]
	}
}

// body is the payload of a Close frame.
func body(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

// wireFrame is a frame as it stood on the wire, its payload without the mask.
type wireFrame struct {
	first   byte
	masked  bool
	payload string
}

func (f wireFrame) String() string {
	payload := f.payload
	if len(payload) > 40 {
		payload = payload[:40] + "..."
	}
	return fmt.Sprintf("frame %#02x masked %v, %d bytes %q", f.first, f.masked, len(f.payload), payload)
}

// readFrame reads one frame. The error is io.EOF only if the stream ends before
// its first byte.
func readFrame(r io.Reader) (wireFrame, error) {
	var b [14]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return wireFrame{}, err
	}
	rest := func(p []byte) error {
		_, err := io.ReadFull(r, p)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if err := rest(b[1:2]); err != nil {
		return wireFrame{}, err
	}
	f := wireFrame{first: b[0], masked: b[1]&0x80 != 0}
	size := uint64(b[1] & 0x7f)
	switch size {
	case 126:
		if err := rest(b[2:4]); err != nil {
			return wireFrame{}, err
		}
		size = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if err := rest(b[2:10]); err != nil {
			return wireFrame{}, err
		}
		size = binary.BigEndian.Uint64(b[2:])
	}
	if size > 64<<20 {
		return wireFrame{}, fmt.Errorf("frame of %d bytes", size)
	}
	var key [4]byte
	if f.masked {
		if err := rest(key[:]); err != nil {
			return wireFrame{}, err
		}
	}
	payload := make([]byte, size)
	if err := rest(payload); err != nil {
		return wireFrame{}, err
	}
	if f.masked {
		unmask(payload, key[:])
	}
	f.payload = string(payload)
	return f, nil
}
