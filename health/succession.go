package health

import "time"

// adopt makes c, which nobody else knows yet, believe what old believes at this moment.
func (c *Checker) adopt(old *Checker) {
	now := time.Now()
	old.mu.Lock()
	defer old.mu.Unlock()
	c.replaces = old
	unknown := !old.brk.known && !old.brk.proven
	c.brk.adopt(old.brk)
	c.phase.Store(c.hold.adopt(old.hold, old.phase.Load(), now))
	c.suspended = old.suspended
	c.trips, c.last, c.lastOK = old.trips, old.last, old.lastOK
	c.fresh.at, c.fresh.finding = old.fresh.at, old.fresh.finding
	if unknown && c.suspended.IsZero() && c.brk.proven {
		return // InitialUp is new, and has decided
	}
	c.since, c.reason = old.since, old.reason
}

// takeOver makes the predecessor pass on to c what is reported to it.
func (c *Checker) takeOver() {
	c.mu.Lock()
	old := c.replaces
	c.replaces = nil
	c.mu.Unlock()
	if old == nil {
		return
	}
	old.next.Store(c)
	old.mu.Lock()
	old.releaseFresh() // its next probe is c's
	old.mu.Unlock()
}

// heir is the checker that has taken over from c, or c itself.
func (c *Checker) heir() *Checker {
	for next := c.next.Load(); next != nil; next = c.next.Load() {
		c = next
	}
	return c
}
