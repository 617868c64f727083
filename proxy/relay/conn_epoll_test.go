//go:build linux && !portable

package relay

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A session lives in the loop of its client, wherever its upstream's connection
// was before, and nothing stays behind there.
func TestSpareMoves(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Loops: 2})
	moved := 0
	for range 8 {
		near, distant := r.spare(t)
		tcp, accepted := r.connect(t, r.door)
		at, from := accepted.(*conn).loop, near.(*conn).loop
		if at != from {
			moved++
		}
		l := &link{
			t: t, client: newPeer(t, "client", false, bare(tcp)), upstream: distant,
			ended: make(chan End, 1), began: time.Now(),
		}
		r.carry(l, Pair{Client: accepted, Upstream: near, Ended: l.note})
		if l.session.s.loop != at {
			t.Error("the session is not in the loop of its client")
		}
		hello := masked(textFrame, "hello")
		l.client.send(hello)
		l.upstream.bytes(hello)
		if n := r.parked(); n != 0 {
			t.Errorf("%d connections still wait", n)
		}
		l.goodBye(sent(1, hello), Traffic{})
	}
	if moved == 0 {
		t.Error("all were in the right loop by chance")
	}
}

// Connections for nobody are spread over the loops.
func TestSparesAreSpread(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Loops: 3})
	loops := map[*loop]int{}
	for range 6 {
		near, _ := r.spare(t)
		loops[near.(*conn).loop]++
	}
	if len(loops) != 3 {
		t.Errorf("%d of 3 loops have all", len(loops))
	}
}

// The time that was set ends a write to somebody who takes nothing, long before
// the deadline.
func TestUserTimeout(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	near, far := r.dial(t, nil)
	defer near.Close()
	defer far.Close()
	option := func() int {
		t.Helper()
		ms, err := unix.GetsockoptInt(int(near.(*conn).fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		if err != nil {
			t.Fatal(err)
		}
		return ms
	}
	SetUserTimeout(near, time.Second)
	if ms := option(); ms != 1000 {
		t.Errorf("%d ms", ms)
	}
	SetUserTimeout(near, 0)
	if ms := option(); ms != 0 {
		t.Errorf("%d ms, want the system's", ms)
	}
	SetUserTimeout(near, 100*time.Millisecond)
	_ = near.SetDeadline(time.Now().Add(patience))
	_, err := near.Write(make([]byte, 64<<20))
	var timeout net.Error
	if !errors.Is(err, syscall.ETIMEDOUT) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("write: %v", err)
	}
	near.Close()
	SetUserTimeout(near, time.Second) // is not for another socket with its number
}
