package relay

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// eachOpened runs f with a connection that the relay has accepted and with one
// that it has dialed.
func eachOpened(t *testing.T, r *rig, f func(t *testing.T, near net.Conn, far *peer)) {
	t.Helper()
	t.Run("accepted", func(t *testing.T) {
		far, near := r.connect(t, r.door)
		defer far.Close()
		defer near.Close()
		_ = near.SetDeadline(time.Now().Add(patience))
		f(t, near, newPeer(t, "client", false, bare(far)))
	})
	t.Run("dialed", func(t *testing.T) {
		near, far := r.dial(t, nil)
		defer far.Close()
		defer near.Close()
		_ = near.SetDeadline(time.Now().Add(patience))
		f(t, near, newPeer(t, "upstream", true, bare(far)))
	})
}

// Before they are joined, connections that the relay has opened are like others.
func TestOpened(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	eachOpened(t, r, func(t *testing.T, near net.Conn, far *peer) {
		if a, b := near.LocalAddr().String(), far.conn.RemoteAddr().String(); a != b {
			t.Errorf("local address %s, seen from there %s", a, b)
		}
		if a, b := near.RemoteAddr().String(), far.conn.LocalAddr().String(); a != b {
			t.Errorf("remote address %s, there it is %s", a, b)
		}
		if n, err := near.Read(nil); n != 0 || err != nil {
			t.Errorf("read of nothing: %d, %v", n, err)
		}
		for _, line := range []string{"one", "two", "three"} {
			buffer := make([]byte, 100)
			got := make(chan string, 1)
			go func() {
				n, err := near.Read(buffer)
				if err != nil {
					t.Errorf("read: %v", err)
				}
				got <- string(buffer[:n])
			}()
			far.send([]byte(line))
			if s := <-got; s != line {
				t.Errorf("read %q, want %q", s, line)
			}
			if n, err := near.Write([]byte(line)); n != len(line) || err != nil {
				t.Errorf("write: %d, %v", n, err)
			}
			far.bytes([]byte(line))
		}
		far.send([]byte("the end"))
		far.fin()
		if b, err := io.ReadAll(near); string(b) != "the end" || err != nil {
			t.Errorf("read to the end: %q, %v", b, err)
		}
		if n, err := near.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("read behind the end: %d, %v", n, err)
		}
		if err := near.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Errorf("close for writing: %v", err)
		}
		far.eof()
	})
}

// More than the sockets hold goes both ways at once.
func TestOpenedMovesMuch(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	eachOpened(t, r, func(t *testing.T, near net.Conn, far *peer) {
		much := bytes.Repeat([]byte(noise), 6)
		wrote := make(chan error, 2)
		go func() {
			_, err := far.conn.Write(much)
			wrote <- err
		}()
		if got, err := io.ReadAll(io.LimitReader(near, int64(len(much)))); err != nil || !bytes.Equal(got, much) {
			t.Errorf("read %d of %d bytes: %v", len(got), len(much), err)
		}
		go func() {
			_, err := near.Write(much)
			wrote <- err
		}()
		far.bytes(much)
		for range 2 {
			if err := <-wrote; err != nil {
				t.Errorf("write: %v", err)
			}
		}
	})
}

func TestOpenedDeadlines(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	eachOpened(t, r, func(t *testing.T, near net.Conn, far *peer) {
		late := func(name string, n int, err error) {
			t.Helper()
			var timeout net.Error
			if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("%s: %d, %v", name, n, err)
			}
		}
		began := time.Now()
		_ = near.SetReadDeadline(began.Add(50 * time.Millisecond))
		n, err := near.Read(make([]byte, 1))
		late("read", n, err)
		if waited := time.Since(began); waited < 45*time.Millisecond {
			t.Errorf("read waited %v", waited)
		}
		n, err = near.Read(make([]byte, 1))
		late("read after the deadline", n, err)
		_ = near.SetDeadline(time.Time{})
		far.send([]byte("x"))
		if n, err := near.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read without deadline: %d, %v", n, err)
		}
		much := make([]byte, 64<<20)
		_ = near.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err = near.Write(much)
		if n <= 0 || n >= len(much) {
			t.Errorf("%d bytes written to somebody who does not read", n)
		}
		late("write", 0, err)
	})
}

