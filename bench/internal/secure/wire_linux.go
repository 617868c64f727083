package secure

import (
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/epoll"
)

// wire is what crypto/tls takes for a connection. It waits only in the coroutine of a handshake.
type wire struct {
	fd    int
	wait  func() bool // until the next event; it is false if there will be none. nil: do not wait
	dry   bool        // nothing is there to read until the next event
	ended bool        // the other side's end is there to read
	out   []byte      // what the socket did not take
}

// errAgain is what crypto/tls takes for a disturbance that passes: it keeps what it has of a record.
var errAgain net.Error = again{}

type again struct{}

func (again) Error() string   { return "nothing for now" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	for {
		n, errno := 0, unix.EAGAIN
		if !w.dry {
			n, errno = epoll.Read(w.fd, p)
		}
		switch {
		case errno == 0 && n == 0:
			return 0, io.EOF
		case errno == 0:
			// Less than asked for means an empty socket, unless the other side's end is still to be read.
			w.dry = n < len(p) && !w.ended
			return n, nil
		case errno != unix.EAGAIN:
			return 0, errno
		}
		w.dry = true
		if w.wait == nil {
			return 0, errAgain
		}
		if !w.wait() {
			return 0, net.ErrClosed
		}
	}
}

// Write implements net.Conn. Outside of a handshake it takes everything, and keeps what the socket does not take.
func (w *wire) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	for {
		switch errno := w.flush(); {
		case errno == 0:
			return len(p), nil
		case errno != unix.EAGAIN:
			return 0, errno
		}
		if w.wait == nil {
			return len(p), nil
		}
		if !w.wait() {
			return 0, net.ErrClosed
		}
	}
}

func (w *wire) flush() unix.Errno {
	for sent := 0; sent < len(w.out); {
		n, errno := epoll.Write(w.fd, w.out[sent:])
		if errno != 0 {
			w.out = append(w.out[:0], w.out[sent:]...)
			return errno
		}
		sent += n
	}
	w.out = w.out[:0]
	return 0
}

// Close implements net.Conn. The descriptor is the loop's.
func (w *wire) Close() error { return nil }

// LocalAddr implements net.Conn.
func (w *wire) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr implements net.Conn.
func (w *wire) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline implements net.Conn: nothing waits.
func (w *wire) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn; see SetDeadline.
func (w *wire) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn; see SetDeadline.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
