package proxy

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"

	"github.com/pointsman/pointsman/proxy/relay"
)

// What floods are made of: large frames of an upstream and of a client.
var (
	wave       = plain(binaryFrame, string(make([]byte, 64<<10-4)))
	maskedWave = masked(binaryFrame, string(make([]byte, 64<<10)))
)

// echoes sends messages over a session and wants each back.
func echoes(t *testing.T, c, u *peer, count int) {
	t.Helper()
	for range count {
		c.send(masked(textFrame, "ping pong"))
		u.wants(textFrame, "ping pong")
		u.send(plain(textFrame, "ping pong"))
		c.wants(textFrame, "ping pong")
	}
}

// TestStuckClients is fault 18: clients that do not read. Their upstreams are
// held back, little memory is used, and other sessions go on.
func TestStuckClients(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{Relay: relay.Options{WriteTimeout: -1, CloseWait: soon}}, member{address: s.address()})
	c, u := r.open(s)
	const stuck = 8
	var clients, upstreams [stuck]*peer
	for i := range stuck {
		clients[i], upstreams[i] = r.open(s)
	}
	before := heapInUse()
	var group sync.WaitGroup
	for _, u := range upstreams {
		group.Go(func() { u.fill(wave) })
	}
	echoes(t, c, u, 500)
	group.Wait()
	// What a session may hold back is one read of the relay at most.
	if grown := heapInUse() - before; grown > stuck<<20 {
		t.Errorf("%d stuck clients hold %d KiB", stuck, grown>>10)
	}
	echoes(t, c, u, 10)
	for i := range stuck {
		clients[i].Close()
		upstreams[i].Close()
	}
	c.Close()
	u.Close()
}

// TestStalled is the end of faults 18 and 19: who takes nothing for too long is
// cut, and the other side is told.
func TestStalled(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{Relay: relay.Options{WriteTimeout: 2 * soon, CloseWait: soon}}, member{address: s.address()})
	c, u := r.open(s)
	var group sync.WaitGroup
	group.Go(func() { u.spill(wave) })
	r.wantEnd("client stalled")
	u.Close()
	group.Wait()
	c.Close()
	if n := r.upstream("east").Totals().Lost; n != 0 {
		t.Errorf("%d stalled clients count as lost by the upstream", n)
	}

	c, u = r.open(s)
	group.Go(func() { c.spill(maskedWave) })
	c.wantsClose(1012)
	c.Close()
	group.Wait()
	r.wantEnd("upstream stalled")
	u.Close()
	if n := r.upstream("east").Totals().Lost; n != 1 {
		t.Errorf("%d stalled upstreams count as lost", n)
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// TestHeldBack checks that nothing is lost or reordered when a client that was
// slow to read goes on.
func TestHeldBack(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{Relay: relay.Options{WriteTimeout: -1}}, member{address: s.address()})
	c, u := r.open(s)
	taken := u.fill(wave)
	if taken == 0 {
		t.Fatal("nothing was taken")
	}
	total := (taken/len(wave) + 100) * len(wave)
	var group sync.WaitGroup
	group.Go(func() {
		for sent := taken; sent < total; {
			n, err := u.Write(wave[sent%len(wave):])
			if err != nil {
				t.Errorf("after %d bytes: %v", sent, err)
				return
			}
			sent += n
		}
		u.offer(string(plain(closeFrame, status(1000, ""))))
	})
	n, err := io.CopyN(&comparer{want: wave}, c.in, int64(total))
	if err != nil {
		t.Fatalf("after %d bytes: %v", n, err)
	}
	c.wantsClose(1000)
	group.Wait()
	c.send(masked(closeFrame, status(1000, "")))
	u.wantsClose(1000)
	c.Close()
	u.Close()
}

// comparer is a writer that wants certain bytes over and over.
type comparer struct {
	want []byte
	seen int
}

