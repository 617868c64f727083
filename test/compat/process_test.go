//go:build compat && linux

package compat

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience bounds every wait for another process.
	patience = time.Minute
	// longestLine is the largest line that is read from a process.
	longestLine = 1 << 20
)

// A process is a child and the lines that it writes.
type process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // of standard output; closed at its end
	ended chan struct{}
}

// launch starts a program that is killed at the end of the test at the latest. What it writes to standard error is shown
// if the test fails.
func launch(t *testing.T, name, program string, args ...string) *process {
	t.Helper()
	p := &process{
		t: t, name: name, cmd: exec.Command(program, args...),
		// Whatever is not looked at must not hold up the child.
		lines: make(chan string, 10_000),
		ended: make(chan struct{}),
	}
	stderr := new(record)
	p.cmd.Stderr = stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// Settings of the shell must not reach the router, and its probes shall be
	// fast: these are settings for all, so that each test need not say them.
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "POINTSMAN_") {
			p.cmd.Env = append(p.cmd.Env, variable)
		}
	}
	p.cmd.Env = append(p.cmd.Env, "POINTSMAN_HEALTH_INTERVAL=1s", "POINTSMAN_HEALTH_RECHECK=50ms", "POINTSMAN_FAILBACK_HOLD=0s", "PYTHONDONTWRITEBYTECODE=1")

	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() { // ends with the process
		defer close(p.ended)
		defer close(p.lines)
		scanner := bufio.NewScanner(stdout)
		scanner.Buffer(nil, longestLine)
		for scanner.Scan() {
			p.lines <- scanner.Text()
		}
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && stderr.String() != "" {
			t.Logf("%s said:\n%s", name, stderr)
		}
	})
	return p
}

// line returns the next line of standard output.
func (p *process) line() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("%s ended (%v) where a line was expected", p.name, p.cmd.ProcessState)
		}
		return line
	case <-time.After(patience):
		p.t.Fatalf("%s wrote no line in %v", p.name, patience)
	}
	return ""
}

// after reads on until a line with the prefix, and returns the rest of it.
func (p *process) after(prefix string) string {
	p.t.Helper()
	for {
		if rest, ok := strings.CutPrefix(p.line(), prefix); ok {
			return rest
		}
	}
}

// kill ends the process like a crash, and returns when it is gone. Twice is fine.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // the only error is that it has ended
	for range p.lines {
	}
	<-p.ended
}

// terminate asks the process to end, and returns its exit code.
func (p *process) terminate() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("terminate %s: %v", p.name, err)
	}
	return p.exit()
}

// exit waits for the end of the process and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("%s did not end in %v", p.name, patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// record is what a process wrote, for two goroutines.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.TrimSpace(r.b.String())
}
