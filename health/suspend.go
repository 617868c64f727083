package health

import "time"

// Suspend makes the upstream count as down for d, for a failover drill: Healthy is false whatever the breaker says, and State goes on
// to say what that is. Probes run and the breaker learns as usual. It is no trip and no relapse. When d has passed while Run
// runs, at most one probe late, or at [Checker.Resume], the upstream is up again as if it had recovered: with a hold. That is, if the
// breaker is closed by then. Suspending again moves the end and replaces the reason; a d of zero or less is a Resume. The reason is
// shown to operators.
func (c *Checker) Suspend(d time.Duration, reason string) {
	c = c.heir()
	if d <= 0 {
		c.Resume()
		return
	}
	if reason == "" {
		reason = "by the operator"
	}
	now := time.Now()
	c.mu.Lock()
	c.suspended = now.Add(d)
	c.reason = "suspended: " + reason
	flipped := c.show(now, nil)
	c.tell(change{
		msg: "upstream is suspended", attrs: []any{"for", d, "reason", reason},
		flipped: flipped, healthy: false,
	})
	c.mu.Unlock()
	c.wake()
	c.deliver()
}

// Resume ends a suspension early; see [Checker.Suspend]. Without one it does nothing.
func (c *Checker) Resume() {
	c = c.heir()
	c.mu.Lock()
	if c.suspended.IsZero() {
		c.mu.Unlock()
		return
	}
	c.unsuspend(time.Now(), "resumed after a suspension")
	c.mu.Unlock()
	c.wake()
	c.deliver()
}

// unsuspend lets the breaker speak again. The caller holds mu and delivers.
func (c *Checker) unsuspend(now time.Time, reason string) {
	c.suspended = time.Time{}
	if !c.brk.healthy() {
		c.reason = c.brk.reason
		c.tell(c.moved(false, 0))
		return
	}
	c.hold.forget(now)
	c.reason = reason
	c.rise(now, true)
}
