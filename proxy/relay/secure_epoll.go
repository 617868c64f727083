//go:build linux && !portable

package relay

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// cipherSize is the most that one read below TLS takes: a message of 64 KiB
	// with what TLS adds.
	cipherSize = 80 << 10
	// leastCipher is what such a read takes at least, of a client that may send
	// less: TLS gives whole records, and what may not pass of them is kept.
	leastCipher = 4 << 10
	// A record with new keys costs fifty times as much as one with a message, so
	// one side could hold up all the others in its loop. A side that has sent more
	// than mostEmpty records without data in one read is read in bites of thinRead
	// from then on, one in each turn.
	mostEmpty = 64
	thinRead  = 16 << 10
)

// mostAnswers is how much TLS may have to say by itself to a side that takes
// nothing before that side is not read any more. Else whoever asks for new keys
// without end and reads no answer could fill the memory.
const mostAnswers = 16 << 10

// wire stands between TLS and the socket. Before the session is joined it is
// the connection, and TLS waits in it. Afterwards it belongs to a loop and never
// waits: TLS reads what the loop has read, and writes what the loop will write.
type wire struct {
	net.Conn // before it is joined; then nil

	tls   *tls.Conn
	loop  *loop  // while it is joined
	ahead []byte // what the loop has read and TLS has not

	read recordCount // where TLS stands in what it reads

	ended bool // behind ahead is the end of the stream
}

func secured(conn net.Conn) net.Conn { return &wire{Conn: conn} }

// errWouldBlock is what TLS takes as "nothing for now": it keeps what it has of
// a record and can be asked again.
var errWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "would block" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

// Read implements [net.Conn].
func (w *wire) Read(p []byte) (n int, err error) {
	switch {
	case w.Conn != nil:
		n, err = w.Conn.Read(p)
	case len(w.ahead) > 0:
		n = copy(p, w.ahead)
		w.ahead = w.ahead[n:]
	case w.ended:
		return 0, io.EOF
	default:
		return 0, errWouldBlock
	}
	w.read.count(p[:n])
	return n, err
}

// empty reports whether TLS has nothing to say, after it has given the data of so
// many records: what it has is less than a header. To ask it costs an allocation.
func (w *wire) empty(given int) bool {
	return len(w.ahead) == 0 && !w.ended && w.read.have < recordHeader && w.read.whole == given
}

// Write implements [net.Conn].
func (w *wire) Write(p []byte) (int, error) {
	if w.Conn != nil {
		return w.Conn.Write(p)
	}
	if w.loop == nil {
		return 0, net.ErrClosed
	}
	w.loop.sealed = append(w.loop.sealed, p...)
	return len(p), nil
}

// Close implements [net.Conn]. What a loop has, it closes itself.
func (w *wire) Close() error {
	if w.Conn != nil {
		return w.Conn.Close()
	}
	return net.ErrClosed
}

// LocalAddr implements [net.Conn].
func (w *wire) LocalAddr() net.Addr {
	if w.Conn != nil {
		return w.Conn.LocalAddr()
	}
	return &net.TCPAddr{}
}

// RemoteAddr implements [net.Conn].
func (w *wire) RemoteAddr() net.Addr {
	if w.Conn != nil {
		return w.Conn.RemoteAddr()
	}
	return &net.TCPAddr{}
}

// SetDeadline implements [net.Conn]. In a loop there is nothing to wait for.
func (w *wire) SetDeadline(t time.Time) error {
	if w.Conn != nil {
		return w.Conn.SetDeadline(t)
	}
	return nil
}

// SetReadDeadline implements [net.Conn]; see SetDeadline.
func (w *wire) SetReadDeadline(t time.Time) error {
	if w.Conn != nil {
		return w.Conn.SetReadDeadline(t)
	}
	return nil
}

// SetWriteDeadline implements [net.Conn]; see SetDeadline. TLS sets one for its
// good-bye.
func (w *wire) SetWriteDeadline(t time.Time) error {
	if w.Conn != nil {
		return w.Conn.SetWriteDeadline(t)
	}
	return nil
}

// unwrap returns the connection below TLS, and the wire in between, nil if there
// is no TLS or one that did not come from here.
func unwrap(conn net.Conn) (net.Conn, *wire) {
	if t, ok := conn.(*tls.Conn); ok {
		if w, ok := t.NetConn().(*wire); ok && w.Conn != nil {
			w.tls = t
			return w.Conn, w
		}
	}
	return conn, nil
}

