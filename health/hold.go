package health

import (
	"math/rand/v2"
	"time"
)

// leastShare is what an upstream gets at the very beginning of its ramp.
const leastShare = 0.01

// hold says how long an upstream is kept back after a recovery, and remembers for that how the earlier ones went. Every method
// needs the lock of the Checker that owns it.
type hold struct {
	opts Options

	recovered time.Time     // when the breaker last closed after having been open; zero before the first time
	relapses  int           // in a row, each of which doubles
	length    time.Duration // of the present or last hold
	until     time.Time     // its end, as long as that has not been told; zero without
}

// phase is the way of a recovered upstream back to its full share. It never changes, so that Share can read it without a lock.
type phase struct {
	held time.Time // the share is 0 before this
	full time.Time // and 1 from here
}

// share returns the share at a moment; 1 means that the phase is over.
func (p *phase) share(now time.Time) float64 {
	switch {
	case now.Before(p.held):
		return 0
	case !now.Before(p.full):
		return 1
	default:
		return max(leastShare, float64(now.Sub(p.held))/float64(p.full.Sub(p.held)))
	}
}

// fresh reports whether the last recovery has not proved itself yet. It does not go by until, which may be from a suspension.
func (h *hold) fresh(now time.Time) bool {
	return !h.recovered.IsZero() && now.Sub(h.recovered) <= max(h.opts.FlapWindow, h.length)
}

// forget drops the relapses that a long recovery has made good. It must be called only while the breaker is closed.
func (h *hold) forget(now time.Time) {
	if !h.fresh(now) {
		h.relapses = 0
	}
}

// tripped notes that the breaker has opened.
func (h *hold) tripped(now time.Time) {
	if h.fresh(now) {
		h.relapses++
	} else {
		h.relapses = 0
	}
}

// begin starts a hold and the ramp after it. It returns nil when there is neither.
func (h *hold) begin(now time.Time) *phase {
	h.length = h.next()
	h.until = time.Time{}
	if h.length > 0 {
		h.until = now.Add(h.length)
	}
	return h.phase(now, now.Add(h.length))
}

// phase is the phase with a hold that ends at held, nil when there is nothing left of it.
func (h *hold) phase(now, held time.Time) *phase {
	full := held.Add(h.opts.Ramp)
	if !full.After(now) {
		return nil
	}
	return &phase{held: held, full: full}
}

// next is the length of a hold that begins now.
func (h *hold) next() time.Duration {
	d := h.opts.Hold
	if d == 0 {
		return 0
	}
	for range h.relapses {
		if d > h.opts.MaxHold/2 {
			d = h.opts.MaxHold
			break
		}
		d *= 2
	}
	if h.opts.Jitter > 0 {
		// Whole milliseconds, because people will read it.
		d += time.Duration(rand.Int64N(int64(d)/10 + 1)).Truncate(time.Millisecond)
	}
	return d
}

// adopt takes over what old remembers, and what is left of its phase p.
func (h *hold) adopt(old hold, p *phase, now time.Time) *phase {
	opts := h.opts
	*h = old
	h.opts = opts
	if p == nil {
		return nil
	}
	held := p.held
	if opts.Hold == 0 && held.After(now) {
		held = now
		h.until = time.Time{}
	}
	return h.phase(now, held)
}

// Share returns the part of its new sessions that the upstream should get now, beside others that could take them: 0 while it is
// held after a recovery, rising during the ramp, otherwise 1. It says nothing about health: it is 1 while the upstream is down, too. When
// nothing is going on it is one atomic load: call it as often as you like.
func (c *Checker) Share() float64 {
	p := c.phase.Load()
	if p == nil {
		return 1
	}
	share := p.share(time.Now())
	if share == 1 {
		c.phase.CompareAndSwap(p, nil) // back to the cheap way; unless a new phase has begun
	}
	return share
}

// Held reports whether the upstream is held after a recovery: Share is 0.
func (c *Checker) Held() bool { return c.Share() == 0 }
