package secure

import (
	"crypto/tls"
	"errors"
	"io"
	"iter"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/epoll"
)

// mostSealed is how much one Write takes: a record (RFC 8446 section 5.1), and so what may have to be kept.
const mostSealed = 16 << 10

// Conn is TLS on a descriptor. Make it with Client or Server. It is for one goroutine.
type Conn struct {
	tls  *tls.Conn
	wire wire
	next func() (struct{}, bool) // lets the handshake go on
	stop func()
	done bool
	err  error
}

// Client is the client's side of TLS on fd, which must not block.
func Client(fd int, config *tls.Config) *Conn {
	c := &Conn{wire: wire{fd: fd}}
	c.tls = tls.Client(&c.wire, config)
	return c
}

// Server is the server's side of TLS on fd, which must not block.
func Server(fd int, config *tls.Config) *Conn {
	c := &Conn{wire: wire{fd: fd}}
	c.tls = tls.Server(&c.wire, config)
	return c
}

// Woken has to be called with the flags of each event before anything else: there may be something to read again.
func (c *Conn) Woken(flags uint32) {
	c.wire.dry = false
	c.wire.ended = c.wire.ended || flags&epoll.Ended != 0
}

// Done reports whether the handshake is done.
func (c *Conn) Done() bool { return c.done }

// Handshake begins the handshake or goes on with it, and reports whether it is done. It has to be called again with the next event if
// not. After an error the connection is of no use.
func (c *Conn) Handshake() (bool, error) {
	if c.done || c.err != nil {
		return c.done, c.err
	}
	if c.next == nil {
		c.next, c.stop = iter.Pull(c.shake)
	}
	if _, waits := c.next(); waits {
		return false, nil
	}
	c.next, c.stop = nil, nil
	c.done = c.err == nil
	return c.done, c.err
}

// shake is the coroutine.
func (c *Conn) shake(yield func(struct{}) bool) {
	c.wire.wait = func() bool { return yield(struct{}{}) }
	c.err = c.tls.Handshake()
	c.wire.wait = nil
}

// Drop ends a handshake that is not done. Calling it twice is fine.
func (c *Conn) Drop() {
	if c.stop != nil {
		c.stop() // it finds that it need not wait any more, and ends with an error
		c.next, c.stop = nil, nil
	}
}

// Read reads what is inside of the records, as epoll.Read does outside; b must not be empty. There may be more to read after a short
// read: only EAGAIN says that there is not. Zero bytes without an errno are the end of the stream, and EPROTO is TLS going wrong; see
// Err.
func (c *Conn) Read(b []byte) (int, unix.Errno) {
	n, err := c.tls.Read(b)
	switch {
	case n > 0 || err == nil:
		return n, 0
	case errors.Is(err, errAgain):
		return 0, unix.EAGAIN
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return 0, 0
	}
	return 0, c.went(err)
}

// Write seals the first part of b, 16 KiB at most, and says how much that was. What the socket does not take of it is kept: Pending
// then, and the next Write is EAGAIN until Flush has got rid of it.
func (c *Conn) Write(b []byte) (int, unix.Errno) {
	if errno := c.Flush(); errno != 0 {
		return 0, errno
	}
	n, err := c.tls.Write(b[:min(len(b), mostSealed)])
	if err != nil {
		return 0, c.went(err)
	}
	return n, 0
}

// Pending reports whether something waits to be flushed.
func (c *Conn) Pending() bool { return len(c.wire.out) > 0 }

// Flush writes what was kept. The error is EAGAIN if some of it is left.
func (c *Conn) Flush() unix.Errno { return c.wire.flush() }

// went keeps the error, and is what stands for it.
func (c *Conn) went(err error) unix.Errno {
	c.err = err
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return errno
	}
	return unix.EPROTO
}

// Err is why the handshake, a Read or a Write went wrong, nil if none did.
func (c *Conn) Err() error { return c.err }

// State is what was agreed upon in the handshake.
func (c *Conn) State() tls.ConnectionState { return c.tls.ConnectionState() }
