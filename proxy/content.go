package proxy

import (
	"errors"
	"io"
	"net/http/httputil"
	"time"
)

// contentTime is how long a client may take to send the body of a plain request
// that is answered here.
const contentTime = 30 * time.Second

// content is the body of a plain request. Its reads come from what the gate has
// read behind the head, and then from the connection, before one deadline.
type content struct {
	c      *clientConn
	early  []byte
	length int64 // by the head: 0 for none, below 0 if it is not known
	rest   int64 // of that, still to be read
	chunks io.Reader
	begun  bool
	ended  bool
}

func (c *clientConn) content() *content {
	b := &content{c: c, early: c.early(), length: c.request.ContentLength, rest: c.request.ContentLength}
	if _, given := c.request.Value("Content-Length"); !given && b.length == 0 && c.streams() {
		b.length = -1 // a stream of HTTP/2 has an end, and need not tell before where that is
		b.rest = -1
	} else if b.length < 0 {
		b.chunks = httputil.NewChunkedReader(fromClient{b})
	}
	return b
}

// streams reports whether the request came on a stream of HTTP/2.
func (c *clientConn) streams() bool {
	_, ok := c.Conn.(*carried)
	return ok
}

// Read implements [io.Reader].
func (b *content) Read(p []byte) (n int, err error) {
	switch {
	case b.ended || b.length >= 0 && b.rest == 0:
		return 0, io.EOF
	case b.chunks != nil:
		n, err = b.chunks.Read(p)
	case b.length < 0:
		n, err = b.receive(p)
	default:
		n, err = b.receive(p[:min(int64(len(p)), b.rest)])
		b.rest -= int64(n)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
	}
	b.ended = b.ended || err == io.EOF
	return n, err
}

// receive reads what comes behind the head.
func (b *content) receive(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		b.c.welcomeContent(len(b.early) > 0)
		if err := b.c.Conn.SetReadDeadline(time.Now().Add(contentTime)); err != nil {
			return 0, err
		}
	}
	if len(b.early) > 0 {
		n := copy(p, b.early)
		b.early = b.early[n:]
		return n, nil
	}
	return b.c.Conn.Read(p)
}

// welcomeContent answers an Expect of a client that waits for it (RFC 9110
// §10.1.1).
func (c *clientConn) welcomeContent(comes bool) {
	if !comes && !c.streams() && c.request.WantsContinue() {
		c.say([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	}
}

// whole reports whether nothing is left of the body, and nothing has come behind
// it: then the next bytes are those of another request. Behind chunks nobody
// knows.
func (b *content) whole() bool { return b.length >= 0 && b.rest == 0 && len(b.early) == 0 }

// fromClient reads a body as it comes.
type fromClient struct{ b *content }

// Read implements [io.Reader].
func (f fromClient) Read(p []byte) (int, error) { return f.b.receive(p) }
