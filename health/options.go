package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// Probe asks the upstream once whether it is well; nil means yes. It must return soon after ctx ends, and it must not keep
// anything running after it has returned. A probe that ignores ctx delays the next one, and an answer that comes far too late counts
// neither way. The error is shown to operators as it is, so it should name the operation, the object and the cause, and no secret.
type Probe func(ctx context.Context) error

// Options configures a [Checker]. Only Probe is required.
type Options struct {
	// Probe is the active check. Required.
	Probe Probe

	// Interval is the time between the end of a probe and the start of the next. Default 2s.
	Interval time.Duration
	// Recheck is used instead of Interval while the last probe differs from the standing belief. Default 500ms, and
	// never more than Interval.
	Recheck time.Duration
	// Timeout bounds one probe. Default 1s.
	Timeout time.Duration
	// HandshakeTimeout is the deadline that the caller sets on one handshake, connect included. The checker does not enforce it; it needs it
	// to recognise an outcome that is late because this process stood still. Default 5s.
	HandshakeTimeout time.Duration
	// Jitter spreads probes: every wait is interval × (1 ± Jitter·random). 0 to 1. Zero means the default 0.1; a negative
	// value means no jitter, of holds neither.
	Jitter float64

	// Rise is how many probes in a row must be good before an upstream that was down takes sessions again. One whose very first
	// probe failed counts as down; one whose first probe is good needs no other. Default 2.
	Rise int
	// Fall is how many failures in a row take an upstream out. Default 3.
	Fall int
	// InitialUp lets the upstream take sessions before the first probe. Default: it waits for the first good probe.
	InitialUp bool

	// Hold is how long an upstream that has recovered is held: it is healthy, and [Checker.Share] says 0. Zero means no hold. The
	// first good probe of an upstream that was never down is no recovery. Unless Jitter is negative, each hold is lengthened
	// at random by up to a tenth, so that many routers do not come home in step.
	Hold time.Duration
	// MaxHold is where the doubling of Hold ends; not shorter than Hold. Default 5m, or Hold if that is longer.
	MaxHold time.Duration
	// FlapWindow tells a relapse: an upstream that goes down this soon after its last recovery, or before the hold after it is over, is
	// held twice as long the next time, up to MaxHold. One that stays up for longer starts from Hold again. Default 5m.
	FlapWindow time.Duration
	// Ramp is how long Share takes to rise from 0 to 1 after the hold, or after the recovery when there is no hold. Zero means
	// that it does so at once.
	Ramp time.Duration

	// Replaces is the checker whose place this one takes, after a reload with other settings. It must have the same name. [New] copies
	// from it what is believed, and why, as it is at that moment: state, failures in a row, LastProbe, Trips, hold, relapses and
	// suspension. A Hold of zero here ends a hold, and another Ramp applies at once. The old one stays as it is until
	// the new one is run: from then on what is reported to the old one goes to the new one, except the outcomes of handshakes that
	// have begun before; and the old one should not be run any more.
	Replaces *Checker

	// Logger gets one Info record for each time the upstream goes up or down, is suspended, or has served its hold. Nil discards.
	Logger *slog.Logger
	// OnChange is called after Healthy has changed, with the new value. No lock is held, calls never overlap, and
	// they come in order. It runs in the goroutine that caused the change, or in one that is just delivering an
	// earlier change, so it should return soon. It may call the checker.
	OnChange func(healthy bool)
}

// The defaults of [Options].
const (
	defaultInterval         = 2 * time.Second
	defaultRecheck          = 500 * time.Millisecond
	defaultTimeout          = time.Second
	defaultHandshakeTimeout = 5 * time.Second
	defaultJitter           = 0.1
	defaultRise             = 2
	defaultFall             = 3
	defaultMaxHold          = 5 * time.Minute
	defaultFlapWindow       = 5 * time.Minute
)

// withDefaults reports every mistake in o and returns o with defaults filled in.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Probe == nil {
		bad("probe is missing")
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		unset time.Duration
	}{
		{"interval", &o.Interval, defaultInterval},
		{"recheck", &o.Recheck, defaultRecheck},
		{"timeout", &o.Timeout, defaultTimeout},
		{"handshake timeout", &o.HandshakeTimeout, defaultHandshakeTimeout},
		{"hold", &o.Hold, 0},
		{"max hold", &o.MaxHold, max(defaultMaxHold, o.Hold)},
		{"flap window", &o.FlapWindow, defaultFlapWindow},
		{"ramp", &o.Ramp, 0},
	} {
		switch {
		case *d.value < 0:
			bad("%s %v is negative", d.name, *d.value)
		case *d.value == 0:
			*d.value = d.unset
		}
	}
	o.Recheck = min(o.Recheck, o.Interval)
	if o.MaxHold >= 0 && o.MaxHold < o.Hold {
		bad("max hold %v is shorter than hold %v", o.MaxHold, o.Hold)
	}
	switch {
	case math.IsNaN(o.Jitter) || o.Jitter > 1:
		bad("jitter %v is not between 0 and 1", o.Jitter)
	case o.Jitter == 0:
		o.Jitter = defaultJitter
	case o.Jitter < 0:
		o.Jitter = 0
	}
	for _, n := range []struct {
		name  string
		value *int
		unset int
	}{{"rise", &o.Rise, defaultRise}, {"fall", &o.Fall, defaultFall}} {
		switch {
		case *n.value < 0 || *n.value > 1<<20:
			bad("%s %d is not between 1 and %d", n.name, *n.value, 1<<20)
		case *n.value == 0:
			*n.value = n.unset
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(errs...)
}
