package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// Names of the demo's upstreams. They are those that serve gives by itself, so
// that its status and our X-Upstream speak of the same thing.
const (
	demoPrimary   = "primary-1"
	demoSecondary = "secondary-1"
)

const (
	// childReadyWithin bounds how long a child may take to print its addresses.
	childReadyWithin = 15 * time.Second
	// portBackWithin bounds how long a restarted upstream may wait for its old
	// port: an outgoing connection of anybody may have it for a moment.
	portBackWithin = 10 * time.Second
	portRetry      = 200 * time.Millisecond

	keptStderr = 16 << 10 // bytes kept of each child's stderr
	keptLine   = 4 << 10  // longest line looked at on a child's stdout
)

// demoTree is the demo's process tree. Its methods are for one goroutine.
type demoTree struct {
	exe     string   // what is started, by default ourselves
	environ []string // of all children
	// router returns the arguments that make exe the router, which finds
	// routerEnviron in its environment too.
	router        func(primaryURL, secondaryURL string) []string
	routerEnviron []string
	// failed is told of each child that was ready and then ended without being
	// asked to. It may be called concurrently.
	failed func(error)

	children []*demoChild
	watchers sync.WaitGroup // one goroutine per child that became ready
	primary  *demoChild

	primaryURL   string
	secondaryURL string
	routerURL    string
	adminURL     string
}

// serveArgs is the router of the real demo.
func serveArgs(primaryURL, secondaryURL string) []string {
	return []string{
		"serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--primary", primaryURL, "--secondary", secondaryURL,
	}
}

// start starts two upstreams and the router. Call stop also when it fails.
func (t *demoTree) start(ctx context.Context) error {
	secondary, err := t.startUpstream(ctx, demoSecondary, "127.0.0.1:0")
	if err != nil {
		return err
	}
	t.primary, err = t.startUpstream(ctx, demoPrimary, "127.0.0.1:0")
	if err != nil {
		return err
	}
	t.secondaryURL = secondary.said(upstreamListeningLine)
	t.primaryURL = t.primary.said(upstreamListeningLine)
	router, err := t.startChild(ctx, "router", t.router(t.primaryURL, t.secondaryURL), t.routerEnviron, serveListeningLine, serveAdminLine)
	if err != nil {
		return err
	}
	t.routerURL = router.said(serveListeningLine)
	t.adminURL = router.said(serveAdminLine)
	return nil
}

func (t *demoTree) startUpstream(ctx context.Context, name, addr string) (*demoChild, error) {
	args := []string{"upstream", "--listen", addr, "--mode", upstreamModeEcho, "--name", name}
	return t.startChild(ctx, name, args, nil, upstreamListeningLine)
}

// killPrimary kills the primary like a crash would and returns once it is gone.
func (t *demoTree) killPrimary() { t.primary.kill() }

// revivePrimary starts the primary again on the port it had.
func (t *demoTree) revivePrimary(ctx context.Context) error {
	addr := strings.TrimPrefix(t.primaryURL, "ws://")
	deadline := time.Now().Add(portBackWithin)
	for {
		c, err := t.startUpstream(ctx, demoPrimary, addr)
		if err == nil {
			t.primary = c
			return nil
		}
		if !errors.Is(err, errChildEndedEarly) || time.Now().After(deadline) {
			return err
		}
		if !sleepContext(ctx, portRetry) {
			return context.Cause(ctx)
		}
	}
}

// stop kills what is left and returns once all children are gone. It may be
// called more than once.
func (t *demoTree) stop() {
	for _, c := range t.children {
		c.kill()
	}
	t.watchers.Wait()
}

// writeLogs writes what the children last said on stderr.
func (t *demoTree) writeLogs(w io.Writer) {
	for _, c := range t.children {
		if tail := c.stderr.String(); tail != "" {
			_, _ = fmt.Fprintf(w, "--- last lines of %s (pid %d):\n%s", c.name, c.cmd.Process.Pid, tail)
			if !strings.HasSuffix(tail, "\n") {
				_, _ = fmt.Fprintln(w)
			}
		}
	}
}

// errChildEndedEarly marks a child that ended before it had printed all its
// addresses.
var errChildEndedEarly = errors.New("ended before it was ready")

