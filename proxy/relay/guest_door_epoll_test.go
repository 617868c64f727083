//go:build linux && !portable

package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Once a door is closed nobody comes any more. Those who are in stay.
func TestDoorCloses(t *testing.T) {
	r := startGuests(t, Options{})
	var came atomic.Int32
	there, heard := make(chan bool, 1), make(chan string, 1)
	door := r.receive(t, Reception{
		Come: func() time.Duration { came.Add(1); there <- true; return patience },
		Heard: func(g *Guest) {
			said, err := takeAll(g.Read, 100)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			g.Close()
			heard <- said
		},
	})
	address := door.Addr().String()
	c := visit(t, door)
	await(t, there)
	if conn, err := door.Accept(); conn != nil || err != io.EOF {
		t.Errorf("accept: %v, %v", conn, err)
	}
	if err := door.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := door.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second close: %v", err)
	}
	if a := door.Addr().String(); a != address {
		t.Errorf("address %s, was %s", a, address)
	}
	// The guest's connection keeps the port from being given to somebody else.
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial of a closed door: %v", err)
	}
	c.send([]byte("I am still here"))
	if s := await(t, heard); s != "I am still here" {
		t.Errorf("heard %q", s)
	}
	c.gone()
	if n := came.Load(); n != 1 {
		t.Errorf("%d guests have come", n)
	}
}

// When Close returns, the last one has come, whatever crowd is at the door.
func TestDoorClosesAgainstCrowd(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	for range 20 {
		var came, gone atomic.Int32
		door := r.receive(t, Reception{
			Come:  func() time.Duration { came.Add(1); return patience },
			Heard: func(g *Guest) { g.Close(); gone.Add(1) },
		})
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for {
					c, err := net.Dial("tcp4", door.Addr().String())
					if err != nil {
						return
					}
					_, _ = c.Write([]byte("x"))
					_ = c.SetDeadline(time.Now().Add(patience))
					_, err = c.Read(make([]byte, 1))
					if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
						t.Error("a client is neither received nor refused")
					}
					c.Close()
				}
			})
		}
		if !within(patience, func() bool { return came.Load() >= 8 }) {
			t.Error("nobody comes")
		}
		if err := door.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		last := came.Load()
		group.Wait()
		if n := came.Load(); n != last {
			t.Errorf("%d have come after the door was closed", n-last)
		}
		if !within(patience, func() bool { return gone.Load() == last }) {
			t.Errorf("%d have come, %d were heard", last, gone.Load())
		}
	}
}

// While there is no room clients wait at the door, and all come in when there is.
func TestDoorWithoutRoom(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	const clients = 3 * acceptBudget
	var asked, came, places atomic.Int32
	heard := make(chan bool, clients)
	door := r.receive(t, Reception{
		Room:  func() bool { asked.Add(1); return places.Load() > 0 },
		Come:  func() time.Duration { came.Add(1); places.Add(-1); return patience },
		Heard: func(g *Guest) { g.Close(); heard <- true },
	})
	var all []*peer
	for range clients {
		c := visit(t, door)
		c.send([]byte("hello"))
		all = append(all, c)
	}
	// It is asked every few milliseconds, not all the time.
	began, first := time.Now(), asked.Load()
	if !within(patience, func() bool { return asked.Load() > first+20 }) {
		t.Error("it is not asked again whether there is room")
	}
	n := asked.Load() - first // before the time is taken
	if most := int32(time.Since(began)/(roomPause*time.Millisecond)) + 2; n > most {
		t.Errorf("it was asked %d times whether there is room, in the time for %d", n, most)
	}
	for _, room := range []int32{0, 1, 0, 2, clients - 3} {
		before, inside := asked.Load(), came.Load()
		places.Store(room)
		for range room {
			await(t, heard)
		}
		if int(inside+room) < clients && !within(patience, func() bool { return asked.Load() > before+2+room }) {
			t.Error("it is not asked again whether there is room")
		}
		if n := came.Load(); n != inside+room {
			t.Errorf("%d have come in, there was room for %d", n-inside, room)
		}
	}
	for _, c := range all {
		c.gone()
	}
	last := visit(t, door) // a door that was shut is watched again
	last.send([]byte("hello"))
	places.Store(1)
	await(t, heard)
	last.gone()
}

