package exchange

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/pointsman/pointsman/proxy/handshake"
)

const (
	// bulk is how much of a body moves at once.
	bulk = 32 << 10
	// chunkRoom is room for the line before a chunk of that size, "8000\r\n".
	chunkRoom = 6
)

// crate is what a body moves in: room for the size, the data, and the CRLF behind it.
type crate [chunkRoom + bulk + 2]byte

var crates = sync.Pool{New: func() any { return new(crate) }}

// outbound is what goes to one side.
type outbound struct {
	conn    net.Conn
	timeout time.Duration // how long it may take no byte; 0 for ever
}

// write writes p. A slow side that still takes some has its time again, unless TLS makes one piece of it.
func (o *outbound) write(p []byte) error {
	_, whole := o.conn.(*tls.Conn)
	for {
		if o.timeout > 0 {
			if err := o.conn.SetWriteDeadline(time.Now().Add(o.timeout)); err != nil {
				return err
			}
		}
		n, err := o.conn.Write(p)
		if err == nil || n == 0 || whole || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		p = p[n:]
	}
}

// lastChunk is the end of a chunked body without a trailer.
const lastChunk = "0\r\n\r\n"

// pump moves a body to the other side, in chunks or as it is, without its end. It returns how many bytes it moved, and why it ended: from
// is of the source, nil at the end of the body, to of the other side.
func (o *outbound) pump(b *body, chunked bool) (moved int64, from, to error) {
	for busy := false; ; {
		if !busy { // nothing is held while nothing comes
			if err := b.await(); err != nil {
				return moved, err, nil
			}
		}
		var n int
		n, from, to = o.pass(b, chunked)
		moved += int64(n)
		if from == io.EOF {
			return moved, nil, to
		}
		if from != nil || to != nil {
			return moved, from, to
		}
		busy = n >= smallBuffer
	}
}

// await returns when a read would find something, be it the end.
func (b *body) await() error {
	if b.ended() {
		return nil
	}
	switch err := b.in.await(); {
	case err == io.EOF && b.kind == handshake.BodyToEnd:
		return nil // Read says so again
	case err != nil:
		return unexpected(err)
	}
	return nil
}

// pass moves what there is.
func (o *outbound) pass(b *body, chunked bool) (n int, from, to error) {
	c := crates.Get().(*crate)
	defer crates.Put(c)
	n, from = b.Read(c[chunkRoom : chunkRoom+bulk])
	if n == 0 {
		return 0, from, nil
	}
	start, end := chunkRoom, chunkRoom+n
	if chunked {
		var size [chunkRoom]byte
		line := append(strconv.AppendInt(size[:0], int64(n), 16), "\r\n"...)
		start -= len(line)
		copy(c[start:], line)
		end += copy(c[end:], "\r\n")
	}
	return n, from, o.write(c[start:end])
}
