//go:build linux && !portable

package relay

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// arrival is what makes a read worth while.
	arrival = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	// departure is what makes a write worth while.
	departure = unix.EPOLLOUT | unix.EPOLLHUP | unix.EPOLLERR
)

// conn is a connection before it is joined. Whoever reads or writes it waits
// for a loop's word instead of the runtime's poller, so that the socket is
// registered once in its life and changes hands without a system call. Only one
// that was dialed before its client was known may have to move to another loop.
//
// It is for one goroutine, but Close may come from another.
type conn struct {
	loop   *loop
	remote netip.AddrPort
	ready  chan struct{} // room for one: something wanted has happened
	wanted atomic.Uint32 // what is waited for
	events atomic.Uint32 // what has happened and has not been acted on

	readBy, writeBy time.Time

	mu         sync.Mutex // held during each system call: none of them blocks
	fd         int32      // -1 once closed or taken
	registered bool       // in the loop's epoll set and table
	armed      bool       // also for room to write
}

func newConn(l *loop, fd int32, remote netip.AddrPort) *conn {
	return &conn{loop: l, remote: remote, fd: fd, ready: make(chan struct{}, 1)}
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		c.mu.Lock()
		if c.fd < 0 {
			c.mu.Unlock()
			return 0, net.ErrClosed
		}
		before := c.events.Swap(0)
		n, errno := 0, unix.EAGAIN
		if !c.registered || before&arrival != 0 { // else nothing has come
			n, errno = rawRead(c.fd, p)
		}
		c.mu.Unlock()
		switch {
		case errno == 0 && n > 0:
			// What is left in the socket, or behind it, makes no new edge.
			left := before & (arrival &^ unix.EPOLLIN)
			if n == len(p) {
				left |= unix.EPOLLIN
			}
			c.events.Or(left)
			return n, nil
		case errno == 0:
			c.events.Or(before)
			return 0, io.EOF
		case errno == unix.EINTR:
		case errno != unix.EAGAIN:
			c.events.Or(before)
			return 0, &net.OpError{Op: "read", Net: "tcp", Addr: c.RemoteAddr(), Err: os.NewSyscallError("recvfrom", errno)}
		default:
			if err := c.wait(arrival, c.readBy); err != nil {
				return 0, &net.OpError{Op: "read", Net: "tcp", Addr: c.RemoteAddr(), Err: err}
			}
		}
	}
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (int, error) {
	written := 0
	for {
		c.mu.Lock()
		if c.fd < 0 {
			c.mu.Unlock()
			return written, net.ErrClosed
		}
		c.events.And(^uint32(unix.EPOLLOUT))
		n, errno := rawWrite(c.fd, p[written:])
		c.mu.Unlock()
		written += n
		switch {
		case written == len(p):
			return written, nil
		case errno != 0 && errno != unix.EAGAIN:
			return written, &net.OpError{Op: "write", Net: "tcp", Addr: c.RemoteAddr(), Err: os.NewSyscallError("sendto", errno)}
		}
		if err := c.wait(departure, c.writeBy); err != nil {
			return written, &net.OpError{Op: "write", Net: "tcp", Addr: c.RemoteAddr(), Err: err}
		}
	}
}

// wait returns when something wanted may have happened, or the deadline has
// passed.
func (c *conn) wait(wanted uint32, deadline time.Time) error {
	c.wanted.Store(wanted)
	if c.events.Load()&wanted != 0 {
		return nil // it came before we said that we want it
	}
	if err := c.register(wanted); err != nil {
		return err
	}
	if deadline.IsZero() {
		<-c.ready
		return nil
	}
	select {
	case <-c.ready:
		return nil
	default:
	}
	left := time.Until(deadline)
	if left <= 0 {
		return os.ErrDeadlineExceeded
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-c.ready:
		return nil
	case <-timer.C:
		return os.ErrDeadlineExceeded
	}
}

// register puts the socket into the loop's epoll set, for what is wanted at
// least. What has happened before is then told at once.
func (c *conn) register(wanted uint32) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return net.ErrClosed
	}
	what, operation := uint32(interest), unix.EPOLL_CTL_ADD
	if c.registered {
		operation = unix.EPOLL_CTL_MOD
		if c.armed || wanted&unix.EPOLLOUT == 0 {
			return nil
		}
	} else if !c.loop.park(c) {
		return net.ErrClosed
	}
	if wanted&unix.EPOLLOUT != 0 {
		what |= unix.EPOLLOUT
		c.armed = true
	}
	if err := rawWatch(c.loop.epoll, operation, c.fd, what); err != nil {
		if !c.registered {
			c.loop.unpark(c.fd)
		}
		return os.NewSyscallError("epoll_ctl", err)
	}
	c.registered = true
	return nil
}

