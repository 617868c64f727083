package peer

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	startTimeout = 15 * time.Second
	stopTimeout  = 5 * time.Second
	// pipeTimeout is how long a descendant may keep the output of an ended process open.
	pipeTimeout = 500 * time.Millisecond
)

// Process is a running child with its descendants.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when the process has ended and err is set
	err  error
	stop sync.Once
}

// launch starts a program in a process group of its own. stdout may be nil.
func launch(name, path string, args, env []string, stdout io.Writer) (*Process, error) {
	p := &Process{name: name, log: &tail{}, done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout = stdout
	p.cmd.Stderr = p.log
	// SIGTERM and not SIGKILL: nginx's master must still be able to end its workers.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p.cmd.WaitDelay = pipeTimeout
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the process, which Stop ends
		p.clear()
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// clear waits for the end of the process and ends those who are left of its group, as long as nobody else can have the group's number:
// until the process is waited for.
func (p *Process) clear() {
	for {
		if err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			break
		}
	}
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL) // an error only says that nobody is left
}

// PID is the process at the root of the tree.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends sig to the process at the root only.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("send %v to %s: %w", sig, p.name, err)
	}
	return nil
}

// Alive is nil while the process runs, and otherwise an error with the last lines that it wrote.
func (p *Process) Alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended (%w): %s", p.name, p.exit(), p.log)
	default:
		return nil
	}
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.done }

// Exit is how an ended process ended, empty for exit code 0. It waits for the end.
func (p *Process) Exit() string {
	<-p.done
	if p.err == nil {
		return ""
	}
	return p.err.Error()
}

// Kill ends the process and its group with SIGKILL and waits for its end. Stop then has nothing left to do. The error says that it had
// ended by itself.
func (p *Process) Kill() error {
	err := p.Alive()
	p.stop.Do(func() {
		if err == nil { // else the number may be another process's by now
			_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
		}
		<-p.done
	})
	return err
}

// Said is the end of what the process wrote to its standard error.
func (p *Process) Said() string { return p.log.String() }

func (p *Process) exit() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// Stop ends the process and its group, politely at first, and waits for it. Calling it twice is fine.
func (p *Process) Stop() {
	p.stop.Do(func() {
		if p.Signal(syscall.SIGTERM) != nil { // it has gone, and its group
			<-p.done
			return
		}
		_ = syscall.Kill(-p.PID(), syscall.SIGCONT) // a stopped process could not act on it
		t := time.NewTimer(stopTimeout)
		defer t.Stop()
		select {
		case <-p.done:
		case <-t.C:
			_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
			<-p.done
		}
	})
}

// answers waits until GET url gives 200, or the process ends, or startTimeout has passed. trust is for a URL with TLS.
func (p *Process) answers(ctx context.Context, url string, trust *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trust}}
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		last := get(ctx, client, url)
		if last == nil {
			return nil
		}
		select {
		case <-retry.C:
		case <-p.done:
			return p.Alive()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its last lines: %s", p.name, last, p.log)
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, res.Status)
	}
	return nil
}

// announced starts a program that says on its standard output what it listens on, and returns what follows each of the
// prefixes.
func announced(ctx context.Context, name, path string, args, env []string, prefixes ...string) (*Process, []string, error) {
	r, w := io.Pipe()
	p, err := launch(name, path, args, env, w)
	if err != nil {
		return nil, nil, err
	}
	go func() { // ends with the process
		<-p.done
		_ = w.Close()
	}()
	found := make(chan []string, 1)
	go func() { // ends with the pipe; reads on so that the process never blocks on it
		var values []string
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if len(values) == len(prefixes) {
				continue
			}
			if v, ok := strings.CutPrefix(lines.Text(), prefixes[len(values)]); ok {
				if values = append(values, v); len(values) == len(prefixes) {
					found <- values
				}
			}
		}
		_, _ = io.Copy(io.Discard, r)
	}()
	t := time.NewTimer(startTimeout)
	defer t.Stop()
	select {
	case values := <-found:
		return p, values, nil
	case <-p.done:
		err = p.Alive()
	case <-t.C:
		err = fmt.Errorf("%s did not print %q; its last lines: %s", name, prefixes, p.log)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.Stop()
	return nil, nil, err
}

// tail keeps the end of what a process writes, for error messages.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 2 << 10

// Write never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if extra := len(t.b) - tailSize; extra > 0 {
		t.b = append(t.b[:0], t.b[extra:]...)
	}
	return len(b), nil
}

// String is the kept end, or a note that there is none.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.b) == 0 {
		return "(none)"
	}
	return strings.TrimSpace(string(t.b))
}
