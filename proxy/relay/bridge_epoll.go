//go:build linux && !portable

package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// bridgeRead is the most that one read from a pair takes.
	bridgeRead = 16 << 10
	// bridgeBuffer is how much either end of a pair may hold for the other. The
	// system counts twice that, for what it needs itself.
	bridgeBuffer = 64 << 10
)

// bridge carries a client connection that is no socket, such as a stream of
// HTTP/2, into a loop: a pair of sockets, of which the loop has one, and a
// goroutine for each direction. None of them holds a buffer at rest.
type bridge struct {
	client net.Conn
	near   net.Conn // of the pair; the loop has the other one
	parts  atomic.Int32
	group  *sync.WaitGroup
}

// bridges are those of a relay.
type bridges struct {
	mu      sync.Mutex
	stopped bool
	group   sync.WaitGroup
}

// bridgeParts are what has to be done with before a bridge is closed: the two
// directions, and the session.
const bridgeParts = 3

// enter counts a bridge in, unless the relay has stopped.
func (b *bridges) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.stopped {
		b.group.Add(bridgeParts)
	}
	return !b.stopped
}

// wait waits until all are closed. No new one is let in.
func (b *bridges) wait() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.group.Wait()
}

// join makes a session of the pair, over a bridge if it needs one.
func (r *Relay) join(p Pair) (*Session, error) {
	switch p.Client.(type) {
	case *conn, *tls.Conn, syscall.Conn:
		return r.joinSockets(p)
	}
	b, err := r.bridge(&p)
	if err != nil {
		p.Client.Close()
		below(p.Upstream).Close()
		return nil, err
	}
	s, err := r.joinSockets(p)
	if err != nil {
		b.end(Aborted)
	}
	return s, err
}

// bridge puts the loop's end of a pair in the place of the client.
func (r *Relay) bridge(p *Pair) (*bridge, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range fds {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bridgeBuffer) // or what the system likes
	}
	near, err := connOf(int32(fds[0]))
	if err != nil {
		unix.Close(fds[1])
		return nil, err
	}
	if !r.bridges.enter() {
		near.Close()
		unix.Close(fds[1])
		return nil, net.ErrClosed
	}
	_ = p.Client.SetDeadline(time.Time{}) // that of the handshake; where it fails the first read does, too
	b := &bridge{client: p.Client, near: near, group: &r.bridges.group}
	b.parts.Store(bridgeParts)
	ended := p.Ended
	p.Ended = func(e End) {
		go b.end(e.Cause) // the loop does not wait for the client's lock
		if ended != nil {
			ended(e)
		}
	}
	p.Client = newConn(r.loopOf(p.Upstream), int32(fds[1]), netip.AddrPort{})
	go b.inward()
	go b.outward()
	return b, nil
}

// inward carries what the client sends.
func (b *bridge) inward() {
	defer b.done()
	_, _ = io.Copy(b.near, b.client) // a client that is lost and one that has ended are one to the session
	_ = endWrite(b.near)
}

// outward carries what the session sends.
func (b *bridge) outward() {
	defer b.done()
	if err := b.carry(); err == nil {
		_ = endWrite(b.client)
	} else {
		b.near.Close() // nobody takes it any more
	}
}

var bridgeBuffers = sync.Pool{New: func() any { return new([bridgeRead]byte) }}

// carry carries bytes from the pair to the client until the loop has ended its
// stream.
func (b *bridge) carry() error {
	raw, err := b.near.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var (
		buffer *[bridgeRead]byte
		n      int
		errno  syscall.Errno
	)
	read := func(fd uintptr) bool {
		buffer = bridgeBuffers.Get().(*[bridgeRead]byte)
		if n, errno = rawRead(int32(fd), buffer[:]); errno != unix.EAGAIN {
			return true
		}
		bridgeBuffers.Put(buffer)
		return false
	}
	for {
		if err := raw.Read(read); err != nil {
			return err
		}
		switch {
		case errno == 0 && n > 0:
			_, err = b.client.Write(buffer[:n])
		case errno != unix.EINTR:
			err = io.EOF // or a reset: the loop has closed its end and left something unread
		}
		bridgeBuffers.Put(buffer)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// end takes the end of the session. What it has sent last may still be on its
// way.
func (b *bridge) end(cause Cause) {
	defer b.done()
	now := time.Now()
	_ = b.client.SetReadDeadline(now)
	if cause != Aborted {
		now = now.Add(lingerTime)
	}
	_ = b.client.SetWriteDeadline(now)
}

// done closes the bridge when its last part is done.
func (b *bridge) done() {
	if b.parts.Add(-1) == 0 {
		b.near.Close()
		b.client.Close()
	}
	b.group.Done()
}

// endWrite ends what is sent on a connection, if it can.
func endWrite(c net.Conn) error {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return errors.ErrUnsupported
}
