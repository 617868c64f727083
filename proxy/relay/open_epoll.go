//go:build linux && !portable

package relay

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func (r *Relay) pickLoop() *loop { return r.loops[r.next.Add(1)%uint32(len(r.loops))] }

// loopOf is the loop of a connection, or any if it is in none of ours.
func (r *Relay) loopOf(c net.Conn) *loop {
	c, _ = unwrap(c)
	if near, ok := c.(*conn); ok && near.loop.relay == r {
		return near.loop
	}
	return r.pickLoop()
}

func (r *Relay) listen(ln net.Listener) (net.Listener, error) {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return ln, nil
	}
	address := tcp.Addr()
	fd, err := takeDescriptor(tcp)
	if err != nil {
		return nil, err
	}
	// Accepted sockets inherit it.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	return &acceptor{newConn(r.pickLoop(), int32(fd), netip.AddrPort{}), address, r}, nil
}

// acceptor accepts connections that wait in the loops. It waits in one itself.
type acceptor struct {
	socket  *conn
	address net.Addr
	relay   *Relay
}

// Accept implements [net.Listener].
func (a *acceptor) Accept() (net.Conn, error) {
	for {
		c := a.socket
		c.mu.Lock()
		if c.fd < 0 {
			c.mu.Unlock()
			return nil, net.ErrClosed
		}
		c.events.Store(0)
		fd, remote, errno := rawAccept(c.fd)
		c.mu.Unlock()
		switch errno {
		case 0:
			return newConn(a.relay.pickLoop(), fd, remote), nil
		case unix.EINTR:
		case unix.EAGAIN:
			if err := c.wait(arrival, time.Time{}); err != nil {
				return nil, err
			}
		default:
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: a.address, Err: os.NewSyscallError("accept4", errno)}
		}
	}
}

// Addr implements [net.Listener].
func (a *acceptor) Addr() net.Addr { return a.address }

// Close implements [net.Listener].
func (a *acceptor) Close() error { return a.socket.Close() }

func (r *Relay) dial(beside net.Conn, address netip.AddrPort, deadline time.Time) (net.Conn, error) {
	fail := func(call string, err error) error {
		if call != "" {
			err = os.NewSyscallError(call, err)
		}
		return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(address), Err: err}
	}
	address = netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	family := unix.AF_INET
	if address.Addr().Is6() {
		family = unix.AF_INET6
	}
	zone, err := zoneIndex(address.Addr().Zone())
	if err != nil {
		return nil, fail("", err)
	}
	fd, errno := rawSocket(family)
	if errno != 0 {
		return nil, fail("socket", errno)
	}
	c := newConn(r.loopOf(beside), fd, address)
	c.writeBy = deadline
	switch errno := rawConnect(fd, address, zone); errno {
	case 0, unix.EINPROGRESS, unix.EINTR:
		if err = c.connected(); err == nil {
			// The next thing is to wait for the answer.
			err = c.register(arrival)
		}
	default:
		err = os.NewSyscallError("connect", errno)
	}
	if err != nil {
		c.Close()
		return nil, fail("", err)
	}
	return c, nil
}

// connected waits until the socket is connected. To an upstream on the same
// host it is already.
func (c *conn) connected() error {
	for {
		c.events.And(^uint32(unix.EPOLLOUT))
		if done, err := c.outcome(); done || err != nil {
			return err
		}
		if err := c.wait(departure, c.writeBy); err != nil {
			return err
		}
	}
}

// outcome reports whether the socket is connected, or why it will not be. The
// loop may close it meanwhile.
func (c *conn) outcome() (connected bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return false, net.ErrClosed
	}
	if _, errno := socketName(unix.SYS_GETPEERNAME, c.fd); errno == 0 {
		return true, nil
	}
	errno, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = syscall.Errno(errno)
	}
	if err != nil {
		return false, os.NewSyscallError("connect", err)
	}
	return false, nil
}

// zoneIndex turns the zone of an IPv6 address into the number of its interface.
func zoneIndex(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}
