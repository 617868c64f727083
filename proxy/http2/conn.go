package http2

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Options bound a connection. The zero value of each field means its default.
type Options struct {
	// Streams is how many streams the client may have open. Default 100.
	Streams int
	// HeadSize is the largest list of fields in a request, in bytes as RFC 9113
	// §6.5.2 counts them; a longer one is no request ([ErrHeadSize]). Default
	// 16 KiB, at most 16 MiB.
	HeadSize int
	// IdleTimeout is how long the connection may be without a session, from its
	// beginning or the end of the last one on. A request that is under way when it
	// is over is still answered. Default 5 s.
	IdleTimeout time.Duration
	// WriteTimeout is how long the client may take nothing while something waits
	// for it. Default 30 s.
	WriteTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Streams <= 0 {
		o.Streams = 100
	}
	if o.HeadSize <= 0 {
		o.HeadSize = 16 << 10
	}
	o.HeadSize = min(o.HeadSize, 16<<20)
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = 5 * time.Second
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 30 * time.Second
	}
	return o
}

const (
	// Window is how much a client may send on one stream ahead of whoever reads
	// it, in bytes.
	Window = 64 << 10
	// connWindow is the same for the connection. It bounds what is on its way.
	connWindow = 1 << 20
	// firstWindow is every window at first (RFC 9113 §6.9.2), mostWindow the
	// largest there can be (§6.9.1).
	firstWindow = 64<<10 - 1
	mostWindow  = 1<<31 - 1
	// maxFrame is the largest payload of a frame, in both directions. No client
	// may ask for less (RFC 9113 §6.5.2).
	maxFrame = 16 << 10
	// headSlack is how many times the allowed head is read before the whole
	// connection has to end: less than that costs only the request.
	headSlack = 4
	// frameHeader is what stands before it.
	frameHeader = 9
	// places is how many streams there may be for each that the client may have
	// open: those count on until whoever has them is done.
	places = 2
	// lastMoment is how long the last words of a connection that ends may take,
	// and then the client to notice them.
	lastMoment = 500 * time.Millisecond
	// lastBytes is how much of what it still sends is read meanwhile: to close
	// with unread bytes could destroy what was said.
	lastBytes = 256 << 10
)

var (
	// errLost is what streams get whose connection has ended.
	errLost = errors.New("HTTP/2: the connection has ended")
	// errReset is what a stream gets that the client has reset.
	errReset = errors.New("HTTP/2: the client has reset the stream")
	// errBroken is what a stream gets on which the client broke the protocol.
	errBroken = errors.New("HTTP/2: the client broke the protocol of the stream")
	// errClosed is why a connection ended that was closed here.
	errClosed = errors.New("HTTP/2: closed")
)

// Conn is one connection. Make it with [New].
type Conn struct {
	// Fixed after New.
	conn    net.Conn
	options Options

	// The reader's.
	input  input
	frames *h2.Framer // its writing half belongs to mu

	mu     sync.Mutex // guards what follows, and the streams
	budget budget
	room   sync.Cond // there may be room in out and the window, or a stream has gone
	wake   sync.Cond // there is something in out, or it is over

	streams  map[uint32]*Stream // by number; not closed by whoever has them
	live     int                // of those, the ones that are open for the client
	last     uint32             // the highest number that the client has used
	sessions int                // streams that are opened, and not closed
	since    time.Time          // when the last session has ended

	recv    int64 // what the client may still send
	window  int64 // what we may still send
	initial int64 // the same for a new stream

	out     *[]byte // frames that the writer has not taken, nil if there are none
	silent  bool    // nobody writes any more
	deaf    bool    // because the client takes nothing
	encoder *hpack.Encoder
	block   bytes.Buffer // what the encoder writes

	leaving  leaving
	goodbye  *time.Timer // for the second GOAWAY
	finished bool        // nothing more is read; what is in out is still written
	err      error       // why, nil if in good order
}

// New returns a connection over conn, on which nothing was read or written yet.
// It starts nothing.
func New(conn net.Conn, o Options) *Conn {
	c := &Conn{
		conn: conn, options: o.withDefaults(),
		budget:  newBudget(),
		streams: make(map[uint32]*Stream),
		recv:    connWindow, window: firstWindow, initial: firstWindow,
	}
	c.room.L, c.wake.L = &c.mu, &c.mu
	c.input.conn = conn
	c.frames = h2.NewFramer((*output)(c), &c.input)
	c.frames.SetReuseFrames()
	c.frames.SetMaxReadFrameSize(maxFrame)
	c.frames.MaxHeaderListSize = uint32(headSlack * c.options.HeadSize)
	c.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.encoder = hpack.NewEncoder(&c.block)
	c.encoder.SetMaxDynamicTableSize(0) // answers are few, and not alike
	// The first thing that a server says (RFC 9113 §3.4).
	_ = c.frames.WriteSettings(
		h2.Setting{ID: h2.SettingEnableConnectProtocol, Val: 1}, // RFC 8441 §3
		h2.Setting{ID: h2.SettingMaxConcurrentStreams, Val: uint32(c.options.Streams)},
		h2.Setting{ID: h2.SettingInitialWindowSize, Val: Window},
		h2.Setting{ID: h2.SettingMaxHeaderListSize, Val: uint32(c.options.HeadSize)},
	)
	_ = c.frames.WriteWindowUpdate(0, connWindow-firstWindow)
	return c
}

// Run serves the connection until it has ended and closes it. Each request is
// given to handle in a goroutine of its own; whoever has the stream then closes
// it, which may be later. Run returns when every stream is closed and every
// handle has returned. A read deadline that stands on the connection bounds the
// client's preface and settings. The error says why the connection ended, nil if
// that was in good order. Run may be called once.
func (c *Conn) Run(handle func(*Stream)) error {
	var writing, handling sync.WaitGroup
	writing.Go(c.write)
	err := c.read(func(s *Stream) { handling.Go(func() { handle(s) }) })
	c.mu.Lock()
	c.finish(err)
	c.mu.Unlock()
	writing.Wait()
	c.hangUp()
	c.mu.Lock()
	for len(c.streams) > 0 {
		c.room.Wait()
	}
	err = c.err
	c.mu.Unlock()
	handling.Wait()
	return err
}

// Close ends the connection at once. It may be called at any time, by anyone.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.finish(errClosed)
	c.mu.Unlock()
	return c.cut()
}

// finish ends the connection, in good order if err is nil: what waits to be
// written is the last. The first call counts. The caller holds mu.
func (c *Conn) finish(err error) {
	if c.finished {
		return
	}
	c.finished, c.err = true, err
	if c.goodbye != nil {
		c.goodbye.Stop()
	}
	if code, ok := codeOf(err); ok {
		_ = c.frames.WriteGoAway(c.last, code, nil)
	}
	for _, s := range c.streams {
		s.fail(errLost)
	}
	c.room.Broadcast()
	c.wake.Broadcast()
	_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
	if err != nil {
		_ = c.conn.SetWriteDeadline(time.Now().Add(lastMoment))
	}
}

// hangUp closes the connection below, after a moment for a client that has taken
// all that it was told to read it.
func (c *Conn) hangUp() {
	if w, ok := c.conn.(interface{ CloseWrite() error }); ok && !c.deaf && w.CloseWrite() == nil {
		_ = c.conn.SetReadDeadline(time.Now().Add(lastMoment))
		_, _ = io.Copy(io.Discard, io.LimitReader(c.conn, lastBytes))
	}
	_ = c.cut()
}

// cut closes the connection below without the good-bye of TLS, which would wait for
// room.
func (c *Conn) cut() error {
	if t, ok := c.conn.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn().Close()
	}
	return c.conn.Close()
}

// codeOf is what the client is told of the end of the connection, if anything.
func codeOf(err error) (h2.ErrCode, bool) {
	var broken h2.ConnectionError
	switch {
	case err == nil:
		return h2.ErrCodeNo, true
	case errors.As(err, &broken):
		return h2.ErrCode(broken), true
	case errors.Is(err, h2.ErrFrameTooLarge):
		return h2.ErrCodeFrameSize, true
	case errors.Is(err, errHeadFlood):
		return h2.ErrCodeEnhanceYourCalm, true
	}
	return 0, false
}

// settle draws the conclusions from the number of streams. The caller holds mu.
func (c *Conn) settle() {
	if c.finished || len(c.streams) > 0 {
		return
	}
	if c.leaving == left {
		c.finish(nil)
		return
	}
	_ = c.conn.SetReadDeadline(c.since.Add(c.options.IdleTimeout))
}

// isTimeout reports whether a deadline has passed.
func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
