package drain

import (
	"cmp"
	"context"
	"log/slog"
	"math"
	"sync"
	"time"
)

// Drain closes sessions by a plan. Its methods may be called concurrently.
type Drain struct {
	id     string
	plan   Plan // but for the rate, see below
	logger *slog.Logger
	began  time.Time
	wake   chan struct{} // room for one: something was changed
	empty  chan struct{} // room for one: all that were asked are gone
	done   chan struct{} // closed when the state is final
	closes window

	mu     sync.Mutex
	state  State
	why    string
	rate   int
	paused bool
	cancel string // why it shall end; "" = it shall not
	ended  time.Time
	found  int
	asked  int
	gone   int
	left   int
}

func newDrain(id string, plan Plan, logger *slog.Logger) *Drain {
	return &Drain{
		id: id, plan: plan, rate: plan.Rate, began: time.Now(),
		logger: logger.With("drain", id, "cause", plan.Cause.String(), "upstream", plan.Selection.Upstream),
		wake:   make(chan struct{}, 1), empty: make(chan struct{}, 1), done: make(chan struct{}),
	}
}

// ID names the drain as long as the process runs.
func (d *Drain) ID() string { return d.id }

// Cause returns why the drain runs.
func (d *Drain) Cause() Cause { return d.plan.Cause }

// Done is closed when the drain has ended.
func (d *Drain) Done() <-chan struct{} { return d.done }

// Pause stops closing until Resume. Pausing twice is pausing once.
func (d *Drain) Pause() { d.change(func() { d.paused = true }) }

// Resume goes on after Pause.
func (d *Drain) Resume() { d.change(func() { d.paused = false }) }

// Cancel ends the drain; sessions that were asked to close end. why is shown.
func (d *Drain) Cancel(why string) {
	d.change(func() { d.cancel = cmp.Or(d.cancel, why, "cancelled") })
}

func (d *Drain) change(f func()) {
	d.mu.Lock()
	f()
	d.mu.Unlock()
	signal(d.wake)
}

func signal(room chan<- struct{}) {
	select {
	case room <- struct{}{}:
	default:
	}
}

// Said notes that the Close frame of a session which was asked to close goes out
// now, or never will. It does not block.
func (d *Drain) Said() { d.closes.make() }

// Gone notes that a session which was asked to close has ended. It does not
// block.
func (d *Drain) Gone() {
	d.mu.Lock()
	d.gone++
	last := d.gone == d.asked
	d.mu.Unlock()
	if last {
		signal(d.empty)
	}
}

// Status returns the present picture.
func (d *Drain) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, s := &d.plan, &d.plan.Selection
	status := Status{
		ID: d.id, Cause: p.Cause, Upstream: s.Upstream, Selection: s.String(), Order: p.Order, Rate: d.rate,
		Code: p.Code, Reason: p.Reason, Then: p.Then, Force: p.Force,
		State: d.state, Why: d.why, Began: d.began, Ended: d.ended,
		Found: d.found, Asked: d.asked, Gone: d.gone, Left: d.left,
	}
	if p.Deadline > 0 {
		status.Deadline = d.began.Add(p.Deadline)
	}
	if !d.state.Final() {
		status.Remaining = math.Round(float64(d.left)/float64(d.rate)*10) / 10
	}
	return status
}

// repeats reports whether d does already what p wants, and goes on doing it. It
// then takes the rate of p.
func (d *Drain) repeats(p *Plan) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.plan.Cause != p.Cause || d.plan.Selection != p.Selection || d.state.Final() || d.cancel != "" {
		return false
	}
	if d.rate != p.Rate {
		d.rate = p.Rate
		signal(d.wake)
	}
	return true
}

// endedAt returns when d ended; the zero time if it has not.
func (d *Drain) endedAt() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ended
}

// run closes sessions until none is left, the deadline, or the end of ctx.
func (d *Drain) run(ctx context.Context, source Source) {
	d.logger.Info("drain begins", "selection", d.plan.Selection.String(), "rate", d.plan.Rate, "order", d.plan.Order.String())
	w := newWorker(d, source)
	defer w.timer.Stop()
	state, why := w.work(ctx)

	d.mu.Lock()
	d.state, d.why, d.ended = state, why, time.Now()
	if state == Done {
		d.left = 0
	}
	asked, left := d.asked, d.left
	d.mu.Unlock()
	close(d.done)
	d.logger.Info("drain ended", "state", state.String(), "why", why, "closed", asked, "left", left,
		"took", time.Since(d.began).Round(time.Millisecond))
}
