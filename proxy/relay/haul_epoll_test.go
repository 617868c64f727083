//go:build linux && !portable

package relay

import (
	"bytes"
	"io"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// hauling is a loop that does not run, with a session whose client socket has
// so much room as the test leaves it.
type hauling struct {
	loop    *loop
	session *session
	far     *net.TCPConn
	filler  int // bytes in the client's socket
}

func startHauling(t *testing.T, r *rig, room int) *hauling {
	t.Helper()
	relay, err := New(Options{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	far, near := r.pair(t)
	setBuffers(near, 64<<10)
	setBuffers(far, 64<<10)
	fd, err := takeDescriptor(near)
	if err != nil {
		t.Fatal(err)
	}
	h := &hauling{loop: relay.loops[0], session: newSession(relay, Pair{}), far: far}
	t.Cleanup(func() {
		unix.Close(fd)
		far.Close()
		h.loop.pipe.close()
		h.loop.closeFiles()
	})
	h.loop.buffer = make([]byte, headroom+readSize)
	if !h.loop.pipe.open() {
		t.Skip("no pipe")
	}
	h.session.loop = h.loop
	h.session.legs[client].fd = int32(fd)
	if err := rawWatch(h.loop.epoll, unix.EPOLL_CTL_ADD, int32(fd), interest); err != nil {
		t.Fatal(err)
	}
	for filler := make([]byte, 4<<10); room >= 0; {
		n, errno := rawWrite(int32(fd), filler)
		h.filler += n
		if errno == unix.EAGAIN {
			break
		}
	}
	if n, err := io.ReadFull(far, make([]byte, min(max(room, 0), h.filler))); err != nil {
		t.Fatalf("%d bytes of room: %v", n, err)
	}
	return h
}

func (h *hauling) load(t *testing.T, p []byte) {
	t.Helper()
	if n, err := unix.Write(int(h.loop.pipe.write), p); n != len(p) || err != nil {
		t.Fatalf("%d of %d bytes into the pipe: %v", n, len(p), err)
	}
}

func (h *hauling) checkPipeEmpty(t *testing.T) {
	t.Helper()
	if n, err := unix.Read(int(h.loop.pipe.read), make([]byte, 1)); err != unix.EAGAIN {
		t.Errorf("the pipe is not empty: %d, %v", n, err)
	}
}

// Wherever the socket is full, nothing is lost between it and the pipe.
func TestUnload(t *testing.T) {
	r := start(t, Options{})
	random := randomness(t)
	for i := range 40 {
		room := []int{-1, 0, 1, 20_000, random.IntN(100_000)}[i%5]
		h := startHauling(t, r, room)
		load := []byte(payload(random, 20_000+random.IntN(100_000)))
		head := []byte(payload(random, []int{0, 4, 14}[random.IntN(3)]))
		h.load(t, load)
		h.loop.unload(h.session, client, append([]byte(nil), head...), len(load))
		h.checkPipeEmpty(t)
		leg := &h.session.legs[client]
		if leg.is(broken) {
			t.Fatal("a socket that is full is not broken")
		}
		kept := append([]byte(nil), leg.out[leg.sent:]...)
		if len(kept) > 0 && !leg.is(armed) {
			t.Error("nobody waits for room in the socket")
		}
		_ = unix.Shutdown(int(leg.fd), unix.SHUT_WR)
		got, err := io.ReadAll(h.far)
		if err != nil {
			t.Fatal(err)
		}
		got = got[h.filler-min(max(room, 0), h.filler):]
		if want := append(head, load...); !bytes.Equal(append(got, kept...), want) {
			t.Fatalf("room for %d: %d bytes arrived and %d are kept of %d", room, len(got), len(kept), len(want))
		}
	}
}

// A socket that takes nothing any more leaves nothing in the pipe.
func TestUnloadIntoBrokenSocket(t *testing.T) {
	r := start(t, Options{})
	random := randomness(t)
	for _, head := range []int{0, 14} {
		h := startHauling(t, r, -1)
		leg := &h.session.legs[client]
		_ = unix.Shutdown(int(leg.fd), unix.SHUT_WR)
		load := payload(random, 100_000)
		h.load(t, []byte(load))
		h.loop.unload(h.session, client, []byte(payload(random, head)), len(load))
		h.checkPipeEmpty(t)
		if !leg.is(broken) || leg.blocked() || len(h.loop.again) == 0 {
			t.Errorf("broken %v, blocked %v, %d sockets to read again", leg.is(broken), leg.blocked(), len(h.loop.again))
		}
	}
}

// Where there is no pipe large frames are copied.
func TestBulkWithoutPipe(t *testing.T) {
	r := prepare(t, Options{Loops: 1}, listen(t), listen(t))
	r.relay.loops[0].pipe.state = pipeUnavailable
	r.run()
	random := randomness(t)
	eachWay(t, r, func(t *testing.T, l *link, from, to *peer) {
		warmUp(from, to, random)
		l.client.reset()
		l.anyEndAfter(l.upstream)
	})
}
