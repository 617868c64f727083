package load

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/epoll"
	"github.com/pointsman/pointsman/bench/internal/frame"
	"github.com/pointsman/pointsman/bench/internal/secure"
	"github.com/pointsman/pointsman/bench/internal/upgrade"
)

// maxAnswer bounds the head of an answer to a handshake.
const maxAnswer = 16 << 10

type state uint8

const (
	connecting state = iota
	answering        // the request is sent, the 101 is awaited
	established
)

// conn is one client connection, owned by its loop. It has no buffer of its own.
type conn struct {
	fd, slot int
	secure   *secure.Conn // nil without TLS
	serial   uint32       // tells the users of a slot apart
	state    state
	since    time.Duration // begin of the handshake, or of the message in flight

	key    [upgrade.KeySize]byte
	accept [frame.AcceptSize]byte
	answer []byte // the first part of an answer that came in pieces

	// The message in flight.
	number  uint64
	flying  bool
	sending bool
	sent    int  // bytes of the frame written
	got     int  // payload bytes back
	begun   bool // a fragment of the echo is complete, more must follow

	from time.Duration // when the message in flight was due; since, if the run has no pace
	due  time.Duration // of the next message, if it has one

	// The frame being read.
	partial [frame.MaxHeader]byte // of its header
	had     int                   // bytes in partial
	inFrame bool
	frame   frame.Header
	left    int // payload bytes to come

	ping    []byte // payload of the ping being read
	control []byte // pongs to be written
}

// ready handles one event of c.
func (l *loop) ready(c *conn, flags uint32) {
	if c.secure != nil && !l.secured(c, flags) {
		return
	}
	if c.state == connecting {
		request := l.request.With(c.key)
		if n, errno := c.write(request); errno != 0 || n < len(request) {
			l.fail(c, &l.errors.Connect, "connect: "+errno.Error())
			return
		}
		c.state = answering
	}
	if (c.sending || c.control != nil) && !l.flush(c) {
		return
	}
	if flags&(epoll.Readable|epoll.Ended) == 0 {
		return
	}
	for {
		n, errno := c.read(l.buf)
		switch {
		case errno == unix.EAGAIN:
			return
		case errno != 0 || n == 0:
			l.lost(c, errno)
			return
		}
		if !l.feed(c, l.buf[:n]) {
			return
		}
		if n < len(l.buf) && flags&epoll.Ended == 0 && c.secure == nil {
			return // the socket is empty, and nothing else is to be read from it
		}
	}
}

// lost is the end of a connection by the other side; errno is zero for a FIN.
func (l *loop) lost(c *conn, errno unix.Errno) {
	cause := "ended by the other side"
	if errno != 0 {
		cause = errno.Error()
	}
	if c.secure != nil && c.secure.Err() != nil {
		cause = "TLS: " + c.secure.Err().Error()
	}
	if c.state == established {
		l.fail(c, &l.errors.Closed, cause)
		return
	}
	l.fail(c, &l.errors.Connect, cause)
}

// feed takes what was read. It reports whether the connection is still there.
func (l *loop) feed(c *conn, data []byte) bool {
	if c.state != established {
		if c.answer != nil {
			c.answer = append(c.answer, data...)
			data = c.answer
		}
		head, rest, whole := upgrade.Head(data)
		if !whole && len(data) < maxAnswer {
			if c.answer == nil {
				c.answer = bytes.Clone(data)
			}
			return true
		}
		if !whole || !upgrade.Accepted(head, c.accept) {
			status, _, _ := bytes.Cut(data, []byte("\r\n"))
			l.fail(c, &l.errors.Handshake, "handshake answered with "+string(status[:min(len(status), 80)]))
			return false
		}
		data = rest
		c.answer = nil
		if !l.established(c) {
			return false
		}
	}
	return l.frames(c, data)
}

// established counts a correct 101 and decides what the session is for. It reports whether the connection stays.
func (l *loop) established(c *conn) bool {
	c.state = established
	l.underway--
	l.opened++
	if l.run.mode != handshakes {
		if l.phase == opening && l.run.mode == idle {
			l.parts[0].count(l.now() - c.since)
		}
		if l.opened == l.sessions {
			l.reached()
		}
		return true
	}
	if part := l.part(); part != nil {
		part.count(l.now() - c.since)
		if l.run.left.Add(-1) == 0 {
			l.reached()
		}
	}
	l.drop(c)
	l.fill()
	return false
}

