package watch

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// never is an interval that no test outlives: what is told then, was noticed.
const never = 24 * time.Hour

// rig is a file that is being watched.
type rig struct {
	t    *testing.T
	path string
	told chan string // what was found at each call; "" also when nothing was
}

// start watches the file at path. A test may change f before.
func start(t *testing.T, f *File) *rig {
	t.Helper()
	r := &rig{t: t, path: f.path, told: make(chan string, 1000)}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		f.Run(ctx, func() {
			data, _ := os.ReadFile(f.path) // It may have gone again.
			r.told <- string(data)
		})
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	return r
}

// watched is a File whose changes only notices bring to light.
func watched(t *testing.T, path string) *File {
	t.Helper()
	f, err := New(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.every = never
	return f
}

// expect waits until the content is told, and returns what was told before.
func (r *rig) expect(content string) []string {
	r.t.Helper()
	limit := time.After(patience)
	var before []string
	for {
		select {
		case got := <-r.told:
			if got == content {
				return before
			}
			before = append(before, got)
		case <-limit:
			r.t.Fatalf("%q was not told within %v, only %q", content, patience, before)
		}
	}
}

// only is expect for what comes without anything before it.
func (r *rig) only(content string) {
	r.t.Helper()
	if before := r.expect(content); len(before) > 0 {
		r.t.Errorf("%q was told before %q", before, content)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace puts a file in the place of another in one step.
func replace(t *testing.T, path, content string) {
	t.Helper()
	write(t, path+".new", content)
	move(t, path+".new", path)
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func makeDir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// link makes a symbolic link, in the place of another if there is one.
func link(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path+".new"); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	move(t, path+".new", path)
}

// fresh returns a path in a new directory whose own path is real, and the
// directory.
func fresh(t *testing.T) (path, dir string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "pointsman.yaml"), dir
}