// A door that nobody can come in by because it is shut can be closed.
func TestShutDoorCloses(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	var asked atomic.Int32
	door := r.receive(t, Reception{Room: func() bool { asked.Add(1); return false }})
	c := visit(t, door)
	if !within(patience, func() bool { return asked.Load() > 3 }) {
		t.Error("it is not asked whether there is room")
	}
	if err := door.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	c.gone()
	// The loop forgets it, and goes on.
	turn := make(chan int, 1)
	r.relay.After(2*roomPause*time.Millisecond, func() { turn <- len(r.relay.loops[0].doors) })
	await(t, turn)
	r.relay.After(0, func() { turn <- len(r.relay.loops[0].doors) })
	if n := await(t, turn); n != 0 {
		t.Errorf("%d doors are known", n)
	}
}

// What keeps clients out is told, again and again as long as it lasts. Then they come.
func TestDoorWithoutDescriptors(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	type trouble struct {
		err error
		at  int64 // on the clock of the loop
	}
	broken, heard := make(chan trouble, 100), make(chan string, 2)
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			said, _ := takeAll(g.Read, 100)
			g.Close()
			heard <- said
		},
		Broken: func(err error) { broken <- trouble{err, r.relay.loops[0].clock} },
	})
	for range 3 {
		for len(broken) > 0 {
			<-broken
		}
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		back := fitting(t, 0)
		to := door.Addr().(*net.TCPAddr).AddrPort()
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}); err != nil {
			t.Fatal(err)
		}
		if _, err := syscall.Write(fd, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		var last int64
		for _, pause := range []int64{0, shortagePause, 2 * shortagePause} {
			now := await(t, broken)
			if now.at-last < pause {
				t.Errorf("tried again after %d ms of %d", now.at-last, pause)
			}
			last = now.at
			err := now.err
			var failure *net.OpError
			if !errors.Is(err, syscall.EMFILE) || !errors.As(err, &failure) || failure.Op != "accept" || failure.Addr.String() != door.Addr().String() {
				t.Errorf("broken: %v", err)
			}
		}
		if len(heard) > 0 {
			t.Error("somebody has come for whom there is no descriptor")
		}
		back()
		if s := await(t, heard); s != "hello" {
			t.Errorf("heard %q", s)
		}
	}
}

// A relay that has stopped receives nobody, and the listener is closed.
func TestReceiveAfterStop(t *testing.T) {
	r := startGuests(t, Options{})
	r.stop()
	ln := listen(t)
	if door, err := r.relay.Receive(ln, Reception{}); door != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("receive: %v, %v", door, err)
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	if _, err := r.relay.Receive(ln, Reception{}); err == nil || errors.Is(err, ErrNoReception) {
		t.Errorf("receive at a closed listener: %v", err)
	}
}

// Who comes before Run is received when it begins.
func TestReceiveBeforeRun(t *testing.T) {
	relay, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, relay: relay}
	heard := make(chan bool, 1)
	door := r.receive(t, Reception{Heard: func(g *Guest) { g.Close(); heard <- true }})
	c := visit(t, door)
	c.send([]byte("hello"))
	ctx, cancel := context.WithCancel(context.Background())
	done := background(func() error { return relay.Run(ctx) })
	await(t, heard)
	c.gone()
	cancel()
	if err := await(t, done); err != nil {
		t.Errorf("run: %v", err)
	}
	checkEmpty(t, relay)
	checkNoGuests(t, relay)
}

// A door that is closed is not watched any more, also if somebody else has the same
// socket: a loop would turn in circles as long as a client waits there.
func TestClosedDoorIsNotWatched(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	ln := listen(t)
	shared, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	watched := func() int {
		info, err := os.ReadFile(fmt.Sprint("/proc/self/fdinfo/", r.relay.loops[0].epoll))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(info), "tfd:")
	}
	before := watched()
	door := r.receiveAt(t, ln, Reception{Heard: func(g *Guest) { g.Close() }})
	c := visit(t, door)
	c.send([]byte("x"))
	c.gone()
	if n := watched(); n != before+1 {
		t.Fatalf("%d descriptors are watched, %d before", n, before)
	}
	door.Close()
	if n := watched(); n != before {
		t.Errorf("%d descriptors are watched, %d before", n, before)
	}
}
