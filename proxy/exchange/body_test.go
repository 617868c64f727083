package exchange

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http/httputil"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// tape is a connection from which a text is read, in pieces of a size.
type tape struct {
	net.Conn
	text  string
	piece int // 0 for no limit
}

func (c *tape) Read(p []byte) (int, error) {
	if c.text == "" {
		return 0, io.EOF
	}
	if c.piece > 0 && len(p) > c.piece {
		p = p[:c.piece]
	}
	n := copy(p, c.text)
	c.text = c.text[n:]
	return n, nil
}

func (c *tape) SetReadDeadline(time.Time) error { return nil }

// bodyOf is a body on a tape of which the first bytes were read ahead.
func bodyOf(kind handshake.Body, length int64, text string, ahead, piece int) *body {
	in := &inbound{conn: &tape{text: text[ahead:], piece: piece}, buf: []byte(text[:ahead])}
	return &body{in: in, kind: kind, left: length}
}

// TestBodies checks each framing, wherever the network cuts it and however much
// is read at once: what comes out, how it ends, and that nothing behind it is taken.
func TestBodies(t *testing.T) {
	for _, row := range []struct {
		name   string
		kind   handshake.Body
		length int64
		text   string
		want   string
		err    error
		rest   string
	}{
		{"none", handshake.BodyNone, 0, "behind", "", nil, "behind"},
		{"length", handshake.BodyLength, 5, "hellobehind", "hello", nil, "behind"},
		{"short", handshake.BodyLength, 5, "hel", "hel", io.ErrUnexpectedEOF, ""},
		{"to the end", handshake.BodyToEnd, 0, "hello", "hello", nil, ""},
		{"chunks", handshake.BodyChunked, 0, "5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nT: u\r\n\r\nbehind", "hello!", nil, "behind"},
		{"no chunk", handshake.BodyChunked, 0, "0\r\n\r\nbehind", "", nil, "behind"},
		{"cut in a chunk", handshake.BodyChunked, 0, "5\r\nhel", "hel", io.ErrUnexpectedEOF, ""},
		{"cut behind a chunk", handshake.BodyChunked, 0, "5\r\nhello", "hello", io.ErrUnexpectedEOF, ""},
		{"cut in a size", handshake.BodyChunked, 0, "5\r\nhello\r\n1", "hello", io.ErrUnexpectedEOF, ""},
		{"cut in the trailer", handshake.BodyChunked, 0, "5\r\nhello\r\n0\r\n", "hello", io.ErrUnexpectedEOF, ""},
		{"bad size", handshake.BodyChunked, 0, "5\r\nhello\r\nx\r\n", "hello", errFraming, ""},
		{"bad end", handshake.BodyChunked, 0, "5\r\nhello!\n", "hello", errFraming, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			for ahead := range len(row.text) + 1 {
				for _, piece := range []int{0, 1, 3} {
					for _, whole := range []bool{true, false} {
						b := bodyOf(row.kind, row.length, row.text, ahead, piece)
						var r io.Reader = b
						if !whole {
							r = iotest.OneByteReader(b)
						}
						got, err := io.ReadAll(r)
						if string(got) != row.want || !errors.Is(err, row.err) {
							t.Fatalf("%d ahead, pieces of %d: got %q, %v", ahead, piece, got, err)
						}
						if rest, _ := io.ReadAll(b.in); row.err == nil && string(rest) != row.rest {
							t.Fatalf("%d ahead, pieces of %d: %q is left", ahead, piece, rest)
						}
					}
				}
			}
		})
	}
}

// TestBodyDoesNotWait checks that a read gives what there is, although more of
// the line behind it is still to come.
func TestBodyDoesNotWait(t *testing.T) {
	for _, text := range []string{"2\r\nhi", "2\r\nhi\r", "2\r\nhi\r\n", "2\r\nhi\r\n1", "2\r\nhi\r\n1\r\n"} {
		near, far := net.Pipe()
		b := &body{in: &inbound{conn: near}, kind: handshake.BodyChunked}
		go func() { _, _ = io.WriteString(far, text) }()
		p := make([]byte, 10)
		if n, err := b.Read(p); string(p[:n]) != "hi" || err != nil {
			t.Errorf("%q: got %q, %v", text, p[:n], err)
		}
		near.Close()
		far.Close()
	}
}

// TestChunkRoom checks that the largest chunk fits its crate.
func TestChunkRoom(t *testing.T) {
	var out recorder
	o := outbound{conn: &out}
	b := bodyOf(handshake.BodyLength, bulk, strings.Repeat("x", bulk), 0, 0)
	if n, from, to := o.pass(b, true); n != bulk || from != nil || to != nil {
		t.Fatalf("passed %d, %v, %v", n, from, to)
	}
	if want := "8000\r\n" + strings.Repeat("x", bulk) + "\r\n"; out.String() != want {
		t.Errorf("got %d bytes that begin with %q", out.Len(), out.String()[:8])
	}
}

// recorder is a connection that keeps what is written.
type recorder struct {
	net.Conn
	bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error)       { return r.Buffer.Read(p) }
func (r *recorder) Write(p []byte) (int, error)      { return r.Buffer.Write(p) }
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

// FuzzChunks checks of every chunked body: it does not matter where the network
// cuts it; what is accepted, the standard library reads in the same way; and what
// is made of it can be read again.
func FuzzChunks(f *testing.F) {
	for _, s := range []string{
		"5\r\nhello\r\n0\r\n\r\n", "5;a=b\r\nhello\r\n0;c\r\nT: u\r\n\r\nGET / HTTP/1.1\r\n\r\n", "1\r\na\r\n1\r\nb\r\n0\r\n\r\n", "0\r\n\r\n",
		"5\nhello\n0\n\n", "+5\r\nhello\r\n", "5 \r\nhello\r\n0\r\n\r\n", "00000000000000005\r\nhello\r\n0\r\n\r\n", "fffffffffffffff\r\n", "5\r\nhelloX\r\n",
	} {
		f.Add(s, 3, 2)
	}
	f.Fuzz(func(t *testing.T, text string, ahead, piece int) {
		if ahead < 0 || piece < 0 {
			return
		}
		ahead = min(ahead, len(text))
		b := bodyOf(handshake.BodyChunked, 0, text, ahead, piece)
		got, err := io.ReadAll(b)
		other := bodyOf(handshake.BodyChunked, 0, text, len(text), 0)
		again, otherErr := io.ReadAll(other)
		if string(got) != string(again) || (err == nil) != (otherErr == nil) {
			t.Fatalf("in pieces %q, %v; at once %q, %v", got, err, again, otherErr)
		}
		if err != nil {
			return
		}
		theirs, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(text)))
		if err != nil && strings.Contains(err.Error(), "too much overhead") {
			return // they are stricter about very small chunks
		}
		if err != nil || string(theirs) != string(got) {
			t.Fatalf("we read %q, the standard library %q, %v", got, theirs, err)
		}
		var out recorder
		to := outbound{conn: &out}
		if n, from, gone := to.pump(bodyOf(handshake.BodyChunked, 0, text, 0, piece), true); n != int64(len(got)) || from != nil || gone != nil {
			t.Fatalf("moved %d, %v, %v", n, from, gone)
		}
		out.WriteString(lastChunk)
		if theirs, err = io.ReadAll(httputil.NewChunkedReader(&out.Buffer)); err != nil || string(theirs) != string(got) {
			t.Fatalf("of our own chunks the standard library reads %q, %v", theirs, err)
		}
	})
}
