package handshake

import (
	"crypto/sha1"
	"encoding/base64"
)

// keyLength is the length of a Sec-WebSocket-Key: 16 bytes in base64 with padding.
const keyLength = 24

// guid is the constant that RFC 6455 §1.3 appends to the key.
const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Accept returns the Sec-WebSocket-Accept value for a Sec-WebSocket-Key (RFC 6455 §4.2.2). It allocates nothing for a key
// of the right length and does not check the key.
func Accept(key []byte) (accept [28]byte) {
	var scratch [keyLength + len(guid)]byte
	sum := sha1.Sum(append(append(scratch[:0], key...), guid...))
	base64.StdEncoding.Encode(accept[:], sum[:])
	return accept
}

// isKey reports whether b is 16 bytes in base64. The unused bits of the last digit may have any value, as in most decoders.
func isKey(b []byte) bool {
	return len(b) == keyLength && string(b[22:]) == "==" && all(b[:22], classBase64)
}
