package frame

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// Opcodes of RFC 6455 section 5.2.
const (
	Continuation byte = 0x0
	Text         byte = 0x1
	Binary       byte = 0x2
	Close        byte = 0x8
	Ping         byte = 0x9
	Pong         byte = 0xA
)

// MaxHeader is the length of the longest frame header in bytes: two, an eight-byte length and a mask.
const MaxHeader = 14

// ErrInvalid is returned by Parse for a header that no well-behaved peer sends.
var ErrInvalid = errors.New("invalid frame header")

// Header is one frame header (RFC 6455 section 5.2).
type Header struct {
	Fin    bool
	Opcode byte
	Masked bool
	Key    [4]byte // zero unless Masked
	Length int     // payload bytes
}

// Control reports whether the frame is a control frame (RFC 6455 section 5.5).
func (h Header) Control() bool { return h.Opcode&0x8 != 0 }

// Size is the number of bytes that Put writes for h.
func (h Header) Size() int {
	n := 2
	switch {
	case h.Length > 0xFFFF:
		n += 8
	case h.Length > 125:
		n += 2
	}
	if h.Masked {
		n += 4
	}
	return n
}

// Put writes h to the front of b and returns the number of bytes written. b must hold h.Size() bytes.
func Put(b []byte, h Header) int {
	b[0] = h.Opcode
	if h.Fin {
		b[0] |= 0x80
	}
	n := 2
	switch {
	case h.Length > 0xFFFF:
		b[1] = 127
		binary.BigEndian.PutUint64(b[2:], uint64(h.Length))
		n = 10
	case h.Length > 125:
		b[1] = 126
		binary.BigEndian.PutUint16(b[2:], uint16(h.Length))
		n = 4
	default:
		b[1] = byte(h.Length)
	}
	if h.Masked {
		b[1] |= 0x80
		copy(b[n:], h.Key[:])
		n += 4
	}
	return n
}

// Parse reads one header from the front of b and returns it with its size in bytes. A size of zero without an error
// means that b ends within the header. The error is ErrInvalid.
func Parse(b []byte) (Header, int, error) {
	if len(b) < 2 {
		return Header{}, 0, nil
	}
	h := Header{Fin: b[0]&0x80 != 0, Opcode: b[0] & 0x0F, Masked: b[1]&0x80 != 0}
	if b[0]&0x70 != 0 || h.Opcode > Pong || (h.Opcode > Binary && h.Opcode < Close) {
		return Header{}, 0, ErrInvalid
	}
	n := 2
	length := uint64(b[1] & 0x7F)
	if h.Control() && (length > 125 || !h.Fin) {
		return Header{}, 0, ErrInvalid
	}
	switch length {
	case 126:
		if len(b) < 4 {
			return Header{}, 0, nil
		}
		length, n = uint64(binary.BigEndian.Uint16(b[2:])), 4
		if length <= 125 {
			return Header{}, 0, ErrInvalid
		}
	case 127:
		if len(b) < 10 {
			return Header{}, 0, nil
		}
		length, n = binary.BigEndian.Uint64(b[2:]), 10
		if length <= 0xFFFF || length > 1<<31-1 {
			return Header{}, 0, ErrInvalid
		}
	}
	h.Length = int(length)
	if h.Masked {
		if len(b) < n+4 {
			return Header{}, 0, nil
		}
		copy(h.Key[:], b[n:])
		n += 4
	}
	return h, n, nil
}

// Mask writes src XOR key to dst (RFC 6455 section 5.3); src starts at payload byte 0. dst must be at least as long as
// src. The two may overlap if dst does not start after src.
func Mask(dst, src []byte, key [4]byte) {
	k := binary.LittleEndian.Uint32(key[:])
	k8 := uint64(k)<<32 | uint64(k)
	dst = dst[:len(src)]
	// Four words at a time: at 60 kB per message the XOR would otherwise show in the echo's share.
	// Each word is read before it is written, so an overlapping dst that starts at or before src is safe only if
	// words are handled one after the other, as here.
	for len(src) >= 32 && len(dst) >= 32 {
		binary.LittleEndian.PutUint64(dst, binary.LittleEndian.Uint64(src)^k8)
		binary.LittleEndian.PutUint64(dst[8:], binary.LittleEndian.Uint64(src[8:])^k8)
		binary.LittleEndian.PutUint64(dst[16:], binary.LittleEndian.Uint64(src[16:])^k8)
		binary.LittleEndian.PutUint64(dst[24:], binary.LittleEndian.Uint64(src[24:])^k8)
		dst, src = dst[32:], src[32:]
	}
	for i := range src {
		dst[i] = src[i] ^ key[i&3]
	}
}

// AcceptSize is the length of a Sec-WebSocket-Accept value.
const AcceptSize = 28

// Accept is the Sec-WebSocket-Accept value that answers key (RFC 6455 section 4.2.2). The key is not validated.
func Accept(key []byte) [AcceptSize]byte {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	var scratch [24 + len(guid)]byte
	sum := sha1.Sum(append(append(scratch[:0], key...), guid...))
	var accept [AcceptSize]byte
	base64.StdEncoding.Encode(accept[:], sum[:])
	return accept
}
