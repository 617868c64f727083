package watch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long a file has to be left alone before it is looked at.
	quiet = 100 * time.Millisecond
	// latest is how long that may be put off.
	latest = time.Second
	// every is how often a file is looked at in any case.
	every = 3 * time.Second
	// largest is how much of a file is looked at: more than any reader of
	// configurations takes.
	largest = 1<<20 + 1
)

// File is a file that is watched. Make one with [New].
type File struct {
	path   string // absolute
	logger *slog.Logger
	every  time.Duration
	open   func() (*fsnotify.Watcher, error)

	content content
}

// content is what was found at a path: its hash, or nothing.
type content struct {
	found bool
	hash  [sha256.Size]byte
}

// New returns the file at path, which may be missing for the moment, as it is
// now: every change from here on will be told. The errors are those of a path
// that leads to something else than a file, or to one that cannot be read. A nil
// logger discards; it gets a record when the system stops to give notice, and
// when it does again.
func New(path string, logger *slog.Logger) (*File, error) {
	if path == "" {
		return nil, errors.New("watch: no path")
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", path, err)
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	found, err := read(absolute)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return &File{path: absolute, logger: logger, every: every, open: fsnotify.NewWatcher, content: found}, nil
}

// Run watches the file until ctx ends, and calls changed after each change of its
// content. The calls do not overlap: what changes during one is told after it. Run
// returns when the last call has returned and all that it started has ended. It
// must not be called while another Run of the same File goes on.
func (f *File) Run(ctx context.Context, changed func()) {
	n := notices{path: f.path, open: f.open, logger: f.logger}
	defer n.close()
	n.follow()
	f.look(changed)

	var p pace
	timer := time.NewTimer(f.every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			p.done()
			// First the notices, then the look: nothing falls in between.
			n.follow()
			f.look(changed)
			timer.Reset(f.every)
		case event, ok := <-n.events():
			switch {
			case !ok:
				n.lose(errClosed)
				timer.Reset(latest)
			case n.concerns(event.Name):
				timer.Reset(p.wait(time.Now()))
			}
		case err, ok := <-n.errors():
			if !ok {
				err = errClosed
			}
			// Some notices are gone, and nobody knows which. The pause keeps one
			// who is always in trouble from keeping us busy.
			n.lose(err)
			timer.Reset(latest)
		}
	}
}

// look calls changed if the content is another than at the last look.
func (f *File) look(changed func()) {
	now, err := read(f.path)
	if err != nil || now == f.content {
		return // What is gone, or not readable yet, may come back.
	}
	f.content = now
	changed()
}

// read returns what is found at path.
func read(path string) (content, error) {
	info, err := os.Stat(path)
	if err != nil {
		return content{}, err
	}
	if !info.Mode().IsRegular() {
		return content{}, fmt.Errorf("%s is not a regular file", path) // To open a pipe might take for ever.
	}
	file, err := os.Open(path)
	if err != nil {
		return content{}, err
	}
	defer func() { _ = file.Close() }() // Only read: closing cannot lose anything.
	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(file, largest)); err != nil {
		return content{}, fmt.Errorf("read %s: %w", path, err)
	}
	return content{true, [sha256.Size]byte(hash.Sum(nil))}, nil
}

// pace says when to look at a file that is being changed.
type pace struct {
	first time.Time // of the changes that were not looked at yet; zero without one
}

// wait notes a change at a moment and returns how long to wait from then on.
func (p *pace) wait(now time.Time) time.Duration {
	if p.first.IsZero() {
		p.first = now
	}
	return max(0, min(quiet, latest-now.Sub(p.first)))
}

// done notes that the file is looked at.
func (p *pace) done() { p.first = time.Time{} }
