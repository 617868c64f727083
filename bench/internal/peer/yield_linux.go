package peer

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Yield lets the process at the root have a processor only when nobody else wants it (SCHED_IDLE): it would be on another machine. Threads
// that it starts inherit that.
func (p *Process) Yield() error {
	dir := fmt.Sprintf("/proc/%d/task", p.PID())
	threads, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("let %s yield: %w", p.name, err)
	}
	idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return fmt.Errorf("let %s yield: thread %q: %w", p.name, t.Name(), err)
		}
		if err := unix.SchedSetAttr(id, &idle, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("let %s yield: %w", p.name, err)
		}
	}
	return nil
}
