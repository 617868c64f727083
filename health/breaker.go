package health

import (
	"errors"
	"fmt"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	// penaltyMemory: a traffic trip this soon after a recovery doubles the penalty.
	penaltyMemory = time.Minute
	// maxPenalty is where the doubling ends.
	maxPenalty = time.Minute
	// lossMemory: session losses further apart than this are not one streak.
	lossMemory = time.Minute
)

// source says where an outcome comes from.
type source uint8

const (
	probe source = iota
	handshake
	loss
)

// breaker turns outcomes into a state. It wraps gobreaker's two-step breaker, which owns the states, the count of good
// probes in half-open, and the generation number that makes late outcomes harmless; the streaks are ours, because gobreaker
// knows only one kind of outcome. Every method needs the lock of the Checker that owns it; the callbacks that gobreaker makes under
// its own lock only touch these fields.
type breaker struct {
	cb   *gobreaker.TwoStepCircuitBreaker[struct{}]
	opts Options

	pos    gobreaker.State // as last told by gobreaker
	known  bool            // some outcome has counted
	proven bool            // a probe was good once, or InitialUp
	reason string          // of the last step up or down

	// The outcome being settled, for the callbacks.
	from source
	err  error
	now  time.Time

	streaks
	fine

	adopting bool // adopt is at work: every outcome is a failure, and one is enough
}

// streaks is what leads to the next step down. It is zero after each step up or down.
type streaks struct {
	probeFails     int
	contradicted   bool // a good handshake has overridden bad probes since the last good one
	handshakeFails int
	losses         int
	goodSinceLoss  int
	culprits       culprits  // of handshakeFails and losses
	trafficFailed  time.Time // last failed handshake or loss; zero after a good handshake
	lastLoss       time.Time
}

// fine is what an upstream pays after a trip caused by traffic.
type fine struct {
	penalty   time.Duration
	counts    time.Time // probes that begin before this do not count
	recovered time.Time // last step up from open; zero before the first
}

// errAdopted opens a new breaker whose predecessor was open. Nobody sees it.
var errAdopted = errors.New("open since before")

func newBreaker(o Options) *breaker {
	b := &breaker{opts: o, proven: o.InitialUp, reason: "not probed yet"}
	if o.InitialUp {
		b.reason = "taken as up at the start"
	}
	b.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests: uint32(o.Rise),
		// The pace of probes is the checker's business: any probe may try an open breaker.
		Timeout:       time.Nanosecond,
		IsExcluded:    func(err error) bool { return IsLocal(err) || b.culprits.again(err) },
		IsSuccessful:  func(error) bool { return !b.adopting && b.score() },
		ReadyToTrip:   func(gobreaker.Counts) bool { return b.adopting || b.tripped() },
		OnStateChange: func(_ string, _, to gobreaker.State) { b.step(to) },
	})
	return b
}

// state is the position in the words of [Status].
func (b *breaker) state() State {
	switch {
	case b.pos == gobreaker.StateOpen:
		return Open
	case b.pos == gobreaker.StateHalfOpen:
		return HalfOpen
	case !b.known:
		return Unknown
	default:
		return Closed
	}
}

// healthy reports whether the upstream takes sessions.
func (b *breaker) healthy() bool { return b.pos == gobreaker.StateClosed && b.proven }

// admitTraffic returns the func to settle a handshake or a loss with, nil when it does not count. Half-open is for probes only, so
// traffic must not take one of its places.
func (b *breaker) admitTraffic() func(error) {
	if !b.healthy() {
		return nil
	}
	done, err := b.cb.Allow()
	if err != nil { // not in closed; said for completeness
		return nil
	}
	return done
}

// admitProbe returns the func to settle a probe with that begins now. It is nil during a penalty: the probe runs, is shown, and
// counts neither way.
func (b *breaker) admitProbe(now time.Time) func(error) {
	if now.Before(b.counts) {
		return nil
	}
	done, err := b.cb.Allow()
	if err != nil { // a probe in the very instant of the trip
		return nil
	}
	return done
}

