package secure

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/epoll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func certificates(t *testing.T) (*authority.Authority, *tls.Config) {
	t.Helper()
	a, err := authority.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	server, err := authority.Server(a.CertFile, a.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return a, server
}

// pair is two sockets that do not block.
func pair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

// table lets some connections live in one loop, on one thread.
type table struct {
	t      *testing.T
	poller *epoll.Poller
	conns  []*Conn
}

func seat(t *testing.T, conns ...*Conn) *table {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	p, err := epoll.New(8)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	for i, c := range conns {
		if err := p.Add(c.wire.fd, i); err != nil {
			t.Fatal(err)
		}
	}
	return &table{t, p, conns}
}

// until calls ready for each event until it reports that all is done.
func (l *table) until(ready func(*Conn) bool) {
	l.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		events, err := l.poller.Wait(time.Second)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, e := range events {
			c := l.conns[e.Slot]
			c.Woken(e.Flags)
			if ready(c) {
				return
			}
		}
	}
	l.t.Fatal("not within a minute")
}

// greet does the handshakes of both ends.
func (l *table) greet() {
	l.t.Helper()
	l.until(func(c *Conn) bool {
		if _, err := c.Handshake(); err != nil {
			l.t.Fatal(err)
		}
		return l.conns[0].Done() && l.conns[1].Done()
	})
}

// Data of all sizes passes in both directions at once, also when the sockets are full.
func TestBothWays(t *testing.T) {
	a, server := certificates(t)
	x, y := pair(t)
	clients := a.Clients(authority.Full)
	left, right := Client(x, clients.Config()), Server(y, server)
	l := seat(t, left, right)
	l.greet()
	if all, resumed := clients.Done(); all != 1 || resumed != 0 || left.State().CurveID != tls.X25519 {
		t.Errorf("%d handshakes, %d resumed, %v", all, resumed, left.State().CurveID)
	}
	type end struct{ send, got []byte }
	ends := map[*Conn]*end{left: {send: bytes.Repeat([]byte("to the right "), 100_000)}, right: {send: bytes.Repeat([]byte("left "), 200_000)}}
	want := map[*Conn][]byte{left: ends[right].send, right: ends[left].send}
	buf := make([]byte, 1<<20)
	var full bool
	step := func(c *Conn) bool {
		e := ends[c]
		for c.Flush() == 0 && len(e.send) > 0 {
			n, errno := c.Write(e.send)
			if errno != 0 {
				t.Fatal(errno, c.Err())
			}
			e.send = e.send[n:]
		}
		full = full || c.Pending()
		for {
			n, errno := c.Read(buf)
			if errno == unix.EAGAIN {
				break
			}
			if errno != 0 || n == 0 {
				t.Fatal(n, errno, c.Err())
			}
			e.got = append(e.got, buf[:n]...)
		}
		return len(ends[left].got) == len(want[left]) && len(ends[right].got) == len(want[right])
	}
	step(left) // the last event has gone by
	l.until(step)
	for c, e := range ends {
		if !bytes.Equal(e.got, want[c]) {
			t.Error("what came is not what was sent")
		}
	}
	if !full {
		t.Error("no socket was ever full: the test shows nothing")
	}
	if err := unix.Shutdown(x, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	l.until(func(c *Conn) bool {
		if c != right {
			return false
		}
		n, errno := c.Read(buf)
		if n != 0 || errno != 0 {
			t.Errorf("%d, %v at the end", n, errno)
		}
		return true
	})
}

// A ticket of the first handshake makes the next one short.
func TestResumed(t *testing.T) {
	a, server := certificates(t)
	clients := a.Clients(authority.Resumed)
	for i := range 3 {
		t.Run("", func(t *testing.T) {
			x, y := pair(t)
			left, right := Client(x, clients.Config()), Server(y, server)
			l := seat(t, left, right)
			l.greet()
			if _, errno := right.Write([]byte("hello")); errno != 0 { // the ticket stands before it
				t.Fatal(errno)
			}
			buf := make([]byte, 100)
			l.until(func(c *Conn) bool {
				n, errno := left.Read(buf)
				return errno == 0 && string(buf[:n]) == "hello"
			})
			if all, resumed := clients.Done(); all != int64(i+1) || resumed != int64(i) {
				t.Errorf("%d handshakes, %d resumed", all, resumed)
			}
		})
	}
}

// A server that chooses what was not asked for is no partner.
func TestOtherSettings(t *testing.T) {
	a, server := certificates(t)
	server.CurvePreferences = []tls.CurveID{tls.X25519}
	_, other := certificates(t)
	for name, row := range map[string]struct {
		manner authority.Manner
		server *tls.Config
	}{"curve": {authority.Hybrid, server}, "certificate": {authority.Full, other}} {
		t.Run(name, func(t *testing.T) {
			x, y := pair(t)
			left, right := Client(x, a.Clients(row.manner).Config()), Server(y, row.server)
			l := seat(t, left, right)
			var err error
			l.until(func(c *Conn) bool {
				_, err = c.Handshake()
				return err != nil
			})
			left.Drop()
			right.Drop()
		})
	}
}

func TestNoTLS(t *testing.T) {
	_, server := certificates(t)
	x, y := pair(t)
	right := Server(y, server)
	l := seat(t, right)
	if _, err := unix.Write(x, []byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	l.until(func(c *Conn) bool {
		done, err := c.Handshake()
		if done {
			t.Fatal("a handshake with HTTP")
		}
		return err != nil
	})
	if right.Err() == nil {
		t.Error("no cause is kept")
	}
}

// What goes wrong later has a cause, and a handshake that is dropped leaves nothing behind (see TestMain).
func TestEnds(t *testing.T) {
	a, server := certificates(t)
	x, y := pair(t)
	left, right := Client(x, a.Clients(authority.Full).Config()), Server(y, server)
	l := seat(t, left, right)
	l.greet()
	if _, err := unix.Write(x, []byte("\x17\x03\x03\x00\x05wrong")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	l.until(func(c *Conn) bool {
		if c != right {
			return false
		}
		_, errno := c.Read(buf)
		return errno == unix.EPROTO
	})
	if right.Err() == nil {
		t.Error("EPROTO without a cause")
	}

	x, _ = pair(t)
	half := Client(x, a.Clients(authority.Full).Config())
	if done, err := half.Handshake(); done || err != nil {
		t.Errorf("%t, %v with nobody there", done, err)
	}
	half.Drop()
	half.Drop()
	if done, err := half.Handshake(); done || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%t, %v after the drop", done, err)
	}
}

// The other end may be any implementation; this one waits in a goroutine.
func TestWithUsualPartner(t *testing.T) {
	a, _ := certificates(t)
	server, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{server}})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c)
		_ = c.Close()
	}()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer epoll.Reset(fd)
	at := ln.Addr().(*net.TCPAddr)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())}); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		t.Fatal(err)
	}
	c := Client(fd, a.Clients(authority.Hybrid).Config())
	l := seat(t, c)
	l.until(func(*Conn) bool {
		done, err := c.Handshake()
		if err != nil {
			t.Fatal(err)
		}
		return done
	})
	if _, errno := c.Write([]byte("echo")); errno != 0 {
		t.Fatal(errno)
	}
	buf := make([]byte, 100)
	l.until(func(*Conn) bool {
		n, errno := c.Read(buf)
		return errno == 0 && string(buf[:n]) == "echo"
	})
}
