package crowd

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/echo"
	"github.com/pointsman/pointsman/bench/internal/epoll"
	"github.com/pointsman/pointsman/bench/internal/frame"
	"github.com/pointsman/pointsman/bench/internal/upgrade"
)

type state uint8

const (
	connecting state = iota
	answering        // the request is sent, the answer is awaited
	open
	leaving // a Close frame has come and is answered; the server ends TCP
)

const (
	maxAnswer = 16 << 10
	maxFrame  = 8 << 10
)

// conn is one connection of a client, owned by its loop.
type conn struct {
	fd, slot int
	client   *client
	state    state
	since    time.Duration // begin of the handshake, or of leaving
	key      [upgrade.KeySize]byte
	accept   [frame.AcceptSize]byte
	where    string
	in       []byte // the first part of an answer or frame
	out      []byte // what the socket did not take

	messages uint64 // sent so far
	flying   bool   // the last one has not come back
	sentAt   time.Duration
}

// ready handles one event of c.
func (l *loop) ready(c *conn, flags uint32) {
	if c.state == connecting {
		if n, errno := epoll.Write(c.fd, l.request.With(c.key)); errno != 0 || n == 0 {
			l.end(c, Event{Kind: Failed, Reason: "connect: " + errno.Error()}, retryPause)
			return
		}
		c.state = answering
	}
	if len(c.out) > 0 {
		rest := c.out
		c.out = nil
		if !l.write(c, rest) {
			return
		}
	}
	if flags&(epoll.Readable|epoll.Ended) == 0 {
		return
	}
	for {
		n, at, errno := epoll.ReadStamped(c.fd, l.buf)
		l.arrived = l.crowd.moment(at)
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
		if n < len(l.buf) && flags&epoll.Ended == 0 {
			return // the socket is empty, and nothing else is to be read from it
		}
	}
}

// end notes the end of a handshake or session and drops the connection; its client comes back after the pause.
func (l *loop) end(c *conn, e Event, pause time.Duration) {
	wasOpen := c.state == open
	if c.state < open {
		l.decided(c.client)
	}
	l.note(c, e, wasOpen)
	l.drop(c, true)
	l.later(c.client, pause)
}

// note records an event of c's client, now unless it has a moment.
func (l *loop) note(c *conn, e Event, wasOpen bool) {
	if e.At == 0 {
		e.At = l.crowd.Now()
	}
	e.Client, e.Where = c.client.number, c.where
	e.Reason = l.word(e.Reason)
	l.crowd.record(e, wasOpen)
}

// word returns a text that is kept once however often it comes.
func (l *loop) word(s string) string {
	if known, ok := l.words[s]; ok {
		return known
	}
	l.words[s] = s
	return s
}

// lost is the end of a connection by the other side; errno is zero for a FIN.
func (l *loop) lost(c *conn, errno unix.Errno) {
	cause := "ended by the other side"
	if errno != 0 {
		cause = errno.Error()
	}
	switch c.state {
	case leaving:
		l.drop(c, false)
	case open:
		l.end(c, Event{Kind: Lost, Reason: cause, Pending: c.flying, Partial: len(c.in) > 0}, 0)
	default:
		l.end(c, Event{Kind: Failed, Reason: cause}, retryPause)
	}
}

// feed takes what was read. It reports whether the connection is still there.
func (l *loop) feed(c *conn, data []byte) bool {
	if c.in != nil {
		c.in = append(c.in, data...)
		data = c.in
	}
	if c.state == answering {
		head, rest, whole := upgrade.Head(data)
		if !whole {
			if len(data) >= maxAnswer {
				l.end(c, Event{Kind: Refused, Reason: "endless answer"}, retryPause)
				return false
			}
			l.keep(c, data)
			return true
		}
		if !l.answered(c, head) {
			return false
		}
		data = rest
	}
	for len(data) > 0 {
		h, size, err := frame.Parse(data)
		if err != nil || h.Masked || h.Length > maxFrame {
			l.end(c, Event{Kind: Broken, Reason: "invalid frame"}, 0)
			return false
		}
		if size == 0 || len(data) < size+h.Length {
			break
		}
		if !l.frame(c, h, data[size:size+h.Length]) {
			return false
		}
		data = data[size+h.Length:]
	}
	l.keep(c, data)
	return true
}

