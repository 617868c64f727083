package emulator

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// reopenWithin bounds how long reopen retries: another process may hold the
// port for a moment, for example as the local end of an outgoing connection.
const reopenWithin = 5 * time.Second

// A connKind says what a connection is used for; only the emulator's handlers
// know, so they tell the door.
type connKind int

const (
	plainConn   connKind = iota // HTTP, or nothing yet
	sessionConn                 // upgraded to a WebSocket
	controlConn                 // carries the control request being served
	anyConn                     // selects all kinds
)

// door is a net.Listener whose port can be closed and opened again under a
// server that keeps running, and which knows every connection that came in.
type door struct {
	mu      sync.Mutex
	addr    string       // host:port once bound, the same for every reopening
	inner   net.Listener // nil while the port is closed
	reset   bool         // connections are reset as soon as they are accepted
	closed  bool
	changed chan struct{} // closed and replaced whenever Accept must look again
	conns   map[*doorConn]struct{}
}

// doorConn is a connection that leaves the door's books when it is closed.
type doorConn struct {
	net.Conn
	door *door
	kind connKind // guarded by door.mu
}

func newDoor() *door {
	return &door{changed: make(chan struct{}), conns: make(map[*doorConn]struct{})}
}

func (d *door) open(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inner, d.addr = ln, ln.Addr().String()
	d.wakeLocked()
	return nil
}

func (d *door) wakeLocked() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *door) address() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.addr
}

// Accept waits, if need be through times when the port is closed, for the next
// connection that may be served.
func (d *door) Accept() (net.Conn, error) {
	for {
		d.mu.Lock()
		inner, changed, closed := d.inner, d.changed, d.closed
		d.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		if inner == nil {
			<-changed
			continue
		}
		c, err := inner.Accept()
		if err != nil {
			if d.replaced(inner) {
				continue
			}
			return nil, err
		}
		if dc := d.admit(c); dc != nil {
			return dc, nil
		}
	}
}

// replaced reports whether ln is no longer the listener, so that its error
// means nothing.
func (d *door) replaced(ln net.Listener) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inner != ln
}

// admit books c, or ends it and returns nil when the door lets nobody in.
func (d *door) admit(c net.Conn) *doorConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.reset || d.closed || d.inner == nil {
		resetConn(c)
		return nil
	}
	dc := &doorConn{Conn: c, door: d}
	d.conns[dc] = struct{}{}
	return dc
}

// resetConn closes c so that the peer gets an RST instead of a FIN.
func resetConn(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		// A connection that is already dead needs no RST.
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// shut closes the port: the kernel refuses what comes next and resets what it
// had queued.
func (d *door) shut() error {
	d.mu.Lock()
	inner := d.inner
	d.inner = nil
	d.wakeLocked()
	d.mu.Unlock()
	if inner == nil {
		return nil
	}
	return inner.Close()
}

// reopen binds the same address again. It is a no-op while the port is open.
func (d *door) reopen() error {
	deadline := time.Now().Add(reopenWithin)
	for {
		d.mu.Lock()
		addr, open, closed := d.addr, d.inner != nil, d.closed
		d.mu.Unlock()
		if closed {
			return ErrClosed
		}
		if open {
			return nil
		}
		ln, err := net.Listen("tcp", addr)
		if err == nil {
			return d.install(ln)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("listen again: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// install makes ln the listener unless the door was closed meanwhile.
func (d *door) install(ln net.Listener) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = ln.Close()
		return ErrClosed
	}
	d.inner = ln
	d.wakeLocked()
	return nil
}

func (d *door) setReset(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reset = on
}

// mark books what a connection is used for from now on.
func (d *door) mark(c *doorConn, kind connKind) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c.kind = kind
}

// cut closes the connections of one kind.
func (d *door) cut(kind connKind) {
	for _, c := range d.list(func(k connKind) bool { return kind == anyConn || k == kind }) {
		_ = c.Close()
	}
}

// resetAll resets every connection but the one that carries the command.
func (d *door) resetAll() {
	for _, c := range d.list(func(k connKind) bool { return k != controlConn }) {
		if t, ok := c.Conn.(*net.TCPConn); ok {
			_ = t.SetLinger(0)
		}
		_ = c.Close()
	}
}

func (d *door) list(want func(connKind) bool) []*doorConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	var cs []*doorConn
	for c := range d.conns {
		if want(c.kind) {
			cs = append(cs, c)
		}
	}
	return cs
}

// Close ends Accept for good. Connections stay.
func (d *door) Close() error {
	d.mu.Lock()
	inner, was := d.inner, d.closed
	d.inner, d.closed = nil, true
	d.wakeLocked()
	d.mu.Unlock()
	if was || inner == nil {
		return nil
	}
	return inner.Close()
}

// Addr implements net.Listener.
func (d *door) Addr() net.Addr {
	a, err := net.ResolveTCPAddr("tcp", d.address())
	if err != nil {
		return &net.TCPAddr{}
	}
	return a
}

// Close takes the connection out of the books and closes it.
func (c *doorConn) Close() error {
	err := c.Conn.Close()
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	delete(c.door.conns, c)
	return err
}

type doorConnKey struct{}

// withDoorConn is the server's ConnContext: handlers find their connection with
// doorConnOf.
func withDoorConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, doorConnKey{}, c)
}

// doorConnOf returns nil for a request that did not come through the door.
func doorConnOf(ctx context.Context) *doorConn {
	c, _ := ctx.Value(doorConnKey{}).(*doorConn)
	return c
}
