//go:build linux && !portable

package relay

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// checkEmpty checks that a relay that has stopped holds nothing of its sessions.
func checkEmpty(t testing.TB, r *Relay) {
	t.Helper()
	for i, l := range r.loops {
		if len(l.sessions) != 0 {
			t.Errorf("loop %d: %d sessions left", i, len(l.sessions))
		}
		for fd, s := range l.byFD {
			if s != nil {
				t.Errorf("loop %d: a session is left at descriptor %d", i, fd)
			}
		}
		for fd, w := range l.wires {
			if w != nil {
				t.Errorf("loop %d: TLS is left at descriptor %d", i, fd)
			}
		}
		for fd := range l.parked {
			t.Errorf("loop %d: a connection waits at descriptor %d", i, fd)
		}
		if len(l.orders) != 0 {
			t.Errorf("loop %d: %d orders left", i, len(l.orders))
		}
	}
}

// setOwnBuffers is setBuffers for a connection that the relay has opened.
func setOwnBuffers(near net.Conn, size int) {
	fd := int(near.(*conn).fd)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size)
}

// A session is small; the size of its memory at rest is a promise. The allocator
// has no size between 416 and 448 bytes.
func TestSessionSize(t *testing.T) {
	if n := unsafe.Sizeof(session{}); n > 416 {
		t.Errorf("a session takes %d bytes", n)
	}
	if n := unsafe.Sizeof(meter{}); n > 112 {
		t.Errorf("what a client sends is measured with %d bytes", n)
	}
	relay, err := New(Options{Loops: 1, Rate: Rate{Close: true, ByteBurst: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer relay.loops[0].closeFiles()
	if s := newSession(relay, Pair{}); s.meter != nil {
		t.Error("what nothing limits is measured")
	}
}

// notSocket is a connection that a loop cannot wait for.
type notSocket struct{ *os.File }

func (notSocket) LocalAddr() net.Addr  { return nil }
func (notSocket) RemoteAddr() net.Addr { return nil }

// A connection to an upstream that is no socket is refused, and both are closed.
func TestJoinWithoutSocket(t *testing.T) {
	r := start(t, Options{})
	f := func(name string, spoil func(p *Pair, c net.Conn)) {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			client, upstream, p := r.pairUp(t)
			spoil(&p, near)
			p.Ended = func(e End) { t.Errorf("a session that never began ended: %+v", e) }
			if s, err := r.relay.Join(p); s != nil || err == nil {
				t.Errorf("join: %v, %v", s, err)
			}
			if _, err := far.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("pipe: %v", err)
			}
			client.eof()
			upstream.eof()
		})
	}
	f("upstream", func(p *Pair, c net.Conn) { p.Upstream.Close(); p.Upstream = c })
	f("upstream, and a client that is none", func(p *Pair, c net.Conn) {
		p.Upstream.Close()
		p.Client, p.Upstream = opaque{p.Client}, c
	})
	f("closed before", func(p *Pair, c net.Conn) { c.Close(); p.Client.Close() })
}

// What the system does not let a loop wait for ends at once.
func TestJoinOfFile(t *testing.T) {
	r := start(t, Options{Loops: 1})
	for _, spoil := range []func(*Pair, net.Conn){
		func(p *Pair, c net.Conn) { p.Client.Close(); p.Client = c },
		func(p *Pair, c net.Conn) { p.Upstream.Close(); p.Upstream = c },
	} {
		file, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		client, upstream, p := r.pairUp(t)
		spoil(&p, notSocket{file})
		ended := make(chan End, 1)
		p.Ended = func(e End) { ended <- e }
		if _, err := r.relay.Join(p); err != nil {
			t.Fatalf("join: %v", err)
		}
		if e := <-ended; e.Cause != Aborted || e.Reason == "" {
			t.Errorf("ended with %+v", e)
		}
		client.eof()
		upstream.eof()
	}
	r.join(t).goodBye(Traffic{}, Traffic{})
}

// The queue of phases is never empty where sessions end all the time. It does
// not grow for that.
func TestExpiriesStaySmall(t *testing.T) {
	var q expiries
	gone := &session{phase: over}
	for now := range int64(100_000) {
		q.push(expiry{now + 50, gone, closing})
		q.expire(now)
		if at, ok := q.first(); !ok || at <= now {
			t.Fatalf("at %d the first ends at %d, %v", now, at, ok)
		}
	}
	if cap(q.queue) > 512 {
		t.Errorf("room for %d phases, 50 are under way", cap(q.queue))
	}
	q.expire(200_000)
	if _, ok := q.first(); ok || q.queue != nil {
		t.Error("not empty at the end")
	}
}

func TestChunks(t *testing.T) {
	var c chunks
	whole := []byte(payload(randomness(t), 600_000))
	var chunk []byte
	for cut := 0; cut < len(whole); cut += 3000 {
		chunk = c.extend(chunk, whole[cut:cut+3000])
	}
	if !bytes.Equal(chunk, whole) {
		t.Error("the chunk holds other bytes than were added")
	}
	if cap(chunk) != 1<<20 {
		t.Errorf("%d bytes in a chunk of %d", len(chunk), cap(chunk))
	}
	first := &chunk[0]
	c.put(chunk)
	if again := c.extend(nil, whole); &again[0] != first {
		t.Error("a chunk that was put back is not used again")
	}
	for k := range c.free { // each size on the way was put back, with no bytes in it
		if k < chunkClasses-1 && (len(c.free[k]) != 1 || len(c.free[k][0]) != 0 || cap(c.free[k][0]) != smallestChunk<<(2*k)) {
			t.Errorf("class %d: %d chunks kept", k, len(c.free[k]))
		}
	}
	huge := c.extend(nil, make([]byte, 2<<20))
	c.put(huge)
	for range 1000 {
		c.put(make([]byte, 0, smallestChunk))
	}
	kept := 0
	for _, list := range c.free {
		for _, b := range list {
			kept += cap(b)
		}
	}
	if kept > chunkClasses*chunksKept {
		t.Errorf("%d bytes kept", kept)
	}
}
