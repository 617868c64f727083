package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// A handshake that is not done is not done in a loop.
func TestJoinBeforeHandshake(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	for _, undone := range []func(*Pair){
		func(p *Pair) { p.Client = Server(p.Client, serverConfig(tls.VersionTLS13)) },
		func(p *Pair) { p.Upstream = Client(p.Upstream, clientConfig(tls.VersionTLS13)) },
	} {
		client, upstream, p := r.pairUp(t)
		undone(&p)
		p.Ended = func(e End) { t.Errorf("a session that never began ended: %+v", e) }
		if s, err := r.relay.Join(p); s != nil || err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("join: %v, %v", s, err)
		}
		client.cut()
		upstream.cut()
	}
}

// Whoever still holds the connection when the session has ended does no harm.
func TestTLSAfterTheEnd(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Loops: 1}, wssToWSS)
	l, p := r.meet(t)
	r.carry(l, p)
	l.client.reset() // TLS has not said good-bye to this one
	l.upstream.eof()
	l.hangUp()
	l.end(End{Cause: ClientLost})
	other := r.join(t)
	for _, conn := range []net.Conn{p.Client, p.Upstream} {
		if conn.LocalAddr() == nil || conn.RemoteAddr() == nil {
			t.Error("no address")
		}
		_ = conn.SetDeadline(time.Now())
		if n, err := conn.Write([]byte("late")); n != 0 || err == nil {
			t.Errorf("write: %d, %v", n, err)
		}
		_ = conn.Close()
	}
	hello := masked(textFrame, "hello")
	other.client.send(hello)
	other.upstream.bytes(hello)
	other.goodBye(sent(1, hello), Traffic{})
}

// An upstream's tickets, which come when the session is joined already, spare
// the next session half of its handshake.
func TestTicketsAreOfUse(t *testing.T) {
	t.Parallel()
	cache := tls.NewLRUClientSessionCache(1)
	r := startSecured(t, Options{}, upstream, tls.VersionTLS13, func(t testing.TB, d side, version uint16, near net.Conn, tcp *net.TCPConn) (*tls.Conn, *far) {
		return secureOver(t, d, version, near, &bed{TCPConn: tcp}, func(near, far *tls.Config) {
			near.ClientSessionCache = cache
			far.SetSessionTicketKeys([][32]byte{{1, 2, 3}})
		})
	})
	for i := range 3 {
		l, p := r.meet(t)
		if resumed := p.Upstream.(*tls.Conn).ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("connection %d: resumed %v", i, resumed)
		}
		r.carry(l, p)
		hello := unmasked(textFrame, "hello")
		l.upstream.send(hello)
		l.client.bytes(hello)
		l.goodBye(Traffic{}, sent(1, hello))
	}
}

// What came together with the end of the handshake is not lost: it is inside TLS
// when the session is joined, and nothing more comes. In TLS 1.3 the client has
// the last word of the handshake, before that the server.
func TestDataWithFinished(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 1000, 5000, 40_000} {
		for _, read := range []int{0, 7, 1 << 20} {
			for _, bye := range []bool{false, true} {
				name := fmt.Sprintf("%d bytes, %d of them read, close %v", size, read, bye)
				t.Run("client, "+name, func(t *testing.T) { testDataWithFinished(t, client, tls.VersionTLS13, size, read, bye) })
				t.Run("upstream, "+name, func(t *testing.T) { testDataWithFinished(t, upstream, tls.VersionTLS12, size, read, bye) })
			}
		}
	}
}

// Up to read bytes are read before the session is joined.
func testDataWithFinished(t *testing.T, d side, version uint16, size, read int, bye bool) {
	frameFrom := (&peer{masks: d == upstream}).frameFrom
	frames := [][]byte{frameFrom(binaryFrame, payload(randomness(t), size)), frameFrom(textFrame, "second")}
	if bye {
		frames = append(frames, frameFrom(closeFrame, body(1000, "")))
	}
	said := bytes.Join(frames, nil)
	l := startSecured(t, Options{}, d, version, speaking(said, bye)).join(t, func(p *Pair) {
		near, early := p.Client, &p.FromClient
		if d == upstream {
			near, early = p.Upstream, &p.FromUpstream
		}
		*early = make([]byte, min(read, len(said)))
		if _, err := io.ReadFull(near, *early); err != nil {
			t.Fatal(err)
		}
	})
	far, other := l.client, l.upstream
	if d == upstream {
		far, other = other, far
	}
	other.bytes(frames...)
	var traffic [2]Traffic
	traffic[d] = sent(2, frames...)
	if !bye {
		l.goodBye(traffic[0], traffic[1])
		return
	}
	answer := other.frameFrom(closeFrame, body(1000, ""))
	other.send(answer)
	far.bytes(answer)
	far.eof()
	other.eof()
	other.conn.Close() // the good-bye is all that the session gets of this side
	traffic[d.other()] = sent(0, answer)
	l.end(End{Cause: ClientClosed + Cause(d), Code: 1000, Client: traffic[0], Upstream: traffic[1]})
}

// speaking makes the far end send its last flight of the handshake together with
// its first data, and the good-bye if bye, in one write.
func speaking(first []byte, bye bool) secureFunc {
	return func(t testing.TB, d side, version uint16, near net.Conn, tcp *net.TCPConn) (*tls.Conn, *far) {
		b := &bed{TCPConn: tcp, corkBehind: 1}
		b.speak = func(far *tls.Conn) error {
			_, err := far.Write(first)
			if bye {
				err = errors.Join(err, far.CloseWrite())
			}
			return errors.Join(err, b.release())
		}
		return secureOver(t, d, version, near, b)
	}
}
