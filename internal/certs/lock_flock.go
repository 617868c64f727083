//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package certs

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks a file for this holder alone, and returns how to release it, nil
// if it is locked. The file stays: to delete it would let two in at once.
func tryLock(path string) (release func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil // That releases it.
		}
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, &os.PathError{Op: "flock", Path: path, Err: err}
}
