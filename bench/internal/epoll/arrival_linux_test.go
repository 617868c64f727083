package epoll

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The stamp is of the arrival, not of the reading.
func TestReadStamped(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	far, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = near.Close() }()
	raw, err := near.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if err := StampArrivals(int(fd)); err != nil {
			t.Error(err)
		}
		var b [16]byte
		if _, at, errno := ReadStamped(int(fd), b[:]); errno != unix.EAGAIN || !at.IsZero() {
			t.Errorf("read of an empty socket: %v, %v", at, errno)
		}
		// On loopback the write itself delivers, unless the machine is so busy that the kernel puts that off.
		for attempt := 0; ; attempt++ {
			before := time.Now()
			if _, err := far.Write([]byte("points")); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond) // stands for a process that had to wait for its turn
			turn := time.Now()
			n, at, errno := ReadStamped(int(fd), b[:])
			if errno == unix.EAGAIN && attempt < 100 {
				_, _ = near.Read(b[:]) // not even delivered
				continue
			}
			if at.IsZero() && n > 0 && attempt < 100 {
				continue // the kernel begins to stamp for the first socket that asks, a little later
			}
			if string(b[:n]) != "points" || errno != 0 || at.Before(before.Add(-time.Millisecond)) || at.After(time.Now()) {
				t.Fatalf("read %q, %v, stamp %v, written at %v", b[:n], errno, at, before)
			}
			if turn.Sub(at) > 5*time.Millisecond {
				break
			}
			if attempt == 100 {
				t.Fatalf("stamp %v, although it was read from %v on", at, turn)
			}
		}
		_ = far.Close()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			n, at, errno := ReadStamped(int(fd), b[:])
			if errno == unix.EAGAIN && time.Now().Before(deadline) {
				continue
			}
			if n != 0 || errno != 0 || !at.IsZero() {
				t.Errorf("read at the end: %d, %v, %v", n, at, errno)
			}
			break
		}
	}); err != nil {
		t.Fatal(err)
	}
}
