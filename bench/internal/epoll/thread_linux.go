package epoll

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// OwnThread gives the calling goroutine a thread of its own until it ends. One that yields gets a processor only when nobody else wants
// it.
func OwnThread(yields bool) error {
	runtime.LockOSThread() // for good: nobody else shall get a thread that yields
	if !yields {
		return nil
	}
	idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if err := unix.SchedSetAttr(0, &idle, 0); err != nil { // of the thread alone
		return fmt.Errorf("let a thread yield: %w", err)
	}
	return nil
}