// settle gives one outcome to gobreaker, which calls score, tripped and step as it applies, or nothing of these when the
// outcome is local or of an earlier generation. A nil done does nothing.
func (b *breaker) settle(done func(error), from source, err error, now time.Time) {
	if done == nil {
		return
	}
	b.from, b.err, b.now = from, err, now
	b.forget()
	done(err)
	b.err = nil
}

// forget ends streaks that are too long ago.
func (b *breaker) forget() {
	if b.now.Sub(b.lastLoss) > lossMemory {
		b.losses = 0
	}
	if b.handshakeFails+b.losses == 0 {
		b.culprits = nil
	}
}

// score counts the outcome and reports whether it is a success.
func (b *breaker) score() bool {
	b.known = true
	ok := b.err == nil
	switch {
	case b.from == probe && ok:
		if !b.proven && b.pos == gobreaker.StateClosed {
			b.proven = true
			b.reason = "first probe is good"
		}
		b.probeFails, b.contradicted = 0, false
	case b.from == probe:
		b.probeFails++
	case ok: // a handshake
		if b.probeFails > 0 {
			b.contradicted = true
		}
		b.probeFails, b.handshakeFails, b.trafficFailed = 0, 0, time.Time{}
		if b.goodSinceLoss++; b.goodSinceLoss >= b.opts.Fall {
			b.losses = 0
		}
	case b.from == handshake:
		b.handshakeFails++
		b.culprits.add(b.err)
		b.trafficFailed = b.now
	default: // a loss
		b.losses++
		b.culprits.add(b.err)
		b.goodSinceLoss = 0
		b.lastLoss, b.trafficFailed = b.now, b.now
	}
	return ok
}

// tripped decides after a failure in closed whether to open. It leaves the reason and, after traffic, the penalty.
func (b *breaker) tripped() bool {
	traffic := false
	switch fails := b.handshakeFails + b.losses; {
	case !b.proven:
		b.reason = fmt.Sprintf("first probe failed: %v", b.err)
	case b.probeFails >= b.opts.Fall:
		b.reason = fmt.Sprintf("failed probes in a row: %d, the last: %v", b.probeFails, b.err)
	case b.agreed():
		b.reason = fmt.Sprintf("traffic and probe failed, the last: %v", b.err)
	case fails >= b.opts.Fall:
		b.reason = fmt.Sprintf("failed handshakes or lost sessions in a row: %d, the last: %v", fails, b.err)
		traffic = true
	default:
		return false
	}
	if b.recovered.IsZero() || b.now.Sub(b.recovered) > penaltyMemory {
		b.penalty = 0
	}
	if traffic {
		b.penalty = min(max(2*b.penalty, b.opts.Interval), maxPenalty)
		b.counts = b.now.Add(b.penalty)
		b.reason += fmt.Sprintf("; probes do not count for %v", b.penalty)
	}
	return true
}

// agreed reports whether fresh failures of both kinds bear each other out.
func (b *breaker) agreed() bool {
	fresh := b.opts.Interval + b.opts.Timeout
	return b.probeFails > 0 && !b.contradicted &&
		!b.trafficFailed.IsZero() && b.now.Sub(b.trafficFailed) <= fresh
}

// step follows gobreaker to its new state.
func (b *breaker) step(to gobreaker.State) {
	from := b.pos
	b.pos = to
	switch {
	case to == gobreaker.StateClosed:
		b.proven = true
		b.recovered = b.now
		b.reason = fmt.Sprintf("good probes in a row: %d", b.opts.Rise)
	case from != gobreaker.StateClosed:
		return // between open and half-open: nothing was counted
	}
	b.streaks = streaks{}
}

// adopt makes b, which is new, believe what old believes. Good probes of an old half-open are counted anew, by the new Rise.
func (b *breaker) adopt(old *breaker) {
	if old.pos != gobreaker.StateClosed {
		b.adopting = true
		if done, err := b.cb.Allow(); err == nil { // gobreaker starts in closed
			done(errAdopted)
		}
		b.adopting = false
	}
	if old.known || old.proven { // if not, there is nothing to believe and InitialUp decides
		b.known, b.proven, b.reason = old.known, old.proven, old.reason
	}
	b.streaks, b.fine = old.streaks, old.fine
}
