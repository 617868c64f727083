package health

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Run probes the upstream, the first time at once, until ctx ends. When it returns, nothing that it started is left. The last belief stays
// in place. Only one Run works at a time: a second waits for the first to end.
func (c *Checker) Run(ctx context.Context) {
	select {
	case c.running <- struct{}{}:
		defer func() { <-c.running }()
	case <-ctx.Done():
		return
	}
	c.takeOver()
	c.keepTime(time.Now()) // a suspension may have ended while nobody ran
	for ctx.Err() == nil {
		select {
		case <-c.nudged: // asked for before this probe, so answered by it
		default:
		}
		c.probeOnce(ctx)
		c.wait(ctx)
	}
}

// Nudge asks for a probe at once. It never blocks. Nudges are coalesced, and a nudged probe starts no sooner than half of Recheck after the
// end of the one before, so that a storm of failures is not a storm of probes.
func (c *Checker) Nudge() {
	select {
	case c.heir().nudged <- struct{}{}:
	default:
	}
}

// probeOnce runs one probe and scores it.
func (c *Checker) probeOnce(ctx context.Context) {
	start := time.Now()
	c.mu.Lock()
	done := c.brk.admitProbe(start)
	c.mu.Unlock()

	probeCtx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	err := c.opts.Probe(probeCtx)
	cancel()
	took := time.Since(start)

	if ctx.Err() != nil { // our end says nothing about the upstream, but the place in the breaker must be given back
		c.settle(done, probe, ErrLocal)
		return
	}
	err = stalled("probe", took, c.opts.Timeout, err)
	c.noteProbe(start, took, err)
	c.settle(done, probe, err)
	c.refresh(start, err)
}

// noteProbe keeps the result of a probe for Status and for the choice of the next wait.
func (c *Checker) noteProbe(at time.Time, took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = LastProbe{At: at, Took: took}
	switch {
	case err == nil:
		c.lastOK = good
	case IsLocal(err):
		c.last.Err = fmt.Sprintf("%v (not counted)", err)
	default:
		c.lastOK = bad
		c.last.Err = err.Error()
	}
}

// wait returns when the next probe is due, or when ctx ends. Until then it keeps the time.
func (c *Checker) wait(ctx context.Context) {
	ended := time.Now()
	due := ended.Add(c.nextWait())
	timer := time.NewTimer(0)
	defer timer.Stop()
	nudged := c.nudged
	for {
		now := time.Now()
		alarm := c.keepTime(now)
		if !now.Before(due) || c.demanded() {
			return
		}
		if alarm.IsZero() || alarm.After(due) {
			alarm = due
		}
		timer.Reset(alarm.Sub(now))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-c.woken:
		case <-nudged:
			nudged = nil // one is enough
			if early := ended.Add(c.opts.Recheck / 2); early.Before(due) {
				due = early
			}
		}
	}
}

// keepTime ends a suspension or a hold whose time is over. It returns when it wants to be called again, zero for not yet known.
func (c *Checker) keepTime(now time.Time) (alarm time.Time) {
	c.mu.Lock()
	if !c.suspended.IsZero() && !now.Before(c.suspended) {
		c.unsuspend(now, "suspension is over")
	}
	if !c.hold.until.IsZero() && !now.Before(c.hold.until) {
		c.hold.until = time.Time{}
		c.tell(change{msg: "hold is over"})
	}
	alarm = c.suspended // not at the same time as a hold
	if alarm.IsZero() {
		alarm = c.hold.until
	}
	pending := len(c.changes) > 0
	c.mu.Unlock()
	if pending {
		c.deliver()
	}
	return alarm
}

// wake makes Run ask keepTime again.
func (c *Checker) wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// nextWait is Interval, or Recheck while the last probe that counted differs from the belief, with jitter.
func (c *Checker) nextWait() time.Duration {
	c.mu.Lock()
	settled := c.lastOK != noVerdict && (c.lastOK == good) == c.brk.healthy()
	c.mu.Unlock()
	if settled {
		return jittered(c.opts.Interval, c.opts.Jitter)
	}
	return jittered(c.opts.Recheck, c.opts.Jitter)
}

// jittered returns d × (1 ± jitter·random).
func jittered(d time.Duration, jitter float64) time.Duration {
	return time.Duration(float64(d) * (1 + jitter*(2*rand.Float64()-1)))
}
