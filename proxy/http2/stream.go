package http2

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	h2 "golang.org/x/net/http2"
)

// Stream is one request, as a connection of HTTP/1.1. Whoever has it must close
// it. It is for one reader and one writer; the other methods may be called by
// anyone.
type Stream struct {
	conn *Conn
	id   uint32

	// What was asked, fixed.
	connect bool  // for a tunnel
	noBody  bool  // no answer has a body
	fault   error // why it has no head

	// Guarded by conn.mu.
	head    []byte // of the request, what is not read yet
	in      ring
	recv    int64 // what the client may still send
	credit  int64 // what has been taken and the client has not been told
	send    int64 // what we may still send
	changed sync.Cond
	readBy  time.Time
	writeBy time.Time

	answered bool
	opened   bool  // with a session
	inEnded  bool  // END_STREAM from the client
	outEnded bool  // and from us
	gone     bool  // for the client it is closed
	closed   bool  // by whoever has it
	err      error // why nothing more comes or goes
}

func newStream(c *Conn, id uint32, h *head) *Stream {
	s := &Stream{
		conn: c, id: id,
		connect: h.connect, noBody: h.noBody, fault: h.fault,
		head: h.bytes,
		recv: Window, send: c.initial,
	}
	s.changed.L = &c.mu
	return s
}

// Read implements [net.Conn]. First comes the head of the request, and then what
// the client sends. For a request that has no head in HTTP/1.1 the error says
// why: [ErrHeadSize], [ErrScheme] or [ErrProtocol].
func (s *Stream) Read(p []byte) (int, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if err := s.await(); err != nil {
		return 0, err
	}
	n := copy(p, s.first())
	s.take(n)
	return n, nil
}

// WriteTo implements [io.WriterTo]: it writes to w what the client sends, until
// its end. It keeps no memory while nothing comes.
func (s *Stream) WriteTo(w io.Writer) (written int64, err error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if err := s.await(); err == io.EOF {
			return written, nil
		} else if err != nil {
			return written, err
		}
		p := s.first()
		s.in.lent = true
		c.mu.Unlock()
		n, err := w.Write(p)
		c.mu.Lock()
		written += int64(n)
		s.in.lent = false
		if s.closed {
			s.in.free()
			return written, net.ErrClosed
		}
		s.take(n)
		if err != nil {
			return written, err
		}
	}
}

// await waits until there is something to read. The caller holds mu.
func (s *Stream) await() error {
	for {
		switch {
		case s.closed:
			return net.ErrClosed
		case passed(s.readBy):
			return os.ErrDeadlineExceeded
		case len(s.head) > 0 || s.in.length > 0:
			return nil
		case s.fault != nil:
			return s.fault
		case s.inEnded:
			return io.EOF
		case s.err != nil:
			return s.err
		}
		s.wait(&s.changed, s.readBy)
	}
}

// first is what can be read. The caller holds mu.
func (s *Stream) first() []byte {
	if len(s.head) > 0 {
		return s.head
	}
	return s.in.first()
}

// take takes n bytes of it. The caller holds mu.
func (s *Stream) take(n int) {
	if len(s.head) > 0 {
		if s.head = s.head[n:]; len(s.head) == 0 {
			s.head = nil
		}
		return
	}
	s.in.take(n)
	s.refund(n)
}

// refund lets the client send n more bytes; it is told when that is worth it.
// The caller holds mu.
func (s *Stream) refund(n int) {
	if s.credit += int64(n); s.credit < Window/2 || s.inEnded || s.err != nil {
		return
	}
	_ = s.conn.frames.WriteWindowUpdate(s.id, uint32(s.credit))
	s.recv += s.credit
	s.credit = 0
}

// Write implements [net.Conn]. What is written first is the answer, whole: its
// head, and its body if it is not a 101. After a 101 come the bytes of the
// WebSocket, after another answer nothing. An answer that would open a tunnel and
// is no 101 is not sent: the error is [ErrTunnel], and another one may be written.
func (s *Stream) Write(p []byte) (int, error) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.answered {
		if err := s.answer(p); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	if !s.opened {
		return 0, errAnswered
	}
	return s.transmit(p)
}

var errAnswered = errors.New("HTTP/2: the request has been answered")

// transmit sends data, as there is room. The caller holds mu.
func (s *Stream) transmit(p []byte) (sent int, err error) {
	c := s.conn
	for len(p) > 0 {
		if err := s.awaitRoom(&s.send); err != nil {
			return sent, err
		}
		n := int(min(int64(len(p)), s.send, c.window, maxFrame))
		_ = c.frames.WriteData(s.id, false, p[:n])
		c.budget.earn()
		s.send -= int64(n)
		c.window -= int64(n)
		p = p[n:]
		sent += n
	}
	return sent, nil
}

