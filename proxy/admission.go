package proxy

import (
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// longestQueue is how long a handshake may wait to be admitted. With the rate
	// it bounds how many wait.
	longestQueue = time.Second
	// admissionBurst is how much of a second's handshakes may come at once.
	admissionBurst = 0.05
	// longestBacklog bounds the Retry-After that a backlog can lead to.
	longestBacklog = 5 * time.Minute
)

// admission bounds the rate of handshakes: some wait for a moment, and those
// beyond are told when to come again. The zero value admits all.
type admission struct {
	mu      sync.Mutex
	limiter *rate.Limiter // nil before the first limit
	backlog float64       // handshakes that were turned away and are expected back
	asOf    time.Time     // of backlog
}

// enter books a place for one handshake where perSecond are admitted; 0 means no
// limit. It returns how long the handshake has to wait, or, if that would be too
// long, that it has no place. If it goes nowhere else, it is to be turned away.
func (a *admission) enter(perSecond int) (wait time.Duration, ok bool) {
	if perSecond <= 0 {
		return 0, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.set(perSecond)
	now := time.Now()
	place := a.limiter.ReserveN(now, 1)
	if wait = place.DelayFrom(now); wait <= longestQueue {
		return wait, true
	}
	place.CancelAt(now)
	return 0, false
}

// leftOver books a place for something that can wait, if nobody else needs it now.
func (a *admission) leftOver(perSecond int) bool {
	if perSecond <= 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.set(perSecond)
	return a.limiter.Allow()
}

// await waits for the turn of a handshake, and reports false if the end of all
// comes first.
func (p *Proxy) await(turn time.Duration) bool {
	if turn <= 0 {
		return true
	}
	timer := time.NewTimer(turn)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.cut.Done():
		return false
	}
}

// set takes on a rate that a reload may have changed. The caller holds mu.
func (a *admission) set(perSecond int) {
	burst := max(1, int(float64(perSecond)*admissionBurst))
	switch {
	case a.limiter == nil:
		a.limiter = rate.NewLimiter(rate.Limit(perSecond), burst)
	case a.limiter.Limit() != rate.Limit(perSecond):
		a.limiter.SetLimit(rate.Limit(perSecond))
		a.limiter.SetBurst(burst)
	}
}

// turnAway gives a handshake for which enter had no place its turn behind all
// those that were turned away before: as many are asked to come in each second as
// can be admitted. It returns when it should come again.
func (a *admission) turnAway() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, perSecond := time.Now(), float64(a.limiter.Limit())
	a.backlog = max(0, a.backlog-now.Sub(a.asOf).Seconds()*perSecond)
	a.backlog = min(a.backlog+1, perSecond*longestBacklog.Seconds())
	a.asOf = now
	return longestQueue + time.Duration(a.backlog/perSecond*float64(time.Second))
}

// seconds is a time for Retry-After, which knows whole seconds only: rounded up
// or down at random, so that the mean is right and clients do not come in steps.
func seconds(d time.Duration) int {
	whole, part := math.Modf(d.Seconds())
	if rand.Float64() < part {
		whole++
	}
	return max(1, int(whole))
}
