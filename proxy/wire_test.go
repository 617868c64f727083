package proxy

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

// frame is a frame with or without a mask, and its payload without it.
type frame struct {
	first   byte
	masked  bool
	payload string
}

func (f frame) String() string {
	return fmt.Sprintf("frame %#02x masked %v, %d bytes %.60q", f.first, f.masked, len(f.payload), f.payload)
}

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

// plain is a whole frame as a server sends it.
func plain(first byte, payload string) []byte {
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

// status is the payload of a Close frame.
func status(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

// largestFrame is more than any test sends.
const largestFrame = 64 << 20

// readFrame reads one frame. The error is io.EOF only if the stream ends before
// its first byte.
func readFrame(r io.Reader) (frame, error) {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return frame{}, err
	}
	f := frame{first: b[0]}
	rest := func(p []byte) error {
		_, err := io.ReadFull(r, p)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if err := rest(b[:1]); err != nil {
		return f, err
	}
	f.masked = b[0]&0x80 != 0
	size := uint64(b[0] & 0x7f)
	if long := map[uint64]int{126: 2, 127: 8}[size]; long > 0 {
		clear(b[:])
		if err := rest(b[8-long:]); err != nil {
			return f, err
		}
		size = binary.BigEndian.Uint64(b[:])
	}
	if size > largestFrame {
		return f, fmt.Errorf("frame of %d bytes", size)
	}
	var key [4]byte
	if f.masked {
		if err := rest(key[:]); err != nil {
			return f, err
		}
	}
	payload := make([]byte, size)
	if err := rest(payload); err != nil {
		return f, err
	}
	if f.masked {
		unmask(payload, key[:])
	}
	f.payload = string(payload)
	return f, nil
}
