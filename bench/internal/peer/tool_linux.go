package peer

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// SlowHTTPTest is the program that attacks with slow connections.
const SlowHTTPTest = "slowhttptest"

const (
	// toolRuns is how long a tool runs before it rests, for toolRests on average.
	toolRuns  = time.Millisecond
	toolRests = 8 * time.Millisecond
)

// Tool is a program that takes part without being measured. It would be on another machine, so it gets a processor only when nobody else
// wants it, and a ninth of one at most: it is stopped and continued all the time. It runs in turns of equal length, and rests between them as
// chance will have it, or it would keep time with others who go by a clock.
type Tool struct {
	process *Process
	ends    chan struct{} // closed when it shall not take turns any more
	ended   chan struct{} // closed when it does not
	end     sync.Once
}

// FindTool returns the path of a program that takes part without being measured, or an error that wraps ErrMissing and names the Debian
// package.
func FindTool(name string) (string, error) {
	if path, ok := find(name); ok {
		return path, nil
	}
	return "", fmt.Errorf("%s is %w: install the Debian package %q", name, ErrMissing, name)
}

// StartTool starts a program of one process. The caller stops it.
func StartTool(name string, args ...string) (*Tool, error) {
	path, err := FindTool(name)
	if err != nil {
		return nil, err
	}
	p, err := launch(name, path, args, nil, nil)
	if err != nil {
		return nil, err
	}
	if err = standBack(p.PID()); err != nil && p.Alive() == nil {
		p.Stop()
		return nil, fmt.Errorf("let %s stand back: %w", name, err)
	}
	t := &Tool{process: p, ends: make(chan struct{}), ended: make(chan struct{})}
	go t.takeTurns()
	return t, nil
}

// takeTurns lets the tool run and rest, until it has ended or shall not any more.
func (t *Tool) takeTurns() {
	defer close(t.ended)
	turn := time.NewTimer(toolRuns)
	defer turn.Stop()
	for runs := true; ; runs = !runs {
		select {
		case <-turn.C:
		case <-t.process.Ended():
			return
		case <-t.ends:
			return
		}
		next, lasts := syscall.SIGCONT, toolRuns
		if runs {
			next, lasts = syscall.SIGSTOP, toolRests/2+rand.N(toolRests)
		}
		if t.process.Signal(next) != nil { // it has ended
			return
		}
		turn.Reset(lasts)
	}
}

// Freeze makes it do nothing any more. Its connections stay. It may have ended by itself.
func (t *Tool) Freeze() {
	t.end.Do(func() { close(t.ends) })
	<-t.ended
	_ = t.process.Signal(syscall.SIGSTOP) // the error says that it has ended
}

// Stop ends it and waits for its end. Calling it twice is fine.
func (t *Tool) Stop() {
	t.Freeze()
	t.process.Stop()
}
