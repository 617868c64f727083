package drain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
)

// remembered is how many drains that have ended are kept for operators.
const remembered = 50

// whyStopped is why drains end with [Engine.Run].
const whyStopped = "the router ends"

// Engine runs drains. Make one with [New]. Its methods may be called
// concurrently.
type Engine struct {
	source Source
	logger *slog.Logger
	wake   chan struct{} // room for one: there is a new drain

	mu      sync.Mutex
	count   int
	drains  []*Drain // oldest first; those that run, and the last that ended
	pending []*Drain // not yet begun
	stopped bool     // Run begins no more
}

// New returns an Engine that has not started anything. A nil logger discards.
func New(source Source, logger *slog.Logger) *Engine {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Engine{source: source, logger: logger, wake: make(chan struct{}, 1)}
}

// Run runs the drains that are started, until ctx ends; then it cancels them,
// leaves their sessions alone, and returns when all have stopped. Run may be
// called once.
func (e *Engine) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for over := false; !over; {
		select {
		case <-e.wake:
		case <-ctx.Done():
			over = true
		}
		e.mu.Lock()
		pending := e.pending
		e.pending, e.stopped = nil, over
		e.mu.Unlock()
		for _, d := range pending {
			running.Go(func() { e.run(ctx, d) })
		}
	}
}

// run runs one drain, and then drops the one that ended first if more are
// remembered than need be.
func (e *Engine) run(ctx context.Context, d *Drain) {
	d.run(ctx, e.source)
	e.mu.Lock()
	defer e.mu.Unlock()
	ended, first := 0, -1
	for i, d := range e.drains {
		if at := d.endedAt(); !at.IsZero() {
			ended++
			if first < 0 || at.Before(e.drains[first].endedAt()) {
				first = i
			}
		}
	}
	if ended > remembered {
		e.drains = slices.Delete(e.drains, first, first+1)
	}
}

// Start begins a drain. A drain with the same cause and selection that has not
// ended is the same drain: it is returned with the new rate, and existed is
// true. After the end of Run a drain is cancelled at once. The error names every
// mistake in the plan.
func (e *Engine) Start(p Plan) (d *Drain, existed bool, err error) {
	p, err = p.check()
	if err != nil {
		return nil, false, fmt.Errorf("drain: %w", err)
	}
	d, existed, stopped := e.add(&p)
	if stopped && !existed {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		e.run(ctx, d)
	}
	return d, existed, nil
}

// add adds a drain unless there is one already. It says whether Run has ended,
// so that nobody will run the drain.
func (e *Engine) add(p *Plan) (d *Drain, existed, stopped bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.drains {
		if d.repeats(p) {
			return d, true, e.stopped
		}
	}
	e.count++
	d = newDrain(strconv.Itoa(e.count), *p, e.logger)
	e.drains = append(e.drains, d)
	if !e.stopped {
		e.pending = append(e.pending, d)
		signal(e.wake)
	}
	return d, false, e.stopped
}

// ErrUnknown is returned for a drain that there is not, or not any more.
var ErrUnknown = errors.New("no such drain")

// Get returns the drain with that ID, or [ErrUnknown].
func (e *Engine) Get(id string) (*Drain, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, d := range e.drains {
		if d.id == id {
			return d, nil
		}
	}
	return nil, fmt.Errorf("drain %q: %w", id, ErrUnknown)
}

// List returns the drains that have not ended, and the last ones that have,
// oldest first.
func (e *Engine) List() []Status {
	e.mu.Lock()
	drains := slices.Clone(e.drains)
	e.mu.Unlock()
	list := make([]Status, len(drains))
	for i, d := range drains {
		list[i] = d.Status()
	}
	return list
}

// Cancel ends every drain that which selects.
func (e *Engine) Cancel(why string, which func(Status) bool) {
	e.mu.Lock()
	drains := slices.Clone(e.drains)
	e.mu.Unlock()
	for _, d := range drains {
		if s := d.Status(); !s.State.Final() && which(s) {
			d.Cancel(why)
		}
	}
}