func TestOpenedEnds(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	eachOpened(t, r, func(t *testing.T, near net.Conn, far *peer) {
		read := make(chan error, 1)
		go func() {
			_, err := near.Read(make([]byte, 1))
			read <- err
		}()
		if err := near.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read during close: %v", err)
		}
		if n, err := near.Read(make([]byte, 1)); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after close: %d, %v", n, err)
		}
		if n, err := near.Write([]byte("x")); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after close: %d, %v", n, err)
		}
		if err := near.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
		far.eof()
	})
	eachOpened(t, r, func(t *testing.T, near net.Conn, far *peer) {
		far.reset()
		if n, err := near.Read(make([]byte, 1)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read after reset: %d, %v", n, err)
		}
	})
}

func TestListenerEnds(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	address := r.door.Addr().String()
	// A connection keeps the port from being given to another listener.
	far, near := r.connect(t, r.door)
	defer far.Close()
	defer near.Close()
	accepted := make(chan error, 1)
	go func() {
		_, err := r.door.Accept()
		accepted <- err
	}()
	if err := r.door.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept during close: %v", err)
	}
	if _, err := r.door.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
	if a := r.door.Addr().String(); a != address {
		t.Errorf("address %s, was %s", a, address)
	}
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial of a closed listener: %v", err)
	}
}

func TestListenOfOtherKind(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Skip(err)
	}
	defer ln.Close()
	if got, err := r.relay.Listen(ln); got != ln || err != nil {
		t.Errorf("listen: %v, %v", got, err)
	}
}

func TestDialFails(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	// Nobody listens at the local end of a connection, and nobody will.
	dialed, accepted := r.pair(t)
	defer dialed.Close()
	defer accepted.Close()
	address := dialed.LocalAddr().(*net.TCPAddr).AddrPort()
	if c, err := r.relay.Dial(nil, address, time.Now().Add(patience)); c != nil || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial of nobody: %v, %v", c, err)
	}
	zone := netip.AddrPortFrom(netip.MustParseAddr("fe80::1%no-such-interface"), 80)
	if c, err := r.relay.Dial(nil, zone, time.Now().Add(patience)); c != nil || err == nil {
		t.Errorf("dial into no zone: %v, %v", c, err)
	}
}

func TestDialIPv6(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip(err)
	}
	defer ln.Close()
	address := ln.Addr().(*net.TCPAddr).AddrPort()
	c, err := r.relay.Dial(nil, address, time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.RemoteAddr().String(); got != address.String() {
		t.Errorf("remote address %s", got)
	}
	far := r.accept(t, ln, c)
	far.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v", err)
	}
}

// Whatever was read before the join and whenever the rest came: nothing is lost
// on the way from one owner to the next.
func TestJoinInTheMiddle(t *testing.T) { eachScheme(t, everywhere, testJoinInTheMiddle) }

func testJoinInTheMiddle(t *testing.T, over scheme) {
	r := start(t, Options{Loops: 3}, over)
	random := randomness(t)
	for i := range over.times(200) {
		l, near := r.meet(t)
		if i%5 == 0 { // opened in another loop than the client's, perhaps
			l.upstream.conn.Close()
			near.Upstream.Close()
			dialed, tcp := r.dial(t, nil)
			var far *far
			near.Upstream, far = r.dress(t, upstream, dialed, tcp)
			l.upstream = newPeer(t, "upstream", true, far)
		}
		c, messagesC := conversation(random, masked, 3000)
		u, messagesU := conversation(random, unmasked, 3000)
		fromClient, fromUpstream := bytes.Join(c, nil), bytes.Join(u, nil)
		sentC, sentU := random.IntN(len(fromClient)+1), random.IntN(len(fromUpstream)+1)
		l.client.send(fromClient[:sentC])
		l.upstream.send(fromUpstream[:sentU])
		near.FromClient = readSome(t, random, near.Client, sentC)
		near.FromUpstream = readSome(t, random, near.Upstream, sentU)
		if random.IntN(2) == 0 {
			l.client.send(fromClient[sentC:])
			sentC = len(fromClient)
		}
		r.carry(l, near)
		l.client.send(fromClient[sentC:])
		l.upstream.send(fromUpstream[sentU:])
		l.client.bytes(fromUpstream)
		l.upstream.bytes(fromClient)
		l.goodBye(sent(messagesC, fromClient), sent(messagesU, fromUpstream))
	}
}

