package admin

import (
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// Upstream is what is known and believed about one upstream.
type Upstream struct {
	Name        string    `json:"name"`
	URL         string    `json:"url"`
	Role        string    `json:"role"`
	Weight      int       `json:"weight"`
	MaxSessions int       `json:"max_sessions"`
	State       State     `json:"state"`
	Healthy     bool      `json:"healthy"`
	Breaker     string    `json:"breaker"`
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason"`
	Trips       uint64    `json:"trips"`
	// Relapses are those in a row that make the next hold longer.
	Relapses int `json:"relapses"`
	// Share is the part of its new sessions that it gets beside others: 0 while
	// it is held or takes none, rising during the ramp, otherwise 1.
	Share float64 `json:"share"`
	// HeldUntil is when the hold ends; it is missing without one. HoldSecondsLeft
	// is 0 then.
	HeldUntil       time.Time `json:"held_until,omitzero"`
	HoldSecondsLeft float64   `json:"hold_seconds_left"`
	// RampUntil is when it has its full share again; missing if it has.
	RampUntil time.Time `json:"ramp_until,omitzero"`
	// SuspendedUntil is when a failover drill ends; missing without one.
	SuspendedUntil time.Time `json:"suspended_until,omitzero"`
	// Disabled says that the operator lets it have no new sessions, and
	// DisabledWhy why.
	Disabled    bool   `json:"disabled"`
	DisabledWhy string `json:"disabled_why"`
	// Leaving says that a reload has removed it and that it still has sessions.
	Leaving   bool   `json:"leaving"`
	LastProbe *Probe `json:"last_probe"` // null before the first
	Sessions  int    `json:"sessions"`
	Spares    Spares `json:"spares"`
	Totals    Totals `json:"totals"`
}

// State is how an upstream stands, in one word.
type State string

// The states. Where several are true, the first of these is told.
const (
	Leaving   State = "leaving"   // removed, and still has sessions
	Suspended State = "suspended" // a failover drill
	Disabled  State = "disabled"  // by the operator
	Unknown   State = "unknown"   // not probed yet, and not believed in
	Down      State = "down"
	Held      State = "held"    // back, but not trusted with new sessions yet
	Ramping   State = "ramping" // back, with a rising share of new sessions
	Healthy   State = "healthy"
)

// Probe is the last active check of an upstream.
type Probe struct {
	At           time.Time `json:"at"`
	Milliseconds float64   `json:"took_ms"`
	Error        string    `json:"error"`
}

// Totals count what happened with one upstream since the start. Failures for
// lack of descriptors or ports here are counted, but not held against it.
type Totals struct {
	Sessions          uint64 `json:"sessions"`
	HandshakeFailures uint64 `json:"handshake_failures"`
	Lost              uint64 `json:"lost"`
}

// Spares are the connections that are opened before a client needs them.
type Spares struct {
	// Ready is how many wait.
	Ready int `json:"ready"`
	// Used is how many have carried a handshake, and Wasted how many were thrown
	// away: too old, ended by the upstream, or given up.
	Used   uint64 `json:"used"`
	Wasted uint64 `json:"wasted"`
}

func describe(u *pool.Upstream, leaving bool, now time.Time) Upstream {
	belief, totals := u.Checker().Status(), u.Totals()
	s := Upstream{
		Name: u.Name(), URL: u.URL().Redacted(), Role: u.Role().String(),
		Weight: u.Weight(), MaxSessions: u.MaxSessions(),
		Healthy: belief.Healthy, Breaker: belief.State.String(),
		Since: belief.Since, Reason: belief.Reason, Trips: belief.Trips, Relapses: belief.Relapses,
		HeldUntil: belief.HeldUntil, RampUntil: belief.RampUntil, SuspendedUntil: belief.SuspendedUntil,
		Leaving: leaving, Sessions: u.Sessions(),
		Spares: Spares{Ready: u.SparesReady(), Used: totals.SparesUsed, Wasted: totals.SparesWasted},
		Totals: Totals{
			Sessions: totals.Sessions, HandshakeFailures: totals.HandshakeFailures, Lost: totals.Lost,
		},
	}
	s.DisabledWhy, s.Disabled = u.Disabled()
	if !s.HeldUntil.IsZero() {
		s.HoldSecondsLeft = max(0, s.HeldUntil.Sub(now).Seconds())
	}
	if s.Healthy && !s.Disabled && !leaving {
		s.Share = u.Checker().Share()
	}
	s.State = s.state(belief.State)
	if probe := belief.LastProbe; !probe.At.IsZero() {
		s.LastProbe = &Probe{At: probe.At, Milliseconds: float64(probe.Took.Microseconds()) / 1000, Error: probe.Err}
	}
	return s
}

func (s *Upstream) state(breaker health.State) State {
	switch {
	case s.Leaving:
		return Leaving
	case !s.SuspendedUntil.IsZero():
		return Suspended
	case s.Disabled:
		return Disabled
	case !s.Healthy && breaker == health.Unknown:
		return Unknown
	case !s.Healthy:
		return Down
	case s.Share == 0:
		return Held
	case s.Share < 1:
		return Ramping
	default:
		return Healthy
	}
}