// frames reads server frames from data. It reports whether the connection is still there.
func (l *loop) frames(c *conn, data []byte) bool {
	for {
		if !c.inFrame {
			used, ok := c.header(data)
			if !ok {
				l.fail(c, &l.errors.Payload, "invalid frame")
				return false
			}
			if !c.inFrame {
				return true // the rest of the header is still to come
			}
			data = data[used:]
		}
		n := min(c.left, len(data))
		if c.frame.Control() {
			c.ping = append(c.ping, data[:n]...)
		} else {
			if !c.flying || !l.message.matches(c, c.got, data[:n]) {
				l.fail(c, &l.errors.Payload, "wrong echo")
				return false
			}
			c.got += n
		}
		c.left -= n
		data = data[n:]
		if c.left > 0 {
			return true
		}
		c.inFrame = false
		if !l.finished(c) {
			return false
		}
	}
}

// header reads a frame header, perhaps with the part of it that came earlier. It returns how much of data it used; the
// header is complete if c.inFrame is set. It is not ok if no server may send it.
func (c *conn) header(data []byte) (used int, ok bool) {
	from := data
	if c.had > 0 {
		n := copy(c.partial[c.had:], data)
		from = c.partial[:c.had+n]
	}
	h, size, err := frame.Parse(from)
	if err != nil {
		return 0, false
	}
	if size == 0 {
		if c.had == 0 {
			copy(c.partial[:], data)
		}
		c.had = len(from)
		return len(data), true
	}
	used = size - c.had
	c.had = 0
	first := frame.Binary
	if c.begun {
		first = frame.Continuation
	}
	if h.Masked || (!h.Control() && h.Opcode != first) {
		return 0, false
	}
	c.inFrame, c.frame, c.left, c.ping = true, h, h.Length, c.ping[:0]
	return used, true
}

// finished handles the end of a frame. It reports whether the connection is still there.
func (l *loop) finished(c *conn) bool {
	switch {
	case c.frame.Opcode == frame.Close:
		l.fail(c, &l.errors.Closed, "closed by the other side")
		return false
	case c.frame.Opcode == frame.Ping:
		h := frame.Header{Fin: true, Opcode: frame.Pong, Masked: true, Key: l.message.key, Length: len(c.ping)}
		at := len(c.control)
		c.control = append(c.control, make([]byte, h.Size()+len(c.ping))...)
		frame.Put(c.control[at:], h)
		frame.Mask(c.control[at+h.Size():], c.ping, h.Key)
		return l.flush(c)
	case c.frame.Control():
		return true
	case !c.frame.Fin:
		c.begun = true
		return true
	case c.got != len(l.message.plain):
		l.fail(c, &l.errors.Payload, "short echo")
		return false
	}
	now := l.now()
	if part := l.part(); part != nil {
		part.count(now - c.from)
	}
	c.flying, c.begun = false, false
	l.waiting--
	switch {
	case l.run.mode != relay:
	case !l.paced():
		return l.send(c)
	case c.due <= now:
		return l.sendLate(c)
	}
	l.settled()
	return true
}

// send begins the next message of c, now. It reports whether the connection is still there.
func (l *loop) send(c *conn) bool {
	c.number++
	c.flying, c.sending, c.sent, c.got = true, true, 0, 0
	c.since = l.now()
	c.from = c.since
	l.waiting++
	return l.flush(c)
}

// flush writes what c has to write: a begun message first, pongs only between messages. It reports whether the
// connection is still there.
func (l *loop) flush(c *conn) bool {
	if c.sent > 0 && c.sending && !l.writeMessage(c) {
		return l.conns[c.slot] == c
	}
	for len(c.control) > 0 {
		n, errno := c.write(c.control)
		if errno == unix.EAGAIN {
			return true
		}
		if errno != 0 {
			l.lost(c, errno)
			return false
		}
		c.control = c.control[n:]
	}
	c.control = nil
	if c.sending && !l.writeMessage(c) {
		return l.conns[c.slot] == c
	}
	return true
}

// writeMessage goes on with the message. It reports whether all of it is written; if not, the connection may have gone.
func (l *loop) writeMessage(c *conn) bool {
	for b := l.message.address(c); c.sent < len(b); {
		n, errno := c.write(b[c.sent:])
		if errno == unix.EAGAIN {
			return false
		}
		if errno != 0 {
			l.lost(c, errno)
			return false
		}
		c.sent += n
	}
	c.sending = false
	return true
}
