package health

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Checker holds the belief about one upstream. Make one with [New]. All methods may be called concurrently.
type Checker struct {
	name    string
	opts    Options
	healthy atomic.Bool             // the belief, for the hot path; written under mu
	phase   atomic.Pointer[phase]   // on the way to the full share, otherwise nil; set before healthy, cleared after it
	nudged  chan struct{}           // room for one: a probe is wanted now
	woken   chan struct{}           // room for one: keepTime has something new to wait for
	running chan struct{}           // room for one: held by Run
	next    atomic.Pointer[Checker] // has taken over from this one, otherwise nil

	mu        sync.Mutex // guards what follows; never held while calling out
	replaces  *Checker   // gives way when this one is run; nil from then on
	brk       *breaker
	hold      hold
	suspended time.Time // the end of the suspension, zero without
	since     time.Time
	trips     uint64
	reason    string
	last      LastProbe
	lastOK    verdict
	fresh     freshness

	changes    []change // not yet delivered, oldest first
	delivering bool     // a goroutine is in deliver
}

// verdict is what the last probe that counted said.
type verdict uint8

const (
	noVerdict verdict = iota
	good
	bad
)

// New makes the checker of the upstream called name. It reports all mistakes in o together. It starts nothing: see
// [Checker.Run].
func New(name string, o Options) (*Checker, error) {
	old := o.Replaces
	o.Replaces = nil // not kept in opts: a checker must not keep all its ancestors
	o, err := o.withDefaults()
	if old != nil && old.name != name {
		err = errors.Join(err, fmt.Errorf("it cannot replace the checker of %q", old.name))
	}
	if err != nil {
		return nil, fmt.Errorf("health of %q: %w", name, err)
	}
	c := &Checker{
		name:    name,
		opts:    o,
		nudged:  make(chan struct{}, 1),
		woken:   make(chan struct{}, 1),
		running: make(chan struct{}, 1),
		brk:     newBreaker(o),
		hold:    hold{opts: o},
		since:   time.Now(),
	}
	c.reason = c.brk.reason
	if old != nil {
		c.adopt(old.heir())
	}
	c.healthy.Store(c.brk.healthy() && c.suspended.IsZero())
	return c, nil
}

// Name returns the name given to [New].
func (c *Checker) Name() string { return c.name }

// Healthy reports whether the upstream may take new sessions. It is one atomic load: call it as often as you like.
func (c *Checker) Healthy() bool { return c.healthy.Load() }

// Attempt is one handshake under way, from [Checker.Begin]. Its zero value counts nothing.
type Attempt struct {
	c     *Checker
	done  func(error) // nil when the breaker was not closed: the outcome does not count
	begun time.Time
}

// Begin notes that a handshake with the upstream begins now. Call Done on the result exactly once. An attempt that begins while the
// upstream takes no sessions does not count, but when it succeeds it asks for a probe.
func (c *Checker) Begin() Attempt {
	c = c.heir()
	c.mu.Lock()
	defer c.mu.Unlock()
	return Attempt{c: c, done: c.brk.admitTraffic(), begun: time.Now()}
}

// Done reports the outcome of the handshake. Nil means that the upstream did its job: a verified 101, or an answer that belongs
// to the client (4xx). Everything else is a failure, except own faults ([IsLocal]) and outcomes that come so long after
// HandshakeTimeout that this process must have stood still. A failure also asks for a probe at once.
func (a Attempt) Done(err error) {
	if a.c == nil {
		return
	}
	if a.done == nil {
		if err == nil {
			a.c.Nudge() // believed down, and yet it answers
		}
		return
	}
	err = stalled("handshake", time.Since(a.begun), a.c.opts.HandshakeTimeout, err)
	a.c.settle(a.done, handshake, err)
	if err != nil && !IsLocal(err) {
		a.c.Nudge()
	}
}

// Lost reports that a session ended abnormally on the upstream's side soon after its handshake; err says how. It counts as one
// failure, unless err is local, and asks for a probe at once. What is soon and what is abnormal is for the caller to say. A nil err is
// ignored.
func (c *Checker) Lost(err error) {
	if err == nil || IsLocal(err) {
		return
	}
	c = c.heir()
	c.mu.Lock()
	done := c.brk.admitTraffic()
	c.mu.Unlock()
	if done == nil {
		return
	}
	c.settle(done, loss, err)
	c.Nudge()
}

// settle feeds one outcome to the breaker and delivers what follows from it. It drops the outcome when another checker has taken over.
func (c *Checker) settle(done func(error), from source, err error) {
	if c.next.Load() != nil {
		return
	}
	now := time.Now()
	c.mu.Lock()
	before, wasWell, queued := c.brk.state(), c.brk.healthy(), len(c.changes)
	c.brk.settle(done, from, err, now)
	c.record(before, wasWell, now)
	changed := len(c.changes) > queued
	c.mu.Unlock()
	if changed { // who has brought about an earlier change delivers that
		c.deliver()
	}
}

// record notes what an outcome has changed. Half-open is a step on the way, not a change. The caller holds mu.
func (c *Checker) record(before State, wasWell bool, now time.Time) {
	well := c.brk.healthy()
	if well == wasWell && (before != Unknown || c.brk.state() != Open) {
		return
	}
	recovered := well && before != Unknown
	if recovered {
		c.hold.recovered = now
	}
	if wasWell {
		c.trips++
		c.hold.tripped(now)
	}
	if !c.suspended.IsZero() {
		return // unsuspend looks at what has become of it
	}
	c.reason = c.brk.reason
	if well {
		c.rise(now, recovered)
	} else {
		flipped := c.show(now, nil)
		c.tell(c.moved(flipped, 0))
	}
}

// rise shows that the upstream is up, with a hold if it was down before. The caller holds mu.
func (c *Checker) rise(now time.Time, held bool) {
	var p *phase
	var length time.Duration
	if held {
		p = c.hold.begin(now)
		length = c.hold.length
	}
	flipped := c.show(now, p)
	c.tell(c.moved(flipped, length))
}

// show makes Healthy and Share say what the breaker and the suspension say, and reports whether Healthy has changed. When it has
// become true, p is the way to the full share. Who reads Healthy first and Share then sees no share that belongs to an earlier time. The
// caller holds mu.
func (c *Checker) show(now time.Time, p *phase) (flipped bool) {
	healthy := c.brk.healthy() && c.suspended.IsZero()
	if healthy == c.healthy.Load() {
		return false
	}
	c.since = now
	if healthy {
		c.phase.Store(p)
		c.healthy.Store(true)
		return true
	}
	c.healthy.Store(false)
	c.phase.Store(nil)
	c.hold.until = time.Time{}
	return true
}
