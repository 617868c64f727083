package emulator

import (
	"sync"
	"time"
)

// restores are the pending ends of timed switches, one per switch at most. The
// zero value is ready.
type restores struct {
	mu      sync.Mutex
	pending map[string]*restore
	ended   bool
	running sync.WaitGroup // guarded by ended: Add only while it is false
}

// restore is one pending end. Its address tells it from one that replaced it.
type restore struct{ timer *time.Timer }

// after runs undo once d has passed, unless it is stopped or replaced first.
func (r *restores) after(name string, d time.Duration, undo func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopLocked(name)
	if r.ended {
		return
	}
	if r.pending == nil {
		r.pending = make(map[string]*restore)
	}
	p := new(restore)
	p.timer = time.AfterFunc(d, func() {
		if r.claim(name, p) {
			defer r.running.Done()
			undo()
		}
	})
	r.pending[name] = p
}

// claim reports whether p is still the pending one: a timer that fired just
// before it was stopped must not undo what came after it. The caller calls
// r.running.Done when it is.
func (r *restores) claim(name string, p *restore) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending[name] != p {
		return false
	}
	delete(r.pending, name)
	r.running.Add(1)
	return true
}

// stop forgets the pending restore of one switch.
func (r *restores) stop(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopLocked(name)
}

func (r *restores) stopLocked(name string) {
	if p := r.pending[name]; p != nil {
		p.timer.Stop()
		delete(r.pending, name)
	}
}

// stopAll forgets all pending restores.
func (r *restores) stopAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopAllLocked()
}

func (r *restores) stopAllLocked() {
	for name := range r.pending {
		r.stopLocked(name)
	}
}

// end forgets all pending restores, takes no more and waits for those that are
// running.
func (r *restores) end() {
	r.mu.Lock()
	r.ended = true
	r.stopAllLocked()
	r.mu.Unlock()
	r.running.Wait()
}
