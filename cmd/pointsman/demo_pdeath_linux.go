package main

import (
	"os/exec"
	"syscall"
)

// dieWithParent asks the kernel to kill the child when the demo dies without
// having run its deferred calls. The kernel watches the thread that started the
// child; the Go runtime keeps its threads unless a goroutine locked to one
// ends, which none does here.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
