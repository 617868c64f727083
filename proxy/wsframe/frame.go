package wsframe

import (
	"encoding/binary"
	"math/rand/v2"
	"unicode/utf8"
)

// Opcode says what a frame is (RFC 6455 section 5.2).
type Opcode uint8

// The opcodes that RFC 6455 defines; all others are reserved.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// Reserved header bits, as they stand in the first byte of a frame.
const (
	RSV1 byte = 0x40
	RSV2 byte = 0x20
	RSV3 byte = 0x10
)

const (
	finBit  = 0x80
	rsvBits = RSV1 | RSV2 | RSV3
	maskBit = 0x80

	// MaxControlPayload is the largest payload of a control frame, in bytes
	// (RFC 6455 section 5.5).
	MaxControlPayload = 125
	// MaxReason is the longest reason of a Close frame, in bytes (section 5.5.1).
	MaxReason = MaxControlPayload - 2
	// MaxHeader is the longest frame header, in bytes (section 5.2).
	MaxHeader = 14
	// MaxControl is the longest control frame, in bytes. A Scanner never asks
	// its caller to hold more than this.
	MaxControl = 2 + 4 + MaxControlPayload
)

// The close codes that pointsman itself sends (RFC 6455 section 7.4.1 and the
// IANA registry of section 11.7).
const (
	CodeNormal         uint16 = 1000
	CodeGoingAway      uint16 = 1001
	CodeProtocolError  uint16 = 1002
	CodeNoStatus       uint16 = 1005 // never on the wire: the Close frame was empty
	CodePolicy         uint16 = 1008
	CodeTooBig         uint16 = 1009
	CodeInternalError  uint16 = 1011
	CodeServiceRestart uint16 = 1012
)

// CodeAllowed reports whether code may stand in a Close frame on the wire:
// 1000 to 1014 without 1004 to 1006, and 3000 to 4999 (RFC 6455 section 7.4).
func CodeAllowed(code uint16) bool {
	switch {
	case code >= 1000 && code <= 1014:
		return code < 1004 || code > 1006
	default:
		return code >= 3000 && code <= 4999
	}
}

// AppendControl appends one control frame to dst. A frame towards an upstream
// is masked with a fresh unpredictable key (section 5.3), one towards a client
// is not. The payload is cut at [MaxControlPayload].
func AppendControl(dst []byte, op Opcode, payload []byte, masked bool) []byte {
	payload = payload[:min(len(payload), MaxControlPayload)]
	dst = append(dst, finBit|byte(op))
	if !masked {
		dst = append(dst, byte(len(payload)))
		return append(dst, payload...)
	}
	var key [4]byte
	// The top-level generator of math/rand/v2 is ChaCha8 seeded by the
	// operating system: not predictable by whoever chose the payload.
	binary.NativeEndian.PutUint32(key[:], rand.Uint32())
	dst = append(dst, maskBit|byte(len(payload)))
	dst = append(dst, key[:]...)
	for i, b := range payload {
		dst = append(dst, b^key[i&3])
	}
	return dst
}

// AppendText appends a whole text message towards a client, in one frame, without
// the bits of extensions. It is cut at [MaxControlPayload] bytes.
func AppendText(dst []byte, text string) []byte {
	text = text[:min(len(text), MaxControlPayload)]
	return append(append(dst, finBit|byte(Text), byte(len(text))), text...)
}

// AppendClose appends a Close frame with a code that [CodeAllowed] allows and
// a reason, cut between two characters at [MaxReason] bytes. Code
// [CodeNoStatus] gives a Close frame without a body.
func AppendClose(dst []byte, code uint16, reason string, masked bool) []byte {
	if code == CodeNoStatus {
		return AppendControl(dst, Close, nil, masked)
	}
	for len(reason) > MaxReason || !utf8.ValidString(reason) {
		if len(reason) > MaxReason {
			reason = reason[:MaxReason]
		}
		for i := range len(reason) {
			if r, size := utf8.DecodeRuneInString(reason[i:]); r == utf8.RuneError && size <= 1 {
				reason = reason[:i]
				break
			}
		}
	}
	var body [MaxControlPayload]byte
	binary.BigEndian.PutUint16(body[:], code)
	n := 2 + copy(body[2:], reason)
	return AppendControl(dst, Close, body[:n], masked)
}
