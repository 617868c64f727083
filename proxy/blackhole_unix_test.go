//go:build unix

package proxy

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// blackHole returns an address where connects are neither accepted nor refused:
// a listener that nobody serves, whose short queue is full.
func blackHole(t testing.TB) string {
	t.Helper()
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	raw, err := ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var shrunk error
	if err := raw.Control(func(fd uintptr) { shrunk = syscall.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	if shrunk != nil {
		t.Skipf("the queue of a listener cannot be shortened here: %v", shrunk)
	}
	for range 16 {
		conn, err := net.DialTimeout("tcp4", ln.Addr().String(), soon)
		if isTimeout(err) {
			return ln.Addr().String()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Skip("this system takes connections beyond the queue of a listener")
	return ""
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