// demoChild is one process of the tree.
type demoChild struct {
	name   string
	cmd    *exec.Cmd
	stdout *promisedLines
	stderr *tailBuffer

	exited chan struct{} // closed once the process is gone

	mu    sync.Mutex
	asked bool // we killed it, or were about to
}

// startChild starts exe with args, and more environment than the others have,
// and waits until it has printed a line for each of the prefixes.
func (t *demoTree) startChild(ctx context.Context, name string, args, more []string, prefixes ...string) (*demoChild, error) {
	c := &demoChild{
		name:   name,
		cmd:    exec.Command(t.exe, args...),
		stdout: newPromisedLines(prefixes),
		stderr: new(tailBuffer),
		exited: make(chan struct{}),
	}
	c.cmd.Env = slices.Concat(t.environ, more)
	c.cmd.Stdout, c.cmd.Stderr = c.stdout, c.stderr
	c.cmd.WaitDelay = time.Second // pipes held open by somebody else must not hold us
	dieWithParent(c.cmd)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	t.children = append(t.children, c)
	go func() {
		defer close(c.exited)
		// How it ended is in ProcessState; that we killed it is no error.
		_ = c.cmd.Wait()
	}()

	timeout := time.NewTimer(childReadyWithin)
	defer timeout.Stop()
	var err error
	select {
	case <-c.stdout.kept:
		t.watchers.Go(func() { t.watch(c) })
		return c, nil
	case <-c.exited:
		err = fmt.Errorf("%s %w: %s", name, errChildEndedEarly, strings.TrimSpace(c.stderr.String()))
	case <-timeout.C:
		err = fmt.Errorf("%s did not print its addresses within %s", name, childReadyWithin)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.kill()
	return nil, err
}

// watch waits for the end of c and tells failed unless we asked for it.
func (t *demoTree) watch(c *demoChild) {
	<-c.exited
	if !c.wasAsked() {
		t.failed(fmt.Errorf("%s ended by itself: %s", c.name, c.cmd.ProcessState))
	}
}

// said returns the rest of the line that began with prefix.
func (c *demoChild) said(prefix string) string { return c.stdout.after(prefix) }

func (c *demoChild) wasAsked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

// kill ends the process at once and returns when it is gone.
func (c *demoChild) kill() {
	c.mu.Lock()
	c.asked = true
	c.mu.Unlock()
	// The only error is that the process has ended already.
	_ = c.cmd.Process.Kill()
	<-c.exited
}

// promisedLines takes a child's stdout and waits for lines with known
// beginnings; everything else is dropped.
type promisedLines struct {
	kept chan struct{} // closed once every line was seen

	mu      sync.Mutex
	partial []byte
	missing []string
	found   map[string]string
}

func newPromisedLines(prefixes []string) *promisedLines {
	return &promisedLines{kept: make(chan struct{}), missing: prefixes, found: make(map[string]string)}
}

// Write implements io.Writer for one writer.
func (p *promisedLines) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := b
	for {
		line, after, whole := bytes.Cut(rest, []byte("\n"))
		if room := keptLine - len(p.partial); len(line) > room {
			line = line[:room]
		}
		p.partial = append(p.partial, line...)
		if !whole {
			return len(b), nil
		}
		p.takeLocked(strings.TrimRight(string(p.partial), "\r"))
		p.partial, rest = p.partial[:0], after
	}
}

func (p *promisedLines) takeLocked(line string) {
	for i, prefix := range p.missing {
		value, ok := strings.CutPrefix(line, prefix)
		if !ok {
			continue
		}
		p.found[prefix] = value
		p.missing = append(p.missing[:i:i], p.missing[i+1:]...)
		if len(p.missing) == 0 {
			close(p.kept)
		}
		return
	}
}

func (p *promisedLines) after(prefix string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.found[prefix]
}

// tailBuffer keeps the last keptStderr bytes written to it.
type tailBuffer struct {
	mu   sync.Mutex
	tail []byte
}

// Write implements io.Writer.
func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tail = append(b.tail, p...)
	if over := len(b.tail) - keptStderr; over > 0 {
		b.tail = append(b.tail[:0], b.tail[over:]...)
	}
	return len(p), nil
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.tail)
}