// happened is the loop's word.
func (c *conn) happened(what uint32) {
	c.events.Or(what)
	if what != 0 && what&c.wanted.Load() == 0 {
		return
	}
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// Close implements [net.Conn]. It ends a wait in another goroutine.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return net.ErrClosed
	}
	if c.registered {
		c.loop.unpark(c.fd)
	}
	rawClose(c.fd)
	c.fd = -1
	c.happened(0)
	return nil
}

// CloseWrite ends our stream; what the other end still sends can be read.
func (c *conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return net.ErrClosed
	}
	rawShutdown(c.fd)
	return nil
}

// SetDeadline implements [net.Conn], but does not disturb a wait under way.
func (c *conn) SetDeadline(t time.Time) error {
	c.readBy, c.writeBy = t, t
	return nil
}

// SetReadDeadline implements [net.Conn]; see SetDeadline.
func (c *conn) SetReadDeadline(t time.Time) error { c.readBy = t; return nil }

// SetWriteDeadline implements [net.Conn]; see SetDeadline.
func (c *conn) SetWriteDeadline(t time.Time) error { c.writeBy = t; return nil }

// RemoteAddr implements [net.Conn].
func (c *conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// LocalAddr implements [net.Conn].
func (c *conn) LocalAddr() net.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 {
		if address, errno := socketName(unix.SYS_GETSOCKNAME, c.fd); errno == 0 {
			return net.TCPAddrFromAddrPort(address)
		}
	}
	return &net.TCPAddr{}
}

// moment is when to end a read that shall take only what is there. The loop may
// not have told yet that something is.
func moment(of net.Conn) time.Time {
	of, _ = unwrap(of)
	c, ok := of.(*conn)
	if !ok {
		return time.Now().Add(time.Millisecond)
	}
	c.events.Or(unix.EPOLLIN)
	return time.Unix(1, 0)
}

func setUserTimeout(of net.Conn, d time.Duration) {
	of, _ = unwrap(of)
	c, ok := of.(*conn)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 {
		_ = unix.SetsockoptInt(int(c.fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d/time.Millisecond))
	}
}

// take hands the socket over to a session in loop l. It stays in the table of
// its own loop, if that is l, until the session is adopted: what happens
// meanwhile must not get lost.
func (c *conn) take(l *loop) (fd int32, still *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd, c.fd = c.fd, -1
	switch {
	case fd < 0 || !c.registered: // not ours, or not known to any loop
	case c.loop == l:
		return fd, c
	default:
		c.loop.unpark(fd)
		_ = rawWatch(c.loop.epoll, unix.EPOLL_CTL_DEL, fd, 0)
	}
	return fd, nil
}

// park puts a connection into the table of those that wait for the loop's word.
// It returns false when the loop has stopped.
func (l *loop) park(c *conn) bool {
	l.parkMu.Lock()
	defer l.parkMu.Unlock()
	if !l.closed {
		l.parked[c.fd] = c
	}
	return !l.closed
}

func (l *loop) unpark(fd int32) {
	l.parkMu.Lock()
	delete(l.parked, fd)
	l.parkMu.Unlock()
}

// closeParked closes every connection that waits for the word of a loop that
// has stopped.
func (l *loop) closeParked() {
	l.parkMu.Lock()
	l.closed = true
	parked := make([]*conn, 0, len(l.parked))
	for _, c := range l.parked {
		parked = append(parked, c)
	}
	l.parkMu.Unlock()
	for _, c := range parked {
		_ = c.Close() // it may have been closed or taken meanwhile
	}
}

// outsideEvent is what epoll says of a connection that is not joined yet.
type outsideEvent struct {
	fd   int32
	what uint32
}

// tellOutside tells the connections that are not joined yet what this turn has for
// them: each wakes a goroutine, and perhaps a thread.
func (l *loop) tellOutside() {
	for _, e := range l.outside {
		l.parkMu.Lock()
		c := l.parked[e.fd]
		l.parkMu.Unlock()
		if c != nil {
			c.happened(e.what)
		}
	}
	l.outside = l.outside[:0]
}
