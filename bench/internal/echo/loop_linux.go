package echo

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/epoll"
	"github.com/pointsman/pointsman/bench/internal/secure"
)

const (
	listenerSlot = 0
	// readBuffer holds several of the largest messages that the standard measurements send.
	readBuffer = 256 << 10
	// acceptsPerEvent keeps a storm of handshakes from starving the open sessions.
	acceptsPerEvent = 64
)

// shared is what the loops of a server have in common.
type shared struct {
	name string
	tls  *tls.Config  // nil without TLS
	open atomic.Int64 // sessions
}

// loop owns its listener, its epoll set and its connections. Only stopped and poller.Wake are used by others.
type loop struct {
	shared   *shared
	addr     netip.AddrPort
	listener int
	poller   *epoll.Poller
	stopped  atomic.Bool

	conns []*conn // by slot; slot 0 is the listener
	free  []int   // slots to use again
	buf   []byte  // what a readable connection without a partial message is read into
	pool  pool
}

// conn is one connection. Both buffers are nil at rest.
type conn struct {
	fd, slot int
	secure   *secure.Conn // nil without TLS
	open     bool         // the handshake is done; what follows are frames
	closing  bool         // close once out is written
	in       []byte       // the beginning of a message or request
	out      []byte       // what the socket did not take; nothing is read meanwhile
	sent     int          // how much of out is written
}

func (l *loop) run() error {
	defer l.abandon()
	for !l.stopped.Load() {
		events, err := l.poller.Wait(time.Minute)
		if err != nil {
			return err
		}
		for _, e := range events {
			if e.Slot == listenerSlot {
				if err := l.accept(); err != nil {
					return err
				}
				continue
			}
			l.ready(l.conns[e.Slot], e.Flags)
		}
	}
	return nil
}

// accept takes what waits on the listener. Running out of descriptors ends the server: a measurement with refused
// sessions is worth nothing, and the error says so.
func (l *loop) accept() error {
	for range acceptsPerEvent {
		fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(l.listener), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch errno {
		case 0:
		case unix.EAGAIN:
			return nil
		case unix.EINTR, unix.ECONNABORTED:
			continue
		default:
			return fmt.Errorf("accept on %s: %w", l.addr, errno)
		}
		c := &conn{fd: int(fd)}
		if l.shared.tls != nil {
			c.secure = secure.Server(c.fd, l.shared.tls)
		}
		if n := len(l.free); n > 0 {
			c.slot, l.free = l.free[n-1], l.free[:n-1]
			l.conns[c.slot] = c
		} else {
			c.slot = len(l.conns)
			l.conns = append(l.conns, c)
		}
		if err := l.poller.Add(c.fd, c.slot); err != nil {
			l.drop(c, true)
			return err
		}
	}
	return nil
}

// ready handles one event: first what waits to be written, then what can be read.
func (l *loop) ready(c *conn, flags uint32) {
	if c.secure != nil && !l.secured(c, flags) {
		return
	}
	if c.out != nil && !l.flush(c) {
		return
	}
	for {
		into, fresh := l.buf, c.in == nil
		if !fresh {
			into = c.in[len(c.in):cap(c.in)]
		}
		n, errno := c.read(into)
		if errno != 0 || n == 0 {
			if errno != unix.EAGAIN {
				l.drop(c, true) // gone or at its end: see the package comment for the RST
			}
			return
		}
		data := into[:n]
		if !fresh {
			c.in = c.in[:len(c.in)+n]
			data = c.in
		}
		if !l.consume(c, data) {
			return
		}
		// Less than asked for means an empty socket, unless the peer's end is still to be read.
		if n < len(into) && flags&epoll.Ended == 0 && c.secure == nil {
			return
		}
	}
}

// consume answers every whole request or message in data and keeps the rest. It reports whether to read on.
func (l *loop) consume(c *conn, data []byte) bool {
	rest := data
	for len(rest) > 0 {
		var used, need int
		var answer []byte
		var ok bool
		if c.open {
			answer, used, need, ok = l.frames(c, rest)
		} else {
			answer, used, ok = l.request(c, rest)
			need = minBuffer
		}
		if !ok {
			l.drop(c, true)
			return false
		}
		if !l.write(c, answer, rest[used:], need) {
			return false
		}
		rest = rest[used:]
		if used == 0 {
			l.keep(c, rest, need)
			return true
		}
	}
	l.keep(c, nil, 0)
	return true
}

// write sends answer. If the socket does not take all of it, the remainder and the unread rest are kept, and write
// reports false; flush goes on from there.
func (l *loop) write(c *conn, answer, rest []byte, need int) bool {
	for len(answer) > 0 {
		n, errno := c.write(answer)
		switch {
		case errno == 0:
			answer = answer[n:]
		case errno == unix.EAGAIN:
			c.out = append(l.pool.get(len(answer)), answer...)
			c.sent = 0
			l.keep(c, rest, max(need, len(rest)+1))
			return false
		default:
			l.drop(c, true)
			return false
		}
	}
	if c.closing && c.pending() {
		c.out, c.sent = l.pool.get(0), 0
		return false
	}
	if c.closing {
		l.drop(c, false)
		return false
	}
	return true
}

// flush writes what was left over. It reports whether the connection can be read again.
func (l *loop) flush(c *conn) bool {
	for c.sent < len(c.out) {
		n, errno := c.write(c.out[c.sent:])
		switch {
		case errno == 0:
			c.sent += n
		case errno == unix.EAGAIN:
			return false
		default:
			l.drop(c, true)
			return false
		}
	}
	if c.closing && c.pending() {
		return false
	}
	l.pool.put(c.out)
	c.out, c.sent = nil, 0
	if c.closing {
		l.drop(c, false)
		return false
	}
	// Messages that came in one piece with the answered one must not wait for the next byte from the peer.
	return len(c.in) == 0 || l.consume(c, c.in)
}

// keep makes c.in hold rest, with room for need bytes in all, or gives the buffer back if rest is empty. rest may lie in
// c.in.
func (l *loop) keep(c *conn, rest []byte, need int) {
	old := c.in
	switch {
	case len(rest) == 0:
		c.in = nil
	case len(rest) == len(old) && need <= cap(old) && len(rest) < cap(old):
		return // the message goes on growing in place
	default:
		c.in = append(l.pool.get(max(need, len(rest)+1)), rest...)
	}
	if old != nil {
		l.pool.put(old)
	}
}

// drop ends the connection, with a RST or with a FIN, and frees its slot.
func (l *loop) drop(c *conn, reset bool) {
	if c.secure != nil {
		c.secure.Drop()
	}
	if reset {
		epoll.Reset(c.fd)
	} else {
		_ = unix.Close(c.fd)
	}
	for _, b := range [...][]byte{c.in, c.out} {
		if b != nil {
			l.pool.put(b)
		}
	}
	if c.open {
		l.shared.open.Add(-1)
	}
	l.conns[c.slot] = nil
	l.free = append(l.free, c.slot)
}

// close ends everything the loop owns. The loop must not be running.
func (l *loop) close() {
	for _, c := range l.conns {
		if c != nil {
			epoll.Reset(c.fd)
		}
	}
	_ = unix.Close(l.listener)
	l.poller.Close()
}
