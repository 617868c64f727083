//go:build linux && !portable

package relay

import (
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

const (
	// acceptBudget is how many clients a door lets in before sessions get their turn.
	acceptBudget = 8
	// roomPause is how long, in ms, a door stays shut that has no room; shortagePause
	// how long at first when there is nothing to be had of the system, and each time
	// twice as long up to longestPause.
	roomPause     = 1
	shortagePause = 5
	longestPause  = 1000
)

// door is a listener whose clients are guests. One loop looks after it, and gives
// the clients to all loops by turns.
type door struct {
	relay     *Relay
	reception *Reception
	address   net.Addr

	fd    int32
	epoll int // of the loop that looks after it

	mu     sync.Mutex // held during each system call, and while a client is let in
	closed bool       // and fd may be another file's

	// For the loop.
	knocked bool  // somebody waits
	shut    bool  // it is not watched, until
	opens   int64 // ms
	length  int64 // of the last pause for a shortage, ms
}

func (r *Relay) receive(ln net.Listener, reception *Reception) (net.Listener, error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil, ErrNoReception
	}
	address := tcp.Addr()
	fd, err := takeDescriptor(tcp)
	if err != nil {
		return nil, err
	}
	// Accepted sockets inherit it.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	l := r.pickLoop()
	d := &door{relay: r, reception: reception, address: address, fd: int32(fd), epoll: l.epoll}
	if !l.post(order{kind: watchDoor, door: d}) {
		d.Close()
		return nil, net.ErrClosed
	}
	return d, nil
}

// Accept implements [net.Listener]: nobody is accepted in this way.
func (d *door) Accept() (net.Conn, error) { return nil, io.EOF }

// Addr implements [net.Listener].
func (d *door) Addr() net.Addr { return d.address }

// Close implements [net.Listener]. When it returns, nobody comes any more.
func (d *door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return net.ErrClosed
	}
	d.closed = true
	// Closing it is not enough if somebody else has the same socket, who gave it to us.
	// It is an error, and no harm, if it was not watched yet.
	_ = rawWatch(d.epoll, unix.EPOLL_CTL_DEL, d.fd, 0)
	rawClose(d.fd)
	return nil
}

// watch has the loop told of clients, or not: all that wait, as long as they do.
func (l *loop) watch(d *door, operation int, what uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	if err := rawWatch(l.epoll, operation, d.fd, what); err != nil {
		d.reception.Broken(os.NewSyscallError("epoll_ctl", err))
	}
}

// doorAt finds a door by its descriptor.
func (l *loop) doorAt(fd int) *door {
	for _, d := range l.doors {
		if int(d.fd) == fd && !d.isClosed() {
			return d
		}
	}
	return nil
}

func (d *door) isClosed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed
}

// letIn lets clients in who wait at the door.
func (l *loop) letIn(d *door) {
	for range acceptBudget {
		if !d.reception.Room() {
			l.shutFor(d, roomPause)
			return
		}
		g, err := d.accept()
		switch {
		case g != nil:
			l.give(g)
		case err == nil:
			return
		default:
			d.reception.Broken(err)
			d.length = min(max(2*d.length, shortagePause), longestPause)
			l.shutFor(d, d.length)
			return
		}
	}
}

// accept lets one client in. It returns nil and no error if nobody waits.
func (d *door) accept() (*Guest, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.closed {
		fd, remote, errno := rawAccept(d.fd)
		switch errno {
		case 0:
			d.length = 0
			g := &Guest{loop: d.relay.pickLoop(), reception: d.reception, remote: remote, fd: [...]int32{fd, -1}, stage: limbo}
			g.patience = d.reception.Come()
			return g, nil
		case unix.EAGAIN:
			return nil, nil
		case unix.EINTR, unix.ECONNABORTED:
		default:
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: d.address, Err: os.NewSyscallError("accept4", errno)}
		}
	}
	return nil, nil
}

// give gives a guest to its loop.
func (l *loop) give(g *Guest) {
	switch {
	case g.loop == l:
		l.welcome(g)
	case !g.loop.post(order{kind: welcome, guest: g}):
		rawClose(g.fd[client])
		g.reception.Over(g)
	}
}

// welcome takes a guest into the loop.
func (l *loop) welcome(g *Guest) {
	fd := g.fd[client]
	l.guests.set(fd, g)
	if g.patience > 0 {
		g.enter(arriving, l.clock+inMS(g.patience))
	}
	if err := rawWatch(l.epoll, unix.EPOLL_CTL_ADD, fd, interest); err != nil {
		g.reception.Broken(os.NewSyscallError("epoll_ctl", err))
		g.end()
		return
	}
	if g.patience <= 0 {
		g.reception.Heard(g)
	}
}

// shutFor stops watching a door for some milliseconds.
func (l *loop) shutFor(d *door, pause int64) {
	d.shut, d.opens = true, l.clock+pause
	l.watch(d, unix.EPOLL_CTL_MOD, 0)
}

// openDoors watches doors again whose pause is over, and forgets those that were
// closed.
func (l *loop) openDoors() {
	for i := 0; i < len(l.doors); i++ {
		switch d := l.doors[i]; {
		case d.isClosed():
			last := len(l.doors) - 1
			l.doors[i], l.doors[last] = l.doors[last], nil
			l.doors = l.doors[:last]
			i--
		case d.shut && d.opens <= l.clock:
			d.shut = false
			l.watch(d, unix.EPOLL_CTL_MOD, unix.EPOLLIN)
		}
	}
}
