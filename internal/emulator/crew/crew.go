package crew

import "sync"

// Crew is a bounded set of goroutines. All methods may be called concurrently.
type Crew struct {
	limit int

	mu        sync.Mutex
	dismissed bool
	busy      int
	work      sync.WaitGroup // guarded by dismissed: Add only while it is false
}

// New returns a crew of at most limit goroutines, 1 at least.
func New(limit int) *Crew { return &Crew{limit: limit} }

// Go runs f in a goroutine, or returns false if as many as are allowed run or
// the crew was dismissed.
func (c *Crew) Go(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dismissed || c.busy >= c.limit {
		return false
	}
	c.busy++
	c.work.Go(func() {
		defer c.free()
		f()
	})
	return true
}

func (c *Crew) free() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy--
}

// Dismiss lets no goroutine begin any more and waits for those that run. Twice
// is fine.
func (c *Crew) Dismiss() {
	c.Close()
	c.work.Wait()
}

// Close lets no goroutine begin any more.
func (c *Crew) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dismissed = true
}

// Closed reports whether no goroutine may begin any more.
func (c *Crew) Closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dismissed
}
