package relay

import (
	"crypto/tls"
	"net"
	"testing"
	"time"
)

// smallBuffer is a socket buffer that makes sockets full soon. The kernel
// doubles it.
const smallBuffer = 4 << 10

// startSmall is start with connections whose segments are shorter than small
// socket buffers. With the long segments of a loopback interface such sockets
// would wait for timers of the kernel most of the time.
func startSmall(t testing.TB, o Options, s ...scheme) *rig {
	t.Helper()
	own, door := listen(t), listen(t)
	shortenSegments(t, own)
	shortenSegments(t, door)
	r := prepare(t, o, own, door, s...)
	r.run()
	return r
}

// smallSockets gives the relay's ends small socket buffers.
func smallSockets(p *Pair) {
	setBuffers(p.Client, smallBuffer)
	setBuffers(p.Upstream, smallBuffer)
}

// setBuffers sets the sizes of both buffers of a socket. They do not grow then.
func setBuffers(conn net.Conn, size int) {
	switch c := conn.(type) {
	case *far:
		conn = c.tcp
	case *tls.Conn:
		conn = belowTLS(c)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(size)
		_ = tcp.SetWriteBuffer(size)
	} else {
		setOwnBuffers(conn, size)
	}
}

// belowTLS is the connection under TLS, before it is joined.
func belowTLS(t *tls.Conn) net.Conn { return t.NetConn().(*wire).Conn }

// joinSmall makes a session all of whose sockets are small.
func (r *rig) joinSmall(t testing.TB, setup ...func(*Pair)) *link {
	t.Helper()
	l := r.join(t, append(setup, smallSockets)...)
	setBuffers(l.client.conn, smallBuffer)
	setBuffers(l.upstream.conn, smallBuffer)
	return l
}

// fill sends b until nothing has been taken for a while, which must happen
// before the end of b, and returns what was not taken.
func (p *peer) fill(b []byte) (rest []byte) {
	p.t.Helper()
	for len(b) > 0 {
		n, err := p.conn.offer(b[:min(len(b), 32<<10)], 200*time.Millisecond)
		if err != nil {
			p.t.Fatalf("%s: fill: %v", p.name, err)
		}
		if n == 0 {
			return b
		}
		b = b[n:]
	}
	p.t.Fatalf("%s: all was taken, and nobody has read it", p.name)
	return nil
}
