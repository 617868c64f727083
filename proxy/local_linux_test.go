package proxy

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"

	"github.com/pointsman/pointsman/health"
)

// TestLocalFaults is fault 13: without descriptors there are no sessions, but
// that is no upstream's fault, and it passes.
func TestLocalFaults(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r := start(t, Options{}, member{address: s.address(), health: health.Options{Fall: 1}})
	var clients []*peer
	for range 5 {
		clients = append(clients, r.ask(goodHead[:20]))
	}
	until(t, "the clients to be accepted", func() bool { return r.counters.atGate.Load() == int64(len(clients)) })
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	none := limit
	none.Cur = 3 // fewer than are open
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		c.say(goodHead[20:])
		c.refusedBy(t, 503)
	}
	if s := r.upstream("east").Checker().Status(); !s.Healthy {
		t.Errorf("own shortage counts against the upstream: %s", s.Reason)
	}
	// A client that cannot be accepted waits in the queue of the listener.
	port := netip.MustParseAddrPort(r.address).Port()
	if err := syscall.Connect(socket, &syscall.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	until(t, "the router to see its shortage", func() bool { return r.Totals().AcceptErrors > 0 })
	restore()
	file := os.NewFile(uintptr(socket), "client")
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	c := newPeer(t, "client", false, conn)
	c.say(goodHead)
	c.upgraded()
	u := s.session()
	echoes(t, c, u, 1)
	c.Close()
	u.Close()
}
