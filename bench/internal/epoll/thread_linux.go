package epoll

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// OwnThread gives the calling goroutine a thread of its own until it ends. nice is how far that stands back behind others when
// processors are short, 0 to 19.
func OwnThread(nice int) error {
	runtime.LockOSThread() // for good: nobody else shall get a thread that stands back
	if nice == 0 {
		return nil
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, nice); err != nil { // of the thread alone
		return fmt.Errorf("set priority %d: %w", nice, err)
	}
	return nil
}