func (c *comparer) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		want := c.want[c.seen%len(c.want):]
		n := min(len(rest), len(want))
		if !bytes.Equal(rest[:n], want[:n]) {
			return 0, errors.New("other bytes than were sent")
		}
		c.seen += n
		rest = rest[n:]
	}
	return len(p), nil
}

// TestStuckUpstream is fault 19, the mirror: the client is held back.
func TestStuckUpstream(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{Relay: relay.Options{WriteTimeout: -1, CloseWait: soon}}, member{address: s.address()})
	c, u := r.open(s)
	other, otherUp := r.open(s)
	var group sync.WaitGroup
	group.Go(func() { c.fill(maskedWave) })
	echoes(t, other, otherUp, 200)
	group.Wait()
	for _, p := range []*peer{c, u, other, otherUp} {
		p.Close()
	}
}

// TestPingFlood is row 51: pings whose pongs are never read are held back like
// everything else.
func TestPingFlood(t *testing.T) {
	balanced(t)
	s := newStub(t, func(c *stubConn) {
		if c.accept() {
			c.pong()
		}
	})
	r := start(t, Options{Relay: relay.Options{WriteTimeout: -1, CloseWait: soon}}, member{address: s.address()})
	c := r.ask(goodHead)
	c.upgraded()
	ping := append([]byte{pingFrame, 0x80 | 125, 0, 0, 0, 0}, make([]byte, 125)...)
	c.fill(bytes.Repeat(ping, 500))
	c.reset()
	r.wantEnd("client lost")
}

// pong answers every ping, as an endpoint must, until the connection ends.
func (c *stubConn) pong() {
	for {
		f, err := readFrame(c.in)
		if err != nil {
			return
		}
		if f.first == pingFrame {
			if _, err := c.Write(plain(pongFrame, f.payload)); err != nil {
				return
			}
		}
	}
}

// TestHalfOpen is fault 20: a peer that has vanished without a word is found by
// pings. The router swallows the answers to its own.
func TestHalfOpen(t *testing.T) {
	// A side that answers has time to do so.
	pings := relay.Options{PingInterval: soon, PingTimeout: 4 * soon, CloseWait: soon}
	t.Run("client", func(t *testing.T) {
		balanced(t)
		s := newStub(t, func(c *stubConn) {
			if c.accept() {
				c.pong()
			}
		})
		r := start(t, Options{Relay: pings}, member{address: s.address()})
		c := r.ask(goodHead)
		c.upgraded()
		r.wantEnd("client silent")
		c.Close()
	})
	t.Run("upstream", func(t *testing.T) {
		balanced(t)
		s := newAccepter(t)
		r := start(t, Options{Relay: pings}, member{address: s.address()})
		c, u := r.open(s)
		for f := c.frame(); f.first != closeFrame; f = c.frame() {
			if f.first != pingFrame {
				t.Fatalf("client got %v", f)
			}
			c.send(masked(pongFrame, f.payload))
		}
		c.Close()
		r.wantEnd("upstream silent")
		if n := r.upstream("east").Totals().Lost; n != 1 {
			t.Errorf("%d sessions count as lost", n)
		}
		c.Close()
		u.Close()
	})
	t.Run("neither", func(t *testing.T) {
		balanced(t)
		s := newAccepter(t)
		r := start(t, Options{Relay: pings}, member{address: s.address()})
		c, u := r.open(s)
		var group sync.WaitGroup
		for _, p := range []*peer{c, u} {
			group.Go(func() {
				answer := masked
				if p == u {
					answer = plain
				}
				for range 2 {
					f, err := readFrame(p.in)
					if err != nil || f.first != pingFrame {
						t.Errorf("%s got %v, %v", p.name, f, err)
						return
					}
					if _, err := p.Write(answer(pongFrame, f.payload)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		u.send(plain(closeFrame, status(1000, "")))
		f := c.frame()
		for f.first == pingFrame { // of later intervals
			f = c.frame()
		}
		if f.first != closeFrame || f.payload != status(1000, "") {
			t.Errorf("client got %v", f)
		}
		c.Close()
		u.Close()
		r.wantEnd("upstream closed")
	})
}
