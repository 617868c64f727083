//go:build linux && !portable

package relay

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startGuests is start for a relay that receives guests. When it has stopped it must
// have forgotten them, and no descriptor is left: so such a test is not parallel.
func startGuests(t testing.TB, o Options) *rig {
	t.Helper()
	listen(t).Close() // what the runtime opens once is open now
	before := descriptors(t)
	var r *rig
	t.Cleanup(func() {
		if r == nil || t.Failed() {
			return
		}
		checkNoGuests(t, r.relay)
		// What others have left may still go.
		if !within(patience, func() bool { return descriptors(t) <= before }) {
			t.Errorf("%d descriptors, %d before", descriptors(t), before)
		}
	})
	r = start(t, o)
	return r
}

// checkNoGuests checks that a relay that has stopped holds nothing of its guests.
func checkNoGuests(t testing.TB, r *Relay) {
	t.Helper()
	for i, l := range r.loops {
		for fd, g := range l.guests {
			if g != nil {
				t.Errorf("loop %d: a guest is left at descriptor %d", i, fd)
			}
		}
		for s, q := range l.stays {
			if q.first != nil || q.last != nil {
				t.Errorf("loop %d: a guest is left in stage %d", i, s)
			}
		}
	}
}

// receive has the relay receive guests until the end of the test, and returns where
// they come in. There is room, and they have plenty of time, unless how says something
// else. What it says nothing of must not happen.
func (r *rig) receive(t testing.TB, how Reception) net.Listener {
	t.Helper()
	return r.receiveAt(t, listen(t), how)
}

// receiveAt is receive at a certain listener.
func (r *rig) receiveAt(t testing.TB, ln net.Listener, how Reception) net.Listener {
	t.Helper()
	if how.Room == nil {
		how.Room = func() bool { return true }
	}
	if how.Come == nil {
		how.Come = func() time.Duration { return patience }
	}
	if how.Heard == nil {
		how.Heard = func(g *Guest) { t.Error("a guest was heard"); g.Close() }
	}
	if how.Late == nil {
		how.Late = func(*Guest) {} // it is closed, and Over is called
	}
	if how.Answered == nil {
		how.Answered = func(g *Guest) { t.Error("a guest was answered"); g.Close() }
	}
	if how.Failed == nil {
		how.Failed = func(g *Guest, asked bool, err error) { t.Errorf("failed: %v, %v", asked, err); g.Close() }
	}
	if how.Gone == nil {
		how.Gone = func(g *Guest) { t.Error("a guest has gone"); g.Close() }
	}
	if how.Over == nil {
		how.Over = func(*Guest) { t.Error("a guest's time was over") }
	}
	if how.Broken == nil {
		how.Broken = func(err error) { t.Errorf("broken: %v", err) }
	}
	door, err := r.relay.Receive(ln, how)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { door.Close() })
	return door
}

// visit connects to a door.
func visit(t testing.TB, door net.Listener) *peer {
	t.Helper()
	conn, err := net.DialTCP("tcp4", nil, door.Addr().(*net.TCPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return newPeer(t, "client", false, bare(conn))
}

// own is the address of the test's end.
func (p *peer) own() netip.AddrPort { return p.conn.LocalAddr().(*net.TCPAddr).AddrPort() }

// upstream is the address where questions come to the test.
func (r *rig) upstream() netip.AddrPort { return r.listener.Addr().(*net.TCPAddr).AddrPort() }

// wantsQuestion takes the next question that comes to the test.
func (r *rig) wantsQuestion(t testing.TB, request string) *peer {
	t.Helper()
	_ = r.listener.SetDeadline(time.Now().Add(patience))
	conn, err := r.listener.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := newPeer(t, "upstream", true, bare(conn))
	p.bytes([]byte(request))
	return p
}

// await takes what a loop tells the test.
func await[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing has happened")
		panic("unreachable")
	}
}

// takeAll reads what is there, in pieces of the given size. The error says that it is
// the end.
func takeAll(read func([]byte) (int, error), piece int) (string, error) {
	var got strings.Builder
	p := make([]byte, piece)
	for {
		n, err := read(p)
		got.Write(p[:n])
		if n == 0 || err != nil {
			return got.String(), err
		}
	}
}

// takeLine reads until a line is whole, which comes sooner or later, and returns also
// what stands behind it. The loop waits for it.
func takeLine(read func([]byte) (int, error)) (line, rest string, err error) {
	var got string
	if !within(patience, func() bool {
		var more string
		more, err = takeAll(read, 4096)
		got += more
		return err != nil || strings.Contains(got, "\n")
	}) {
		err = io.ErrNoProgress
	}
	line, rest, _ = strings.Cut(got, "\n")
	return line, rest, err
}

// takeEnd reads until the end comes. The loop waits for it.
func takeEnd(read func([]byte) (int, error)) (got string, err error) {
	within(patience, func() bool {
		var more string
		more, err = takeAll(read, 4096)
		got += more
		return err != nil
	})
	return got, err
}

// nobodyThere is an address where nobody listens, and nobody will during the test: it
// is the local end of a connection.
func (r *rig) nobodyThere(t testing.TB) netip.AddrPort {
	t.Helper()
	dialed, accepted := r.pair(t)
	t.Cleanup(func() {
		dialed.Close()
		accepted.Close()
	})
	return dialed.LocalAddr().(*net.TCPAddr).AddrPort()
}

// deaf is an address where connections are neither accepted nor refused: those that
// there was room for are there.
func deaf(t testing.TB) netip.AddrPort {
	t.Helper()
	address := fullListener(t)
	for range 16 {
		conn, err := net.DialTimeout("tcp4", address.String(), 200*time.Millisecond)
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return address
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("a full listener took every connection")
	panic("unreachable")
}

// fitting has the process open no more files than it has open now and room for few
// more, until it is called again.
func fitting(t testing.TB, room int) (back func()) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	few := limit
	few.Cur = min(few.Cur, uint64(descriptors(t)+100))
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var filler []int
	back = func() {
		for _, fd := range filler {
			syscall.Close(fd)
		}
		filler = nil
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	t.Cleanup(back)
	for {
		fd, err := syscall.Dup(2)
		if err == syscall.EMFILE {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		filler = append(filler, fd)
	}
	for range room {
		last := len(filler) - 1
		syscall.Close(filler[last])
		filler = filler[:last]
	}
	return back
}

// portOf is the port of a listener.
func portOf(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }
