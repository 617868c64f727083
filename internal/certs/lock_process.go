//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package certs

import "sync"

var locked sync.Map // paths

// tryLock locks a path within this process only: other processes should not
// share a storage on such a system. It returns how to release it, nil if it is
// locked.
func tryLock(path string) (release func(), err error) {
	if _, found := locked.LoadOrStore(path, nil); found {
		return nil, nil
	}
	return func() { locked.Delete(path) }, nil
}
