package health

import "time"

// change is something on its way to the log and, if Healthy has changed with it, to OnChange.
type change struct {
	msg     string
	attrs   []any // for the log, after the name
	flipped bool
	healthy bool
}

// moved is the change that says where the upstream stands now. The caller holds mu.
func (c *Checker) moved(flipped bool, heldFor time.Duration) change {
	ch := change{
		msg: "upstream is down", attrs: []any{"state", c.brk.state().String(), "reason", c.reason},
		flipped: flipped, healthy: c.healthy.Load(),
	}
	if ch.healthy {
		ch.msg = "upstream is up"
	}
	if heldFor > 0 {
		ch.attrs = append(ch.attrs, "held_for", heldFor)
	}
	return ch
}

// tell queues a change. The caller holds mu, and calls deliver when it has let go of it.
func (c *Checker) tell(ch change) { c.changes = append(c.changes, ch) }

// deliver logs and reports changes in order. Only one goroutine at a time does it; the others leave theirs to it.
func (c *Checker) deliver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.delivering {
		return
	}
	c.delivering = true
	for len(c.changes) > 0 {
		ch := c.changes[0]
		c.changes = c.changes[1:]
		c.mu.Unlock()
		c.opts.Logger.Info(ch.msg, append([]any{"upstream", c.name}, ch.attrs...)...)
		if ch.flipped && c.opts.OnChange != nil {
			c.opts.OnChange(ch.healthy)
		}
		c.mu.Lock()
	}
	c.changes = nil
	c.delivering = false
}
