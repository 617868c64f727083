package certs

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLock: one holder at a time, also for two users of one directory.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	users := []*storage{newStorage(dir), newStorage(dir)}
	var inside, times atomic.Int32
	var work sync.WaitGroup
	for _, s := range append(users, users...) {
		work.Go(func() {
			for range 2 {
				if err := s.Lock(t.Context(), "a/b:c"); err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d inside", n)
				}
				runtime.Gosched()
				inside.Add(-1)
				times.Add(1)
				if err := s.Unlock(t.Context(), "a/b:c"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	if n := times.Load(); n != 8 {
		t.Errorf("%d times inside; want 8", n)
	}
}

func TestLockWaits(t *testing.T) {
	s := newStorage(t.TempDir())
	if ok, err := s.TryLock(t.Context(), "a"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := s.TryLock(t.Context(), "b"); !ok || err != nil {
		t.Error("another name is locked, too: ", err)
	}
	if ok, err := newStorage(s.Path).TryLock(t.Context(), "a"); ok || err != nil {
		t.Error("locked twice: ", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := s.Lock(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v; want the end of the time", err)
	}
	if err := s.Unlock(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if err := s.Unlock(t.Context(), "a"); err == nil {
		t.Error("unlocked twice")
	}
	if err := s.Lock(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"a", "b"} {
		if err := s.Unlock(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}