// keep keeps the beginning of what is not whole yet. data may lie in c.in.
func (l *loop) keep(c *conn, data []byte) {
	if len(data) == 0 {
		c.in = nil
		return
	}
	c.in = append(c.in[:0], data...)
}

// answered takes the answer to the handshake. It reports whether it opened a session.
func (l *loop) answered(c *conn, head []byte) bool {
	took := l.arrived - c.since
	if upgrade.Accepted(head, c.accept) {
		l.decided(c.client)
		c.state = open
		c.where = l.word(upgrade.Field(head, echo.NameHeader))
		l.note(c, Event{At: l.arrived, Kind: Opened, Took: took}, false)
		return true
	}
	again := upgrade.Field(head, "Retry-After")
	pause := retryPause
	if seconds, err := strconv.Atoi(again); err == nil && seconds > 0 && seconds < math.MaxInt32 {
		pause = time.Duration(seconds) * time.Second
	}
	l.end(c, Event{At: l.arrived, Kind: Refused, Took: took, Code: upgrade.Status(head), Reason: again}, pause)
	return false
}

// frame takes one whole frame. It reports whether the connection is still there.
func (l *loop) frame(c *conn, h frame.Header, payload []byte) bool {
	switch {
	case c.state == leaving:
		l.note(c, Event{Kind: Broken, Reason: "a frame after the Close frame"}, false)
		l.drop(c, true)
		return false
	case h.Opcode == frame.Close:
		return l.closed(c, payload)
	case h.Opcode == frame.Ping:
		return l.control(c, frame.Pong, payload)
	case h.Opcode == frame.Pong:
		return true
	case h.Opcode != frame.Binary || !h.Fin || !c.flying || !l.message.matches(c, payload):
		l.end(c, Event{Kind: Broken, Reason: "wrong echo"}, 0)
		return false
	}
	c.flying = false
	l.crowd.echoes.Add(1)
	return true
}

// closed takes a Close frame and answers it. The client does not wait for the end of TCP before it comes back.
func (l *loop) closed(c *conn, payload []byte) bool {
	e := Event{At: l.arrived, Kind: Closed, Code: 1005, Pending: c.flying}
	if len(payload) >= 2 {
		e.Code, e.Reason = int(binary.BigEndian.Uint16(payload)), string(payload[2:])
	}
	l.note(c, e, true)
	c.state, c.since, c.client.conn = leaving, l.crowd.Now(), nil
	there := l.control(c, frame.Close, payload[:min(2, len(payload))])
	if l.crowd.opts.Return {
		l.open(c.client)
	}
	return there
}

// control sends a control frame. It reports whether the connection is still there.
func (l *loop) control(c *conn, opcode byte, payload []byte) bool {
	h := frame.Header{Fin: true, Opcode: opcode, Masked: true, Key: l.message.key, Length: len(payload)}
	b := make([]byte, h.Size()+len(payload))
	frame.Put(b, h)
	frame.Mask(b[h.Size():], payload, h.Key)
	return l.write(c, b)
}

// send begins the next message of c.
func (l *loop) send(c *conn) {
	c.messages++
	c.flying, c.sentAt = true, l.crowd.Now()
	l.write(c, l.message.of(c))
}

// write writes b, and keeps what the socket does not take now. It reports whether the connection is still there.
func (l *loop) write(c *conn, b []byte) bool {
	if len(c.out) > 0 {
		c.out = append(c.out, b...)
		return true
	}
	for len(b) > 0 {
		n, errno := epoll.Write(c.fd, b)
		switch {
		case errno == unix.EAGAIN:
			c.out = append(c.out, b...)
			return true
		case errno != 0:
			return l.unwritable(c, errno)
		}
		b = b[n:]
	}
	return true
}

// unwritable is a connection that takes no more. What has come before its end must still be read: a Close frame may be among
// it.
func (l *loop) unwritable(c *conn, errno unix.Errno) bool {
	if c.state == open {
		return true // the end is an event of its own
	}
	l.lost(c, errno)
	return false
}
