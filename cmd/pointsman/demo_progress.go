package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// demoProgress tells people how the demo goes: on a terminal one line that is
// redrawn, elsewhere about one line per second. What was told is not an error's
// business: failing writes are ignored.
type demoProgress struct {
	out   io.Writer
	live  bool
	began time.Time

	mu    sync.Mutex
	drawn int // length of the line on the terminal that may be redrawn
}

func newDemoProgress(out io.Writer) *demoProgress {
	return &demoProgress{out: out, live: isTerminal(out), began: time.Now()}
}

// isTerminal reports whether w is a character device.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// run shows line again and again until ctx ends.
func (p *demoProgress) run(ctx context.Context, line func() string) {
	every := time.Second
	if p.live {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.show(line())
		case <-ctx.Done():
			return
		}
	}
}

// show draws a line that the next one replaces on a terminal.
func (p *demoProgress) show(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line = p.stampLocked(line)
	if !p.live {
		_, _ = fmt.Fprintln(p.out, line)
		return
	}
	// Spaces instead of an escape sequence: every terminal knows them.
	_, _ = fmt.Fprint(p.out, "\r", line, strings.Repeat(" ", max(0, p.drawn-len(line))))
	p.drawn = len(line)
}

// note writes a line that stays.
func (p *demoProgress) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clearLocked()
	_, _ = fmt.Fprintln(p.out, p.stampLocked(fmt.Sprintf(format, args...)))
}

// clear wipes the line that may be redrawn, before others write.
func (p *demoProgress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clearLocked()
}

func (p *demoProgress) clearLocked() {
	if p.drawn > 0 {
		_, _ = fmt.Fprint(p.out, "\r", strings.Repeat(" ", p.drawn), "\r")
		p.drawn = 0
	}
}

func (p *demoProgress) stampLocked(line string) string {
	return fmt.Sprintf("%5.1fs  %s", time.Since(p.began).Seconds(), line)
}
