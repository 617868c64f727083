package drain

import (
	"context"
	"time"
)

// stride is how many sessions one step closes at most: a loop makes it.
const stride = 16

// round is the closing of a list of sessions, one after the other at the pace of the
// plan. It is made in steps, each of which orders the next from the source: a
// goroutine that slept between two closes would have to be woken for each, and that
// costs more than the close.
type round struct {
	*worker
	ctx   context.Context
	began time.Time
	next  func()        // step, made once
	turn  chan struct{} // room for one: held by the step under way, and by what ends the round

	// For whoever holds the turn, and for the worker once it is over.
	list  []Candidate // still to be closed
	kept  []Session   // some that had no place to go
	whole bool        // the list has come to its end
	word  bool        // the worker has to say that the drain is running, and goes on then
	ended bool
	over  chan struct{} // closed when ended
}

// closeSome closes sessions at the pace of the plan while the list is fresh and
// nothing is changed. It reports whether it has come to the end of the list,
// and returns some that had no place to go.
func (w *worker) closeSome(ctx context.Context, list []Candidate) (kept []Session, whole bool) {
	r := &round{worker: w, ctx: ctx, began: time.Now(), turn: make(chan struct{}, 1), list: list}
	r.next = r.step
	for {
		r.word, r.ended, r.over = false, false, make(chan struct{})
		r.step()
		select {
		case <-r.over:
		case <-w.wake:
		case <-ctx.Done():
		}
		r.stop()
		if !r.word {
			return r.kept, r.whole && !r.changed() // the word may have come in the last step
		}
		w.is(Running, "") // which is logged, and that may block
	}
}

// stop ends the round, and returns when no step is under way.
func (r *round) stop() {
	r.turn <- struct{}{}
	r.end()
	<-r.turn
}

// end ends the round. It is for whoever holds the turn.
func (r *round) end() {
	if !r.ended {
		r.ended = true
		close(r.over)
	}
}

// step makes a step and orders the next one, unless the round has ended.
func (r *round) step() {
	select {
	case r.turn <- struct{}{}:
	default:
		return // it is being ended
	}
	var wait time.Duration
	goOn := !r.ended
	if goOn {
		wait, goOn = r.walk()
	}
	if !goOn {
		r.end()
	}
	<-r.turn
	if goOn {
		r.source.After(wait, r.next)
	}
}

// walk closes those whose turn it is. It returns how long to wait for the next one, or
// that the round is over.
func (r *round) walk() (wait time.Duration, goOn bool) {
	for range stride {
		if len(r.list) == 0 || r.quota == 0 {
			r.whole = true
			return 0, false
		}
		now := time.Now()
		wait = max(r.pace.wait(now), r.closes.wait(now, r.pace.rate))
		// Also without a wait: a pause holds from here on.
		if r.changed() || r.ctx.Err() != nil || now.Sub(r.began) > freshFor {
			return 0, false
		}
		if wait > 0 {
			return wait, true
		}
		s := r.list[0].Session
		r.list = r.list[1:]
		if !r.plan.Force && !s.MayLeave(r.plan.Cause) {
			if len(r.kept) < sample {
				r.kept = append(r.kept, s)
			}
			continue
		}
		if !r.leave(s) {
			continue
		}
		r.pace.took(time.Now())
		if !r.isRunning() {
			r.word = true
			return 0, false
		}
	}
	return 0, true
}

// changed reports whether something was changed that the worker has to look at.
func (w *worker) changed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.paused || w.cancel != "" || w.rate != w.pace.rate
}
