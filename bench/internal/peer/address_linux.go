package peer

import (
	"fmt"
	"math/rand/v2"
	"net"
	"syscall"
)

// freeAddr finds a port of 127.0.0.1 that nothing listens on. Another program could take it before the peer does; the
// peer's start would then fail and say so.
func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	addr := ln.Addr().String()
	return addr, ln.Close()
}

// Ports that no system gives to outgoing connections by itself: 10,000 is above those of services, and 32,767 is below
// ip_local_port_range.
const (
	lowestSteady  = 10_000
	highestSteady = 32_767
)

// SteadyAddr finds a port of 127.0.0.1 that an upstream can come back to after it was killed. With thousands of connections
// around, a port of the usual range would soon be the local end of one of them.
func SteadyAddr() (string, error) {
	var last error
	for range 100 {
		port := lowestSteady + rand.IntN(highestSteady-lowestSteady+1)
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return ln.Addr().String(), ln.Close()
		}
		last = err
	}
	return "", fmt.Errorf("find a port to come back to: %w", last)
}

// maxDescriptors bounds what one process may open.
const maxDescriptors = 20_000

// RaiseDescriptors raises the soft limit of open files, which children inherit, to the hard one, or to 20,000 if that is
// less.
func RaiseDescriptors() error {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("read descriptor limit: %w", err)
	}
	lim.Cur = min(lim.Max, maxDescriptors)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return fmt.Errorf("raise descriptor limit to %d: %w", lim.Cur, err)
	}
	return nil
}

// Descriptors is the number of files that a child may open.
func Descriptors() (int, error) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("read descriptor limit: %w", err)
	}
	return int(min(lim.Cur, maxDescriptors)), nil
}