// secure puts TLS on a leg.
func (l *loop) secure(leg *leg, w *wire) {
	fd := int(leg.fd)
	if fd >= len(l.wires) {
		l.wires = append(l.wires, make([]*wire, fd+1+len(l.wires)/2-len(l.wires))...)
	}
	if l.cipher == nil {
		l.cipher = make([]byte, cipherSize)
	}
	w.Conn, w.loop = nil, l
	l.wires[fd] = w
	leg.set(hasTLS)
}

// pumpTLS is one read of pump, for a leg with TLS, of which about so much may
// pass.
func (l *loop) pumpTLS(s *session, from side, size int) {
	leg := &s.legs[from]
	size = min(max(size, leastCipher), cipherSize)
	if leg.is(thin) {
		size = min(size, thinRead)
	}
	n, errno := rawRead(leg.fd, l.cipher[:size])
	switch {
	case errno == 0 && n > 0:
		if n < size && !leg.is(hungUp) {
			leg.state &^= readable // as in pump
		}
		leg.heard = l.clock
		l.unseal(s, from, n)
	case errno == 0:
		l.unseal(s, from, 0)
	case errno == unix.EAGAIN:
		leg.state &^= readable
		if leg.is(broken) { // that TLS writes no more need not end the socket
			s.endOfStream(from, ClientLost+Cause(from))
		}
	case errno == unix.EINTR:
	default:
		leg.set(broken)
		s.dropOutput(from)
		s.endOfStream(from, ClientLost+Cause(from))
	}
}

// unseal takes n bytes that were read from a leg with TLS, or with n = 0 the
// end of its stream, or with n < 0 what TLS itself has kept, and passes on what
// is in them.
func (l *loop) unseal(s *session, from side, n int) {
	leg := &s.legs[from]
	w := l.wires[leg.fd]
	w.ahead, w.ended, w.read.whole = l.cipher[:max(n, 0)], n == 0, 0
	for given := 0; ; {
		held := copy(l.buffer[headroom-len(leg.held):], leg.held)
		l.sealed = l.sealed[:0]
		got, err := 0, error(nil)
		for err == nil && readSize-got >= maxRecord {
			if n > 0 && w.empty(given) {
				err = errWouldBlock
				break
			}
			var m int
			m, err = w.tls.Read(l.buffer[headroom+got:])
			got += m
			if m > 0 {
				given++
			}
		}
		if len(l.sealed) > 0 && !leg.any(fin|broken) { // TLS itself answers: a new key, an alert
			s.write(from, l.sealed)
			if leg.blocked() {
				leg.answers += int32(len(l.sealed))
			}
		}
		if err != nil && err != errWouldBlock && err != io.EOF && err != io.ErrUnexpectedEOF {
			// An alert, theirs or ours: nothing is said behind it, not even a
			// good-bye (RFC 8446 §6.2).
			leg.set(fin)
			s.finish(from)
		}
		if got > 0 {
			leg.bytes += uint64(got)
			if s.mayPass(from) {
				l.deliver(s, from, held, got)
			} else {
				s.keepRest(l.buffer[headroom : headroom+got])
			}
		}
		switch {
		case s.phase == over:
			return
		case err == errWouldBlock:
			if w.read.whole-given > mostEmpty {
				leg.set(thin)
			}
			return
		case err != nil && from == client && s.meter != nil && s.meter.waits():
			s.meter.ended = true
			return
		case err != nil:
			s.endOfStream(from, ClientLost+Cause(from))
			return
		}
	}
}

// seal returns p as TLS sends it to that side, or false if it cannot.
func (s *session) seal(to side, p []byte) ([]byte, bool) {
	l := s.loop
	l.sealed = l.sealed[:0]
	if _, err := l.wires[s.legs[to].fd].tls.Write(p); err != nil {
		s.writeFailed(to)
		return nil, false
	}
	return l.sealed, true
}

// farewell says the good-bye of TLS behind all that was sent to that side.
func (s *session) farewell(d side) {
	l, leg := s.loop, &s.legs[d]
	if !leg.is(hasTLS) || leg.is(broken) {
		return
	}
	l.sealed = l.sealed[:0]
	_ = l.wires[leg.fd].tls.CloseWrite() // it has nobody to fail for
	s.write(d, l.sealed)
}
