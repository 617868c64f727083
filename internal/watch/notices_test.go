package watch

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// source hands out watchers, or fails while it is told to.
type source struct {
	mu   sync.Mutex
	fail error
	made chan *fsnotify.Watcher
}

func (s *source) open() (*fsnotify.Watcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return nil, s.fail
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		s.made <- w
	}
	return w, err
}

func (s *source) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// next waits for a watcher to be made.
func (s *source) next(t *testing.T) *fsnotify.Watcher {
	t.Helper()
	select {
	case w := <-s.made:
		return w
	case <-time.After(patience):
		t.Fatalf("no watcher within %v", patience)
		return nil
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(word string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), word)
}

// TestWithoutNotices: the file is looked at; that is told once, and so is the
// end of it.
func TestWithoutNotices(t *testing.T) {
	path, _ := fresh(t)
	write(t, path, "a")
	var log lines
	f, err := New(path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s := &source{fail: errors.New("too many open files"), made: make(chan *fsnotify.Watcher, 100)}
	f.open, f.every = s.open, time.Millisecond
	r := start(t, f)
	for _, content := range []string{"b", "c"} {
		replace(t, path, content)
		r.only(content)
	}
	if warned, mended := log.count("WARN"), log.count("INFO"); warned != 1 || mended != 0 || log.count("too many open files") != 1 {
		t.Errorf("%d warnings and %d records of their end, want 1 and 0", warned, mended)
	}
	s.set(nil)
	s.next(t)
	replace(t, path, "d")
	r.only("d")
	if warned, mended := log.count("WARN"), log.count("INFO"); warned != 1 || mended != 1 {
		t.Errorf("%d warnings and %d records of their end, want 1 and 1", warned, mended)
	}
}

// TestWatcherLost: it overflows, or ends; another takes its place.
func TestWatcherLost(t *testing.T) {
	t.Parallel() // It waits most of the time.
	path, _ := fresh(t)
	write(t, path, "a")
	f := watched(t, path)
	s := &source{made: make(chan *fsnotify.Watcher, 100)}
	f.open = s.open
	r := start(t, f)
	select {
	case s.next(t).Errors <- fsnotify.ErrEventOverflow:
	case <-time.After(patience):
		t.Fatal("nobody listens for errors")
	}
	w := s.next(t)
	replace(t, path, "b")
	r.only("b")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s.next(t)
	replace(t, path, "c")
	r.only("c")
}

// TestOverflowMayHideAChange: what was not noticed is found.
func TestOverflowMayHideAChange(t *testing.T) {
	t.Parallel() // It waits most of the time.
	path, _ := fresh(t)
	write(t, path, "a")
	f := watched(t, path)
	s := &source{made: make(chan *fsnotify.Watcher, 100)}
	f.open = s.open
	r := start(t, f)
	w := s.next(t)
	w.Events <- fsnotify.Event{} // It is taken when everything is watched.
	if err := w.Remove(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	replace(t, path, "b")
	w.Errors <- fsnotify.ErrEventOverflow
	r.only("b")
}

func TestTrail(t *testing.T) {
	_, dir := fresh(t)
	in := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	makeDir(t, in("real", "deep"))
	write(t, in("real", "deep", "file"), "a")
	link(t, "real", in("relative"))
	link(t, in("real"), in("absolute"))
	link(t, filepath.Join("..", "relative", "deep", "file"), in("real", "up"))
	link(t, filepath.Join("relative", "none"), in("dangling"))
	link(t, "loop", in("loop"))
	for _, row := range []struct {
		path string
		want []string
	}{
		{in("real", "deep", "file"), []string{in("real", "deep", "file")}},
		{in("relative", "deep", "file"), []string{in("relative"), in("real", "deep", "file")}},
		{in("absolute", "deep", "file"), []string{in("absolute"), in("real", "deep", "file")}},
		{in("absolute", "up"), []string{in("absolute"), in("real", "up"), in("relative"), in("real", "deep", "file")}},
		{in("dangling"), []string{in("dangling"), in("relative"), in("real", "none")}},
		{in("none", "file"), []string{in("none")}},
		{in("real", "deep", "file", "below"), []string{in("real", "deep", "file", "below")}},
		{string(filepath.Separator), nil},
	} {
		if got := trail(row.path); !slices.Equal(got, row.want) {
			t.Errorf("trail(%s) = %q, want %q", row.path, got, row.want)
		}
	}
	if got := trail(in("loop")); len(got) != mostLinks+1 || got[0] != in("loop") {
		t.Errorf("a loop: %q", got)
	}
}

// TestConcerns: neighbours of the file are none of our business.
func TestConcerns(t *testing.T) {
	_, dir := fresh(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	makeDir(t, in("a"))
	write(t, in("a/file"), "x")
	link(t, "a", in("b"))
	n := notices{path: in("b/file"), open: fsnotify.NewWatcher, logger: slog.New(slog.DiscardHandler)}
	defer n.close()
	n.follow()
	for name, want := range map[string]bool{
		in("b"): true, in("a/file"): true, in("a"): true, dir: true,
		in("c"): false, in("a/other"): false, in("b/file"): false, "": false,
	} {
		if got := n.concerns(name); got != want {
			t.Errorf("%s concerns the file: %v", strings.TrimPrefix(name, dir), got)
		}
	}
	got := n.watcher.WatchList()
	slices.Sort(got)
	if want := []string{dir, in("a")}; !slices.Equal(got, want) {
		t.Errorf("watched: %q, want %q", got, want)
	}
	// What is not on the way any more is not watched any more.
	makeDir(t, in("d"))
	write(t, in("d/file"), "x")
	link(t, "d", in("b"))
	n.follow()
	got = n.watcher.WatchList()
	slices.Sort(got)
	if want := []string{dir, in("d")}; !slices.Equal(got, want) {
		t.Errorf("watched: %q, want %q", got, want)
	}
}

// TestUnreadableDirectory cannot be watched, but the file in it can be read.
func TestUnreadableDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("everything is readable for this user")
	}
	_, dir := fresh(t)
	home := filepath.Join(dir, "home")
	makeDir(t, home)
	path := filepath.Join(home, "file")
	write(t, path, "a")
	f := watched(t, path)
	f.every = time.Millisecond
	if err := os.Chmod(home, 0o300); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(home, 0o700) })
	r := start(t, f)
	replace(t, path, "b")
	r.only("b")
}
