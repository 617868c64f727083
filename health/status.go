package health

import "time"

// State is the position of an upstream's breaker.
type State uint8

// The states; see the package comment.
const (
	Unknown State = iota
	Closed
	Open
	HalfOpen
)

// String returns "unknown", "closed", "open" or "half-open".
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half-open"
	default:
		return "unknown"
	}
}

// MarshalText makes a State a word in JSON and YAML. It never fails.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Status is a picture of a [Checker] at one moment, for operators.
type Status struct {
	State   State
	Healthy bool
	// Since is when Healthy last changed; before the first change, when the checker was made.
	Since time.Time
	// Trips counts how often the breaker has opened after it had let the upstream take sessions. Suspensions do not count.
	Trips uint64
	// Reason says in words why the upstream is up or down.
	Reason string
	// LastProbe is zero before the first probe has ended.
	LastProbe LastProbe

	// HeldUntil is when the present hold ends, zero when the upstream is not held.
	HeldUntil time.Time
	// RampUntil is when the upstream has its full share again, zero when no ramp is going on or to come after the hold.
	RampUntil time.Time
	// Hold is the length of the present or last hold, after doubling and jitter.
	Hold time.Duration
	// Relapses counts those in a row that make the next hold longer; see Options.FlapWindow.
	Relapses int
	// SuspendedUntil is when the suspension ends, zero without one.
	SuspendedUntil time.Time
}

// LastProbe is the result of the last probe that ended.
type LastProbe struct {
	// At is when it began.
	At time.Time
	// Took is how long it ran.
	Took time.Duration
	// Err is why it failed, empty when it was good. It ends in "(not counted)" after an own fault or an own stall.
	Err string
}

// Status returns the present picture. It takes a lock; [Checker.Healthy] does not.
func (c *Checker) Status() Status {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.brk.healthy() {
		c.hold.forget(now)
	}
	s := Status{
		State:          c.brk.state(),
		Healthy:        c.healthy.Load(),
		Since:          c.since,
		Trips:          c.trips,
		Reason:         c.reason,
		LastProbe:      c.last,
		Hold:           c.hold.length,
		Relapses:       c.hold.relapses,
		SuspendedUntil: c.suspended,
	}
	if p := c.phase.Load(); p != nil {
		if now.Before(p.held) {
			s.HeldUntil = p.held
		}
		if p.full.After(p.held) && now.Before(p.full) {
			s.RampUntil = p.full
		}
	}
	return s
}
