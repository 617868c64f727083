package http2

import (
	"bytes"
	"sync"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// mostOut is how much may wait for the client before streams have to wait.
	mostOut = 64 << 10
	// mostAnswers is the same with answers to the client's own frames. Who asks
	// and reads no answer is not listened to any more.
	mostAnswers = 4 * mostOut
	// writePiece is how much the client has to take within a write time-out.
	writePiece = 16 << 10
	// keptOut is the largest buffer that is used again.
	keptOut = 2 * mostOut
)

// output is where frames are written to. Whoever writes holds mu.
type output Conn

var outputs = sync.Pool{New: func() any { return new([]byte) }}

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	c := (*Conn)(o)
	if c.silent {
		return len(p), nil
	}
	if c.out == nil {
		c.out = outputs.Get().(*[]byte)
	}
	*c.out = append(*c.out, p...)
	c.wake.Signal()
	return len(p), nil
}

// waiting is how much waits for the writer. The caller holds mu.
func (c *Conn) waiting() int {
	if c.out == nil {
		return 0
	}
	return len(*c.out)
}

// write writes what waits for the client, until the connection has finished and
// nothing is left.
func (c *Conn) write() {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.out, c.silent = nil, true }()
	for {
		for c.out == nil && !c.finished {
			c.wake.Wait()
		}
		p := c.out
		if p == nil {
			return
		}
		c.out = nil
		c.room.Broadcast()
		err := c.deliver(*p)
		if cap(*p) <= keptOut {
			*p = (*p)[:0]
			outputs.Put(p)
		}
		if err != nil {
			c.deaf = true
			c.finish(err)
			return
		}
	}
}

// deliver writes p in pieces, which are also the records of TLS. The caller
// holds mu; others get it meanwhile.
func (c *Conn) deliver(p []byte) error {
	for len(p) > 0 {
		if !c.finished || c.err == nil {
			_ = c.conn.SetWriteDeadline(time.Now().Add(c.options.WriteTimeout))
		}
		n := min(len(p), writePiece)
		c.mu.Unlock()
		_, err := c.conn.Write(p[:n])
		c.mu.Lock()
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// answered bounds the answers to the client's own frames. The caller holds mu.
func (c *Conn) answered() error {
	if c.waiting() > mostAnswers {
		return h2.ConnectionError(h2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

// writeHead writes the fields of an answer. The caller holds mu.
func (c *Conn) writeHead(stream uint32, fields []hpack.HeaderField, end bool) {
	c.block.Reset()
	for _, f := range fields {
		_ = c.encoder.WriteField(f) // into memory
	}
	block := c.block.Bytes()
	n := min(len(block), maxFrame)
	_ = c.frames.WriteHeaders(h2.HeadersFrameParam{
		StreamID: stream, BlockFragment: block[:n], EndStream: end, EndHeaders: n == len(block),
	})
	for block = block[n:]; len(block) > 0; block = block[n:] {
		n = min(len(block), maxFrame)
		_ = c.frames.WriteContinuation(stream, n == len(block), block[:n])
	}
	if c.block.Cap() > maxFrame {
		c.block = bytes.Buffer{}
	}
}
