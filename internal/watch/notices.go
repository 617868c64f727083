package watch

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

var errClosed = errors.New("the watcher has closed")

// notices are what the system tells about the way to one file. Directories are
// watched, not files: a file that is renamed over takes its watch with it.
type notices struct {
	path   string
	open   func() (*fsnotify.Watcher, error)
	logger *slog.Logger

	watcher *fsnotify.Watcher // nil while there is none
	way     []string          // of the last follow
	lost    bool              // and told so
}

// follow watches the way to the file as it is now.
func (n *notices) follow() {
	err := n.watch()
	switch {
	case err != nil && !n.lost:
		n.logger.Warn("changes of the file may be noticed late", "file", n.path, "after", every, "error", err)
	case err == nil && n.lost:
		n.logger.Info("changes of the file are noticed at once again", "file", n.path)
	}
	n.lost = err != nil
}

// watch brings what is watched up to date. The error says what is not watched,
// other than what has just gone.
func (n *notices) watch() error {
	if n.watcher == nil {
		w, err := n.open()
		if err != nil {
			return err
		}
		n.watcher, n.way = w, nil
	}
	for range 4 { // The way may change while we go it; if it goes on doing so, there will be a notice.
		way := trail(n.path)
		var errs []error
		for _, dir := range directories(way) {
			// Also when it is watched already: another directory may have taken the name.
			if err := n.watcher.Add(dir); err != nil && !gone(err) {
				errs = append(errs, &fs.PathError{Op: "watch", Path: dir, Err: err})
			}
		}
		for _, dir := range directories(n.way) {
			if !slices.Contains(directories(way), dir) {
				_ = n.watcher.Remove(dir) // It may have ended with the directory.
			}
		}
		same := slices.Equal(way, n.way)
		n.way = way
		if len(errs) > 0 || same {
			return errors.Join(errs...)
		}
	}
	return nil
}

// gone reports whether err is that of a path which is not there.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// concerns reports whether something that happened to name may have changed the
// file: name is on the way to it, or is a directory that has been moved or
// deleted itself.
func (n *notices) concerns(name string) bool {
	return slices.Contains(n.way, name) || slices.Contains(directories(n.way), name)
}

// lose gives up the watcher after err; follow makes a new one.
func (n *notices) lose(err error) {
	n.logger.Debug("file watcher starts anew", "file", n.path, "error", err)
	n.close()
}

func (n *notices) close() {
	if n.watcher != nil {
		_ = n.watcher.Close() // It ends in any case.
		n.watcher = nil
	}
}

func (n *notices) events() <-chan fsnotify.Event {
	if n.watcher == nil {
		return nil
	}
	return n.watcher.Events
}

func (n *notices) errors() <-chan error {
	if n.watcher == nil {
		return nil
	}
	return n.watcher.Errors
}

// mostLinks is how many symbolic links one path may lead over, as for the
// system.
const mostLinks = 40

// trail returns what decides where path leads, each with the real path of its
// directory: the symbolic links on the way, and the file at its end, or else
// the first on the way that is missing.
func trail(path string) []string {
	root := filepath.VolumeName(path) + string(filepath.Separator)
	dir, rest := root, steps(strings.TrimPrefix(path, root))
	var out []string
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			dir = filepath.Dir(dir)
			continue
		}
		here := filepath.Join(dir, name)
		info, err := os.Lstat(here)
		switch {
		case err == nil && info.Mode()&fs.ModeSymlink != 0 && links < mostLinks:
			links++
			out = append(out, here)
			target, err := os.Readlink(here)
			if err != nil {
				return out
			}
			if filepath.IsAbs(target) {
				root = filepath.VolumeName(target) + string(filepath.Separator)
				dir, target = root, strings.TrimPrefix(target, root)
			}
			rest = append(steps(target), rest...)
		case err != nil || len(rest) == 0:
			return append(out, here)
		default:
			dir = here
		}
	}
	return out
}

// steps splits a path. It does not clean it: "a/.." is not "." where a is a
// symbolic link.
func steps(path string) []string {
	return strings.Split(filepath.ToSlash(path), "/")
}

// directories returns the directory of each entry, once.
func directories(way []string) []string {
	var out []string
	for _, entry := range way {
		if dir := filepath.Dir(entry); !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	return out
}