// readSome reads some of n bytes that are there or on the way.
func readSome(t testing.TB, random *rand.Rand, near net.Conn, n int) []byte {
	t.Helper()
	var got []byte
	for n > 0 && random.IntN(3) > 0 {
		p := make([]byte, 1+random.IntN(n))
		if random.IntN(4) == 0 {
			p = make([]byte, 8<<10)
		}
		k, err := near.Read(p)
		if err != nil {
			t.Fatalf("read before the join: %v", err)
		}
		got = append(got, p[:k]...)
		n -= k
	}
	return got
}

// The deadlines of the handshakes are not those of the session.
func TestJoinAfterDeadlines(t *testing.T) { eachScheme(t, everywhere, testJoinAfterDeadlines) }

func testJoinAfterDeadlines(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	for i := range 4 {
		l, p := r.meet(t)
		if i == 3 && over[client] == 0 { // opened by somebody else
			hide(&p)
		}
		for _, conn := range []net.Conn{p.Client, p.Upstream} {
			if err := conn.SetDeadline(time.Now().Add(-time.Second)); err != nil {
				t.Fatal(err)
			}
		}
		r.carry(l, p)
		c, u := masked(textFrame, "hello"), unmasked(textFrame, "hello")
		l.client.send(c)
		l.upstream.bytes(c)
		l.upstream.send(u)
		l.client.bytes(u)
		l.goodBye(sent(1, c), sent(1, u))
	}
}

// An end that comes before the join is seen by the session.
func TestJoinAfterTheEnd(t *testing.T) { eachScheme(t, everywhere, testJoinAfterTheEnd) }

func testJoinAfterTheEnd(t *testing.T, over scheme) {
	r := start(t, Options{}, over)
	for range 10 {
		eachWayToGo(t, func(t *testing.T, leave func(*peer)) {
			l, p := r.meet(t)
			hello := masked(textFrame, "hello")
			l.client.send(hello)
			p.FromClient = make([]byte, 3)
			if _, err := io.ReadFull(p.Client, p.FromClient); err != nil {
				t.Fatal(err)
			}
			leave(l.client)
			r.carry(l, p)
			l.upstream.bytes(hello)
			l.upstream.eof()
			l.hangUp()
			l.end(End{Cause: ClientLost, Client: sent(1, hello)})
		})
	}
}

// A connection that had to wait for room before it was joined still gets word of
// it afterwards.
func TestJoinAfterMuchWriting(t *testing.T) { eachScheme(t, plainAndTLS, testJoinAfterMuchWriting) }

func testJoinAfterMuchWriting(t *testing.T, over scheme) {
	r := startSmall(t, Options{}, over)
	random := randomness(t)
	for range 2 {
		l, near := r.meet(t)
		smallSockets(&near)
		setBuffers(l.client.conn, smallBuffer)
		setBuffers(l.upstream.conn, smallBuffer)
		head := []byte(payload(random, 100_000))
		wrote := make(chan error, 1)
		for _, d := range []struct {
			near net.Conn
			far  *peer
		}{{near.Client, l.client}, {near.Upstream, l.upstream}} {
			go func() {
				_, err := d.near.Write(head)
				wrote <- err
			}()
			d.far.bytes(head)
			if err := <-wrote; err != nil {
				t.Fatal(err)
			}
		}
		r.carry(l, near)
		var frames [2][][]byte
		for d, p := range []*peer{l.client, l.upstream} {
			for range 4 {
				frames[d] = append(frames[d], p.frameFrom(binaryFrame, payload(random, 60_000)))
			}
		}
		l.talk(random, 1<<20, frames[0], frames[1])
		l.goodBye(sent(4, frames[0]...), sent(4, frames[1]...))
	}
}
