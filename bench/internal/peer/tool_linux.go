package peer

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// SlowHTTPTest is the program that attacks with slow connections.
const SlowHTTPTest = "slowhttptest"

// FindTool returns the path of a program that takes part without being measured, or an error that wraps ErrMissing and names the Debian
// package.
func FindTool(name string) (string, error) {
	if path, ok := find(name); ok {
		return path, nil
	}
	return "", fmt.Errorf("%s is %w: install the Debian package %q", name, ErrMissing, name)
}

// StartTool starts a program that takes part without being measured. It would be on another machine, so it gets a processor only when nobody
// else wants it. The caller stops it.
func StartTool(name string, args ...string) (*Process, error) {
	path, err := FindTool(name)
	if err != nil {
		return nil, err
	}
	p, err := launch(name, path, args, nil, nil)
	if err != nil {
		return nil, err
	}
	err = unix.SchedSetAttr(p.PID(), &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
	if err != nil && p.Alive() == nil {
		p.Stop()
		return nil, fmt.Errorf("let %s stand back: %w", name, err)
	}
	return p, nil
}
