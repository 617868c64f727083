package proxy

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// detour stands before an upstream and makes it as far away as a test wants. What
// either side sends arrives after the delay. A connection needs a round trip, too:
// the system opens one on this machine at once, so what its client sends is held back
// until an answer to its SYN could have come.
type detour struct {
	listener *net.TCPListener
	to       string
	delay    time.Duration
	accepted atomic.Int64
	cutBelow atomic.Int64 // the next request on one of the first so many connections ends it

	mu     sync.Mutex
	open   map[*net.TCPConn]*net.TCPConn // the client's end and the upstream's
	closed bool
	group  sync.WaitGroup
}

// newDetour starts a detour that lives as long as the test.
func newDetour(t testing.TB, to string, delay time.Duration) *detour {
	t.Helper()
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	d := &detour{listener: ln, to: to, delay: delay, open: make(map[*net.TCPConn]*net.TCPConn)}
	d.group.Go(d.serve)
	t.Cleanup(d.stop)
	return d
}

func (d *detour) address() string { return d.listener.Addr().String() }

func (d *detour) serve() {
	for {
		near, err := d.listener.AcceptTCP()
		if err != nil {
			return // stop has closed it
		}
		number := d.accepted.Add(1)
		d.group.Go(func() { d.lead(near, number, time.Now().Add(2*d.delay)) })
	}
}

// lead carries one connection until both its directions have ended.
func (d *detour) lead(near *net.TCPConn, number int64, ready time.Time) {
	defer near.Close()
	conn, err := net.Dial("tcp4", d.to)
	if err != nil {
		return
	}
	far := conn.(*net.TCPConn)
	defer far.Close()
	d.mu.Lock()
	d.open[near] = far
	closed := d.closed
	d.mu.Unlock()
	if !closed {
		var both sync.WaitGroup
		both.Go(func() { d.carry(far, near, number, ready) })
		both.Go(func() { d.carry(near, far, 0, time.Time{}) })
		both.Wait()
	}
	d.mu.Lock()
	delete(d.open, near)
	d.mu.Unlock()
}

// piece is what has come, and when it goes on.
type piece struct {
	due   time.Time
	bytes []byte
}

// carry moves what one end sends to the other; the client's has a number.
func (d *detour) carry(to, from *net.TCPConn, number int64, ready time.Time) {
	pieces := make(chan piece, 1024)
	d.group.Go(func() {
		defer close(pieces)
		buffer := make([]byte, 64<<10)
		for {
			n, err := from.Read(buffer)
			trap := d.cutBelow.Load()
			if number > 0 && number <= trap && isRequest(buffer[:n]) && d.cutBelow.CompareAndSwap(trap, 0) {
				from.Close()
				to.Close()
				return
			}
			if n > 0 {
				now := time.Now()
				if now.Before(ready) {
					now = ready
				}
				pieces <- piece{now.Add(d.delay), append([]byte(nil), buffer[:n]...)}
			}
			if err != nil {
				return
			}
		}
	})
	for p := range pieces {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			from.Close() // the reader ends
		}
	}
	_ = to.CloseWrite()
}

// isRequest reports whether what a client has sent is more than belongs to a
// handshake of TLS: that is a hello, and a last word of less than a hundred bytes.
func isRequest(b []byte) bool {
	const hello = 22 // the type of the record
	return len(b) > 100 && b[0] != hello
}

// cut ends the connections that are open, with an RST or in good order.
func (d *detour) cut(reset bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for near, far := range d.open {
		if reset {
			_ = near.SetLinger(0)
		}
		near.Close()
		far.Close()
	}
}

// stop ends the detour.
func (d *detour) stop() {
	d.listener.Close()
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cut(false)
	d.group.Wait()
}