// awaitRoom waits until there is room for the client; window, if not nil, is what
// the stream has, and then data is to be sent. The caller holds mu.
func (s *Stream) awaitRoom(window *int64) error {
	c := s.conn
	for {
		switch {
		case s.closed || s.outEnded:
			return net.ErrClosed
		case s.err != nil:
			return s.err
		case passed(s.writeBy):
			return os.ErrDeadlineExceeded
		case window != nil && *window <= 0:
			s.wait(&s.changed, s.writeBy)
		case window != nil && c.window <= 0 || c.waiting() >= mostOut:
			s.wait(&c.room, s.writeBy)
		default:
			return nil
		}
	}
}

// wait waits for a change, until the deadline at most. The caller holds mu.
func (s *Stream) wait(change *sync.Cond, by time.Time) {
	if !by.IsZero() {
		timer := time.AfterFunc(time.Until(by), func() {
			s.conn.mu.Lock()
			defer s.conn.mu.Unlock()
			change.Broadcast()
		})
		defer timer.Stop()
	}
	change.Wait()
}

// passed reports whether a deadline has passed.
func passed(by time.Time) bool { return !by.IsZero() && !time.Now().Before(by) }

// CloseWrite ends what we send with END_STREAM; what the client still sends can
// be read. It is an error before the answer.
func (s *Stream) CloseWrite() error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.outEnded:
		return nil
	case s.closed || !s.answered:
		return net.ErrClosed
	case s.err != nil:
		return s.err
	}
	_ = c.frames.WriteData(s.id, true, nil)
	s.outEnded = true
	s.settle()
	return nil
}

// Close implements [net.Conn]. A stream whose two directions have not ended is
// reset: with NO_ERROR behind a whole answer (RFC 9113 §8.1), with CANCEL
// otherwise. It does not wait. Only then is there room for another stream.
func (s *Stream) Close() error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	s.closed = true
	if s.opened {
		c.sessions--
		c.since = time.Now()
	}
	if !s.gone {
		code := h2.ErrCodeCancel
		if s.outEnded {
			code = h2.ErrCodeNo
		}
		_ = c.frames.WriteRSTStream(s.id, code)
	}
	s.fail(net.ErrClosed)
	s.in.free()
	delete(c.streams, s.id)
	c.settle()
	return nil
}

// fail ends the stream in both directions. What has come before can be read. The
// caller holds mu.
func (s *Stream) fail(err error) {
	s.err = cmp.Or(s.err, err)
	s.changed.Broadcast()
	s.conn.room.Broadcast()
	s.settle()
}

// settle notes when the stream is closed for the client. The caller holds mu.
func (s *Stream) settle() {
	if !s.gone && (s.err != nil || s.inEnded && s.outEnded) {
		s.gone = true
		s.conn.live--
	}
}

// widen lets us send more, or less than before. The caller holds mu.
func (s *Stream) widen(more int64) error {
	if s.send += more; s.send > mostWindow {
		return h2.StreamError{StreamID: s.id, Code: h2.ErrCodeFlowControl}
	}
	s.changed.Broadcast()
	return nil
}

// takeTrailer takes fields behind a request. On a tunnel there are none (RFC
// 9113 §8.5). The caller holds mu.
func (s *Stream) takeTrailer(f *h2.MetaHeadersFrame) error {
	switch {
	case s.inEnded:
		return h2.StreamError{StreamID: s.id, Code: h2.ErrCodeStreamClosed}
	case s.connect || !f.StreamEnded() || len(f.PseudoFields()) > 0:
		return h2.StreamError{StreamID: s.id, Code: h2.ErrCodeProtocol}
	}
	s.inEnded = true
	s.changed.Broadcast()
	s.settle()
	return nil
}

// SetDeadline implements [net.Conn].
func (s *Stream) SetDeadline(t time.Time) error { return s.setDeadlines(&t, &t) }

// SetReadDeadline implements [net.Conn].
func (s *Stream) SetReadDeadline(t time.Time) error { return s.setDeadlines(&t, nil) }

// SetWriteDeadline implements [net.Conn].
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.setDeadlines(nil, &t) }

func (s *Stream) setDeadlines(read, write *time.Time) error {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.closed {
		return net.ErrClosed
	}
	if read != nil {
		s.readBy = *read
	}
	if write != nil {
		s.writeBy = *write
	}
	s.changed.Broadcast() // a wait under way goes by it
	c.room.Broadcast()
	return nil
}

// LocalAddr implements [net.Conn]: it is the connection's.
func (s *Stream) LocalAddr() net.Addr { return s.conn.conn.LocalAddr() }

// RemoteAddr implements [net.Conn]: it is the connection's.
func (s *Stream) RemoteAddr() net.Addr { return s.conn.conn.RemoteAddr() }
