package certs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
)

// lockPoll is how often somebody who waits for a lock asks for it.
const lockPoll = 200 * time.Millisecond

// storage is a directory of files with locks. Those that come with certmagic are
// files that a goroutine touches, until some seconds after they are gone; these
// are the system's, which end with the process at the latest.
type storage struct {
	*certmagic.FileStorage

	mu   sync.Mutex
	held map[string]func() // how to release what is held
}

func newStorage(path string) *storage {
	return &storage{FileStorage: &certmagic.FileStorage{Path: path}, held: map[string]func(){}}
}

// Lock implements [certmagic.Locker].
func (s *storage) Lock(ctx context.Context, name string) error {
	for {
		ok, err := s.TryLock(ctx, name)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock %s: %w", name, ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

// TryLock implements [certmagic.TryLocker].
func (s *storage) TryLock(_ context.Context, name string) (bool, error) {
	path := s.Filename(filepath.Join("locks", certmagic.StorageKeys.Safe(name)+".flock"))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, fmt.Errorf("lock %s: %w", name, err)
	}
	release, err := tryLock(path)
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", name, err)
	}
	if release == nil {
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[name] = release
	return true, nil
}

// Unlock implements [certmagic.Locker].
func (s *storage) Unlock(_ context.Context, name string) error {
	s.mu.Lock()
	release := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if release == nil {
		return fmt.Errorf("unlock %s: it is not locked", name)
	}
	release()
	return nil
}
