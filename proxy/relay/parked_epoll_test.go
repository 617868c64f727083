//go:build linux && !portable

package relay

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// parked returns how many connections wait for the word of a loop.
func (r *rig) parked() int {
	n := 0
	for _, l := range r.relay.loops {
		l.parkMu.Lock()
		n += len(l.parked)
		l.parkMu.Unlock()
	}
	return n
}

// wantsParked waits until so many connections wait for the word of a loop.
func (r *rig) wantsParked(t testing.TB, n int) {
	t.Helper()
	if !within(patience, func() bool { return r.parked() == n }) {
		t.Fatalf("%d connections wait, want %d", r.parked(), n)
	}
}

// wantsClosed reads from a channel that an operation has found its connection
// closed.
func wantsClosed(t testing.TB, what string, result <-chan error) {
	t.Helper()
	select {
	case err := <-result:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(patience):
		t.Fatalf("%s goes on", what)
	}
}

// wantsEnd reads a connection to its end, orderly or not, and closes it.
func wantsEnd(t testing.TB, far *net.TCPConn) {
	t.Helper()
	defer far.Close()
	_ = far.SetDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, far); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("far end: %v", err)
	}
}

// background runs f and sends its error.
func background(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	return result
}

// Whoever waits for a connection that is not joined yet learns at once that the
// relay has stopped, whatever deadline there is, and no descriptor is left.
func TestStopClosesWhatWaits(t *testing.T) {
	start(t, Options{}).stop() // what the runtime opens once is open now
	before := descriptors(t)
	for _, deadline := range []time.Time{{}, time.Now().Add(time.Hour)} {
		r := start(t, Options{Loops: 2})
		operations := make(map[string]<-chan error)
		var far []*net.TCPConn
		open := func(name string, f func(net.Conn) error) {
			client, accepted := r.connect(t, r.door)
			dialed, upstream := r.dial(t, accepted)
			far = append(far, client, upstream)
			for kind, near := range map[string]net.Conn{" of an accepted connection": accepted, " of a dialed connection": dialed} {
				_ = near.SetDeadline(deadline)
				operations[name+kind] = background(func() error { return f(near) })
			}
		}
		open("read", func(near net.Conn) error {
			_, err := near.Read(make([]byte, 1))
			return err
		})
		open("second read", func(near net.Conn) error {
			if _, err := near.Read(make([]byte, 1)); err != nil {
				return err
			}
			_, err := near.Read(make([]byte, 1))
			return err
		})
		for _, c := range far[len(far)-2:] {
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		open("write", func(near net.Conn) error {
			_, err := near.Write(make([]byte, 64<<20))
			return err
		})
		operations["accept"] = background(func() error {
			_, err := r.door.Accept()
			return err
		})
		r.wantsParked(t, 7)
		r.stop()
		for name, result := range operations {
			wantsClosed(t, name, result)
		}
		for _, c := range far {
			wantsEnd(t, c)
		}
		if n := r.parked(); n != 0 {
			t.Errorf("%d connections still wait", n)
		}
		r.finish()
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// fullListener is an address where nobody answers, once some have connected.
func fullListener(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	localhost := [4]byte{127, 0, 0, 1}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: localhost}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(localhost), uint16(name.(*unix.SockaddrInet4).Port))
}

// Nor is a dial under way waited for.
func TestStopEndsDials(t *testing.T) {
	address := fullListener(t)
	before := descriptors(t)
	r := start(t, Options{Loops: 2})
	const dials = 20
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result, dials)
	for range dials {
		go func() {
			conn, err := r.relay.Dial(nil, address, time.Now().Add(time.Hour))
			results <- result{conn, err}
		}()
	}
	r.wantsParked(t, dials)
	r.stop()
	ended := 0
	for range dials {
		select {
		case res := <-results:
			switch {
			case res.err == nil: // there was room for it
				if n, err := res.conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, net.ErrClosed) {
					t.Errorf("read: %d, %v", n, err)
				}
			case errors.Is(res.err, net.ErrClosed):
				ended++
			default:
				t.Errorf("dial: %v", res.err)
			}
		case <-time.After(patience):
			t.Fatal("a dial goes on")
		}
	}
	if ended < dials/2 {
		t.Errorf("only %d dials were under way", ended)
	}
	r.finish()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// On a relay that has stopped nobody waits, and what is closed stays closed. A
// connection that did not wait belongs to its owner, who closes it.
func TestNobodyWaitsAfterStop(t *testing.T) {
	start(t, Options{}).stop()
	before := descriptors(t)
	r := start(t, Options{Loops: 2})
	client, accepted := r.connect(t, r.door) // nobody has read it
	read, alsoAccepted := r.connect(t, r.door)
	if _, err := read.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := alsoAccepted.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatalf("read: %d, %v", n, err)
	}
	dialed, upstream := r.dial(t, nil)
	r.stop()
	for name, near := range map[string]net.Conn{"accepted": accepted, "read": alsoAccepted, "dialed": dialed} {
		wantsClosed(t, name+": read", background(func() error {
			_, err := near.Read(make([]byte, 1))
			return err
		}))
		wantsClosed(t, name+": write", background(func() error {
			_, err := near.Write(make([]byte, 64<<20))
			return err
		}))
	}
	wantsClosed(t, "accept", background(func() error {
		_, err := r.door.Accept()
		return err
	}))
	wantsClosed(t, "dial", background(func() error {
		_, err := r.relay.Dial(nil, r.listener.Addr().(*net.TCPAddr).AddrPort(), time.Now().Add(time.Hour))
		return err
	}))
	if err := dialed.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("close of what was closed: %v", err)
	}
	for _, near := range []net.Conn{accepted, alsoAccepted} {
		if err := near.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	}
	for _, far := range []*net.TCPConn{client, read, upstream} {
		wantsEnd(t, far)
	}
	r.finish()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// Connections begin to wait, are joined and are closed while the relay stops.
// Each is closed by somebody.
func TestStopAmongOpening(t *testing.T) {
	start(t, Options{}).stop()
	before := descriptors(t)
	random := randomness(t)
	for range 20 {
		r := start(t, Options{Loops: 2})
		var group sync.WaitGroup
		for range 30 {
			farClient, accepted := r.connect(t, r.door)
			dialed, farUpstream := r.dial(t, accepted)
			story, leaves := random.IntN(4), random.IntN(2) == 0
			group.Go(func() {
				var err error
				switch story {
				case 0:
					_, err = accepted.Read(make([]byte, 1))
				case 1:
					_, err = dialed.Read(make([]byte, 1))
				case 2: // they are closed at once
				case 3:
					_, err = r.relay.Join(Pair{Client: accepted, Upstream: dialed})
				}
				if err != nil && err != io.EOF && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("story %d: %v", story, err)
				}
				if story != 3 {
					accepted.Close()
					dialed.Close()
				}
			})
			group.Go(func() {
				if leaves {
					farClient.Close()
				} else {
					wantsEnd(t, farClient)
				}
				wantsEnd(t, farUpstream)
			})
		}
		r.stop()
		group.Wait()
		r.finish()
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}
