package drain

import (
	"sync"
	"time"
)

// lookAtWindow is how often a drain looks whether closes that are on their way
// have been made, when it can do nothing else.
const lookAtWindow = 5 * time.Millisecond

// window is the closes of the last second, by the moment at which they were
// made, and those that were asked for and are not made yet: a loop may be late,
// and then makes many at once. Its methods may be called concurrently.
type window struct {
	mu     sync.Mutex
	asked  int         // not made yet
	made   []time.Time // oldest first
	passed int         // the first of them are older than a second
}

// ask notes that a close is asked for. It is made or withdrawn later, once.
func (w *window) ask() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
}

// make notes that a close was made now.
func (w *window) make() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked--
	w.made = append(w.made, time.Now()) // under the lock, so that they are in order
}

// withdraw notes that a close will not be made.
func (w *window) withdraw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked--
}

// wait is how long the next close has to wait, so that no second has more than
// rate of them, whenever those on their way are made.
func (w *window) wait(now time.Time, rate int) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.passed < len(w.made) && now.Sub(w.made[w.passed]) >= time.Second {
		w.passed++
	}
	if w.passed > 1000 && w.passed > len(w.made)/2 {
		w.made = append(w.made[:0], w.made[w.passed:]...)
		w.passed = 0
	}
	recent := w.made[w.passed:]
	switch over := len(recent) + w.asked - rate; {
	case over < 0:
		return 0
	case over < len(recent):
		return recent[over].Add(time.Second).Sub(now)
	default:
		return lookAtWindow
	}
}
