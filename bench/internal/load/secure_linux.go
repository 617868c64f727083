package load

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/epoll"
)

// secured does what TLS has to do with an event. It reports whether the handshake is done and the connection still there.
func (l *loop) secured(c *conn, flags uint32) bool {
	c.secure.Woken(flags)
	done, err := c.secure.Handshake()
	if err != nil {
		kind := &l.errors.Handshake
		if _, system := errors.AsType[unix.Errno](err); system {
			kind = &l.errors.Connect
		}
		l.fail(c, kind, "TLS: "+err.Error())
		return false
	}
	if done && c.secure.Pending() {
		if errno := c.secure.Flush(); errno != 0 && errno != unix.EAGAIN {
			l.lost(c, errno)
			return false
		}
	}
	return done
}

func (c *conn) read(b []byte) (int, unix.Errno) {
	if c.secure != nil {
		return c.secure.Read(b)
	}
	return epoll.Read(c.fd, b)
}

func (c *conn) write(b []byte) (int, unix.Errno) {
	if c.secure != nil {
		return c.secure.Write(b)
	}
	return epoll.Write(c.fd, b)
}

// abandon ends the handshakes under way. It has to be called from the loop's own thread, as package secure demands.
func (l *loop) abandon() {
	for _, c := range l.conns {
		if c != nil && c.secure != nil {
			c.secure.Drop()
		}
	}
}
