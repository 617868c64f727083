package relay

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// shortenSegments makes what a listener accepts behave like sockets far away: short segments, little room.
func shortenSegments(t testing.TB, ln *net.TCPListener) {
	t.Helper()
	raw, err := ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 536)
		if err == nil {
			// And they have little room from the start. A window that was told once cannot be taken back: of what comes in
			// it, a socket that is made small later drops what it has no room for, and with it the acknowledgements that
			// would make room at the other end. Until a retransmission gets through, both may stand still for a minute.
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, smallBuffer)
		}
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
}

// descriptors is the number of open files of this process.
func descriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// A listener that is full answers no SYN, as a host that is gone.
func TestDialDeadline(t *testing.T) {
	t.Parallel()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(sa.(*unix.SockaddrInet4).Port))
	r := start(t, Options{})
	for range 10 {
		began := time.Now()
		c, err := r.relay.Dial(nil, address, began.Add(100*time.Millisecond))
		if err == nil { // the backlog has room for one
			defer c.Close()
			continue
		}
		var timeout net.Error
		if c != nil || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("dial: %v, %v", c, err)
		}
		if waited := time.Since(began); waited < 90*time.Millisecond {
			t.Errorf("dial waited %v", waited)
		}
		return
	}
	t.Error("a full listener took every connection")
}
