package health

import (
	"context"
	"fmt"
	"time"
)

// freshness is what [Checker.Fresh] waits for. It is guarded by the checker's mu.
type freshness struct {
	at      time.Time     // when the last probe began whose outcome has been counted
	finding error         // of that probe; nil also after an own fault, which is no finding
	wanted  time.Time     // a probe that began before this is not fresh enough for somebody who waits
	ended   chan struct{} // closed at the end of a probe, or when there is an heir; made for who waits, otherwise nil
}

// Fresh makes sure that what is believed rests on a probe that began at most maxAge ago: if the last one is older, it asks Run for one
// at once and waits for its end. However many ask at the same time, there is one probe, and none while the last is young enough, also
// when that has failed.
//
// Nil means that nothing speaks against the upstream but what [Checker.Healthy] says. Otherwise the error is what the probe has found,
// or says that ctx ended before there was an answer, and wraps ctx's error: it is wise to prefer another upstream, even while the
// breaker, which forgives single failures, is still closed. An own fault ([IsLocal]) is no finding. The result of the probe counts like
// that of any other.
//
// The deadline is ctx's; a single probe is bounded by Options.Timeout too. While nobody runs the checker there is no probe to wait for.
// When the last probe is fresh it costs one lock.
func (c *Checker) Fresh(ctx context.Context, maxAge time.Duration) error {
	oldest := time.Now().Add(-maxAge)
	for {
		c = c.heir()
		ended, finding := c.freshSince(oldest)
		if ended == nil {
			return finding
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return fmt.Errorf("probe of %q on demand: %w", c.name, ctx.Err())
		}
	}
}

// freshSince returns what the last probe has found if it is fresh. If not it asks for one, and returns what is closed at its end.
func (c *Checker) freshSince(oldest time.Time) (ended <-chan struct{}, finding error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.fresh.at; !at.IsZero() && !at.Before(oldest) {
		return nil, c.fresh.finding
	}
	if c.fresh.wanted.Before(oldest) {
		c.fresh.wanted = oldest
	}
	if c.fresh.ended == nil {
		c.fresh.ended = make(chan struct{})
	}
	if c.next.Load() != nil { // it has come since heir was asked, and nobody will close ours
		c.releaseFresh()
		return closed, nil
	}
	c.wake()
	return c.fresh.ended, nil
}

// closed is a channel on which nobody waits.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// refresh notes a probe whose outcome has been counted, so that those who waited for it see what has come of it.
func (c *Checker) refresh(at time.Time, err error) {
	if IsLocal(err) {
		err = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh.at, c.fresh.finding = at, err
	c.releaseFresh()
}

// releaseFresh lets those look again who wait in Fresh. The caller holds mu.
func (c *Checker) releaseFresh() {
	if c.fresh.ended != nil {
		close(c.fresh.ended)
		c.fresh.ended = nil
	}
}

// demanded reports whether somebody waits for a probe that is younger than the last one.
func (c *Checker) demanded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fresh.ended != nil && c.fresh.at.Before(c.fresh.wanted)
}
