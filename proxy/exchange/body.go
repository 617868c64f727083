package exchange

import (
	"errors"
	"io"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// errFraming is a body whose chunks are not those of RFC 9112 §7.1.
var errFraming = errors.New("malformed chunk")

const (
	// maxChunkLine is the longest line that begins a chunk, its extensions included.
	maxChunkLine = 256
	// maxExtensions is the most that the extensions of all chunks may take up together.
	maxExtensions = 16 << 10
	// maxSizeDigits is how long a chunk may be, in digits: 2^60 bytes are enough, and nothing overflows.
	maxSizeDigits = 15
	// maxTrailer is the most that the trailer may take up, maxTrailerLine one line of it.
	maxTrailer     = 16 << 10
	maxTrailerLine = 8 << 10
)

// body takes a body out of its framing. Read returns what there is and does not wait for more; io.EOF comes only at the end of the
// whole body. What ends before is io.ErrUnexpectedEOF.
type body struct {
	in      *inbound
	kind    handshake.Body
	left    int64 // of the body, or of the chunk
	at      place
	extra   int // bytes of extensions so far
	trailer int // bytes of the trailer so far
}

// place is where a chunked body is read.
type place uint8

const (
	atSize    place = iota // at the line with the size of a chunk
	inData                 // in a chunk
	atDataEnd              // behind it
	inTrailer              // behind the last chunk
	atEnd
)

// requestBody is the body that follows a request's head.
func requestBody(in *inbound, length int64) *body {
	switch {
	case length < 0:
		return &body{in: in, kind: handshake.BodyChunked}
	case length > 0:
		return &body{in: in, kind: handshake.BodyLength, left: length}
	default:
		return &body{in: in, kind: handshake.BodyNone}
	}
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	switch b.kind {
	case handshake.BodyToEnd:
		return b.in.Read(p)
	case handshake.BodyChunked:
		return b.readChunks(p)
	default:
		if b.left == 0 {
			return 0, io.EOF
		}
		n, err := b.in.Read(p[:min(int64(len(p)), b.left)])
		b.left -= int64(n)
		return n, unexpected(err)
	}
}

// readChunks reads from as many chunks as are there.
func (b *body) readChunks(p []byte) (n int, err error) {
	for n < len(p) {
		if b.at == atEnd {
			break
		}
		if b.at == inData {
			if n > 0 && len(b.in.rest()) == 0 {
				return n, nil
			}
			m, err := b.in.Read(p[n:min(int64(len(p)), int64(n)+b.left)])
			n += m
			if b.left -= int64(m); b.left == 0 {
				b.at = atDataEnd
			}
			if err != nil {
				return n, unexpected(err)
			}
			continue
		}
		line, err := b.in.line(b.longest(), n == 0)
		if err == nil && line == nil {
			return n, nil
		}
		if err == nil {
			err = b.take(line)
		}
		if err != nil {
			return n, err
		}
	}
	if n == 0 && b.at == atEnd {
		return 0, io.EOF
	}
	return n, nil
}

// longest is how long the next line may be.
func (b *body) longest() int {
	if b.at == inTrailer {
		return maxTrailerLine
	}
	return maxChunkLine
}

// take takes a line that stands between the chunks.
func (b *body) take(line []byte) error {
	switch b.at {
	case atDataEnd:
		if len(line) > 0 {
			return errFraming
		}
		b.at = atSize
	case inTrailer:
		if b.trailer += len(line); b.trailer > maxTrailer {
			return errFraming
		}
		if len(line) == 0 {
			b.at = atEnd
		} else if !handshake.IsField(line) {
			return errFraming
		}
	default:
		size, digits := chunkSize(line)
		b.extra += len(line) - digits
		if digits == 0 || !isExtension(line[digits:]) || b.extra > maxExtensions {
			return errFraming
		}
		if b.left, b.at = size, inData; size == 0 {
			b.at = inTrailer
		}
	}
	return nil
}

// chunkSize reads the size at the start of a line; digits is 0 if there is none, or one that is too large.
func chunkSize(line []byte) (size int64, digits int) {
	for _, c := range line {
		var d byte
		switch {
		case '0' <= c && c <= '9':
			d = c - '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			d = c | 0x20 - 'a' + 10
		default:
			return size, digits
		}
		if digits++; digits > maxSizeDigits {
			return 0, 0
		}
		size = size<<4 | int64(d)
	}
	return size, digits
}

// isExtension reports whether what follows a size can be extensions: nothing, or a semicolon and printable text. What it says does not
// matter, it is dropped.
func isExtension(b []byte) bool {
	if len(b) == 0 {
		return true
	}
	if b[0] != ';' {
		return false
	}
	for _, c := range b {
		if (c < ' ' && c != '\t') || c > '~' {
			return false
		}
	}
	return true
}

// ended reports whether the whole body has been read.
func (b *body) ended() bool {
	switch b.kind {
	case handshake.BodyToEnd:
		return false
	case handshake.BodyChunked:
		return b.at == atEnd
	default:
		return b.left == 0
	}
}
