package drain

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// freshFor is how long a survey of the sessions is gone by. Meanwhile they
	// may have become active or idle.
	freshFor = 5 * time.Second
	// lookAgain is how often a waiting drain looks whether there is a place.
	lookAgain = 100 * time.Millisecond
	// sample is how many sessions it asks.
	sample = 32
	// restFor is how often a drain that has nothing to do looks for sessions.
	restFor = time.Second
)

// errExpired is the cause of the end of a context at the deadline.
var errExpired = errors.New("the deadline has passed")

// worker is the goroutine of a drain.
type worker struct {
	*Drain
	source Source
	pace   pace
	timer  *time.Timer
	listed int // sessions of the last survey that were not asked since
	quota  int // closes that are still wanted
	begun  bool
}

func newWorker(d *Drain, source Source) *worker {
	return &worker{Drain: d, source: source, timer: time.NewTimer(0), quota: math.MaxInt}
}

// work does all of it and returns the final state.
func (w *worker) work(ctx context.Context) (State, string) {
	bounded := ctx
	if w.plan.Deadline > 0 {
		var stop context.CancelFunc
		bounded, stop = context.WithDeadlineCause(ctx, w.began.Add(w.plan.Deadline), errExpired)
		defer stop()
	}
	why, done := w.closeAll(bounded)
	switch {
	case done:
		return Done, ""
	case why != "":
		return Cancelled, why
	case context.Cause(bounded) != errExpired:
		return Cancelled, whyStopped
	case w.plan.Then == CloseRest:
		return Expired, w.closeRest(ctx)
	default:
		return Expired, "the rest was left at the deadline"
	}
}

// closeAll closes sessions until none is left; then it returns true. Otherwise
// ctx has ended, or the drain was cancelled and it returns why.
func (w *worker) closeAll(ctx context.Context) (why string, done bool) {
	for {
		if why, ok := w.mayGoOn(ctx); !ok {
			return why, false
		}
		list, err := w.survey(ctx)
		if err != nil {
			w.sleep(ctx, restFor, nil) // over at once: the error is that of ctx
			continue
		}
		if (len(list) == 0 || w.quota == 0) && w.emptied() {
			return "", true
		}
		switch kept, whole := w.closeSome(ctx, list); {
		case !whole:
		case len(kept) > 0:
			w.await(ctx, kept)
		default:
			// All of these were asked by now, by somebody.
			w.sleep(ctx, restFor, w.empty)
		}
	}
}

// closeRest asks all that are left at once, and returns what became of it.
func (w *worker) closeRest(ctx context.Context) string {
	ctx, stop := context.WithTimeout(ctx, freshFor)
	defer stop()
	list, err := w.survey(ctx)
	if err != nil {
		return "the rest was left at the deadline: it was not found in time"
	}
	for _, c := range list {
		if w.quota == 0 {
			break
		}
		w.leave(c.Session)
	}
	return "the rest was closed at the deadline"
}

// mayGoOn waits while the drain is paused. It returns false when it shall end.
func (w *worker) mayGoOn(ctx context.Context) (why string, ok bool) {
	for waited := false; ; waited = true {
		w.mu.Lock()
		cancel, paused := w.cancel, w.paused
		w.pace.rate = w.rate
		w.mu.Unlock()
		switch {
		case cancel != "":
			return cancel, false
		case ctx.Err() != nil:
			return "", false
		case !paused:
			if waited {
				w.is(Running, "")
			}
			return "", true
		}
		w.is(Paused, "")
		select {
		case <-w.wake:
		case <-ctx.Done():
		}
	}
}

// is notes a state that is not final.
func (w *worker) is(s State, why string) {
	w.mu.Lock()
	changed := w.state != s || w.why != why
	w.state, w.why = s, why
	w.mu.Unlock()
	if changed {
		w.logger.Info("drain is "+s.String(), "why", why)
	}
}

// isRunning reports whether that is what was said last.
func (w *worker) isRunning() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state == Running
}

// survey returns the sessions to close next, in order.
func (w *worker) survey(ctx context.Context) ([]Candidate, error) {
	since := time.Since(w.began)
	list, err := w.source.Sessions(ctx, &w.plan)
	if err != nil {
		return nil, err
	}
	s := &w.plan.Selection
	if !s.Whole() && s.SilentFor == 0 {
		// Clients may come back to where they were: only those that were there
		// at the beginning, or the drain would never end.
		list = slices.DeleteFunc(list, func(c Candidate) bool { return c.Age < since })
	}
	w.plan.Order.sort(list)
	first := !w.begun
	if first {
		w.begun = true
		w.quota = s.quota(len(list))
	}
	w.listed = len(list)
	w.mu.Lock()
	w.left = min(w.listed, w.quota)
	if first {
		w.found = w.left
	}
	w.mu.Unlock()
	return list, nil
}

func (o Order) sort(list []Candidate) {
	switch o {
	case OldestFirst:
		slices.SortFunc(list, func(a, b Candidate) int { return cmp.Compare(b.Age, a.Age) })
	case Random:
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	default:
		slices.SortFunc(list, func(a, b Candidate) int { return cmp.Compare(b.Idle, a.Idle) })
	}
}

// leave asks one session to end, and returns false if it was asked before or has
// ended.
func (w *worker) leave(s Session) bool {
	w.mu.Lock()
	w.asked++ // before, so that Gone never comes first
	w.mu.Unlock()
	w.closes.ask()
	asked := s.Leave(w.Drain, w.plan.Code, w.plan.Reason)
	w.listed--
	if asked {
		w.quota--
	} else {
		w.closes.withdraw()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !asked {
		w.asked--
	}
	w.left = min(w.listed, w.quota)
	return asked
}

// await waits until one of the sessions that were kept would find a place, or
// the list is stale.
func (w *worker) await(ctx context.Context, kept []Session) {
	w.is(Waiting, "no other upstream would take the clients now")
	for began := time.Now(); time.Since(began) < freshFor; {
		if !w.sleep(ctx, lookAgain, nil) {
			return
		}
		for _, s := range kept {
			if s.MayLeave(w.plan.Cause) {
				return
			}
		}
	}
}

// emptied reports whether the drain is done, when no session is left to ask.
func (w *worker) emptied() bool {
	w.mu.Lock()
	open := w.asked - w.gone
	w.mu.Unlock()
	switch {
	case open > 0:
		w.is(Running, "")
	case w.plan.Standing:
		w.is(Waiting, "no session to close now")
	case w.quota > 0 && w.source.Expects(&w.plan):
		w.is(Running, "")
	default:
		return true
	}
	return false
}

// sleep waits, but for no longer than until enough has a word, and returns
// true; or false when something was changed or ctx has ended.
func (w *worker) sleep(ctx context.Context, d time.Duration, enough <-chan struct{}) bool {
	w.timer.Reset(d)
	select {
	case <-w.timer.C:
	case <-enough:
	case <-w.wake:
		return false
	case <-ctx.Done():
		return false
	}
	return true
}
