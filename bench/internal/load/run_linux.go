package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/bench/internal/latency"
)

// phase is where a run stands. All loops read it; only the run's own goroutine moves it, and only forward.
type phase int32

const (
	opening phase = iota // Relay and Idle: sessions are opened
	holding              // Relay and Idle: all are open, nothing is sent
	running              // the load is on
	// Then measuring and cooling take turns, for each interval.
	ending phase = math.MaxInt32
)

// measuring is the phase in which the load is counted for an interval, from 0.
func measuring(interval int) phase { return running + 1 + phase(2*interval) }

// cooling is the phase behind it: the load is still on, but no longer counted, while End looks at the other side.
func cooling(interval int) phase { return measuring(interval) + 1 }

// interval returns which interval is counted in p, if one is.
func (p phase) interval() (number int, counted bool) {
	number = int(p - measuring(0))
	return number / 2, p != ending && number >= 0 && number%2 == 0
}

type mode int

const (
	relay mode = iota
	handshakes
	idle
)

// run is the state that the loops of one run share.
type run struct {
	opts      Options
	mode      mode
	intervals int // that are counted
	phase     atomic.Int32
	loops     []*loop
	left      atomic.Int64 // handshakes still to count, if Options.Count is set

	reached chan struct{} // one value per loop whenever it has nothing more to do in the current phase
	wg      sync.WaitGroup
	ended   chan struct{} // closed when all loops have returned
	errs    []error       // by loop; read after ended
}

// Relay opens the sessions, keeps one message in flight on each, and measures for the given interval. Refused sessions
// and errors of the load itself are returned; everything else that goes wrong is in Result.Errors.
func Relay(ctx context.Context, o Options) (Result, error) {
	return first(Series(ctx, o, 1))
}

// Series is Relay with several intervals, one after the other, so that they can be compared: the sessions are the same. Each has its
// warm-up, and its call of Begin and of End. Result.Errors are those of the whole run.
func Series(ctx context.Context, o Options, intervals int) ([]Result, error) {
	return start(ctx, o, relay, intervals, func(ctx context.Context, r *run) ([]time.Duration, error) {
		if err := r.await(ctx); err != nil {
			return nil, err
		}
		r.enter(running)
		return r.measure(ctx)
	})
}

// Handshakes opens sessions, Options.Opening at a time, resets each as soon as its 101 answer is checked, and counts them
// for the given interval.
func Handshakes(ctx context.Context, o Options) (Result, error) {
	return first(start(ctx, o, handshakes, 1, func(ctx context.Context, r *run) ([]time.Duration, error) {
		r.enter(running)
		return r.measure(ctx)
	}))
}

// Idle opens the sessions, calls hold while they rest, then checks each with one message. Result describes the opening.
// hold's error ends the run and is returned.
func Idle(ctx context.Context, o Options, hold func(context.Context) error) (Result, error) {
	return first(start(ctx, o, idle, 1, func(ctx context.Context, r *run) ([]time.Duration, error) {
		begun := time.Now()
		if err := r.await(ctx); err != nil {
			return nil, err
		}
		took := time.Since(begun)
		r.enter(holding)
		if err := hold(ctx); err != nil {
			return nil, err
		}
		r.enter(running)
		return []time.Duration{took}, r.await(ctx)
	}))
}

// first is the result of a run with one interval.
func first(all []Result, err error) (Result, error) {
	if err != nil {
		return Result{}, err
	}
	return all[0], nil
}

// start makes the loops, lets script move them through the phases, and collects what they counted. script returns the
// lengths of the measured intervals.
func start(ctx context.Context, o Options, m mode, intervals int, script func(context.Context, *run) ([]time.Duration, error)) ([]Result, error) {
	o, target, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("load options: %w", err)
	}
	r := &run{opts: o, mode: m, intervals: intervals, ended: make(chan struct{})}
	r.left.Store(int64(o.Count))
	n := min(o.Loops, o.Opening)
	if m != handshakes {
		n = min(n, o.Connections)
	}
	r.reached = make(chan struct{}, 8*n) // more than a loop ever sends, so that no loop waits
	r.errs = make([]error, n)
	for i := range n {
		l, err := newLoop(r, target, share(o.Connections, n, i), share(o.Opening, n, i), i)
		if err != nil {
			for _, l := range r.loops {
				l.close()
			}
			return nil, err
		}
		r.loops = append(r.loops, l)
	}
	for i, l := range r.loops {
		r.wg.Go(func() {
			r.errs[i] = l.work()
			l.close()
		})
	}
	go func() { // ends with the last loop
		r.wg.Wait()
		close(r.ended)
	}()

	took, err := script(ctx, r)
	r.enter(ending)
	<-r.ended
	if err := errors.Join(append(r.errs, err)...); err != nil {
		return nil, fmt.Errorf("load on %s: %w", target, err)
	}
	all := make([]Result, len(took))
	for i := range all {
		all[i] = r.result(i, took[i])
	}
	return all, nil
}

// share is the i-th of n nearly equal parts of total.
func share(total, n, i int) int { return total*(i+1)/n - total*i/n }

// enter moves all loops to p.
func (r *run) enter(p phase) {
	r.phase.Store(int32(p))
	for _, l := range r.loops {
		l.wake()
	}
}

// await returns when each loop has finished the current phase, or cannot.
func (r *run) await(ctx context.Context) error {
	for range r.loops {
		select {
		case <-r.reached:
		case <-r.ended: // with an error, which start returns
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// measure counts each interval, after the load has warmed up. An interval ends early when Options.Count is reached.
func (r *run) measure(ctx context.Context) ([]time.Duration, error) {
	var counted chan struct{}
	if r.opts.Count > 0 {
		counted = r.reached
	}
	took := make([]time.Duration, r.intervals)
	for i := range took {
		if err := r.pause(ctx, r.opts.Warmup, nil); err != nil {
			return nil, err
		}
		if err := r.opts.Begin(); err != nil {
			return nil, err
		}
		r.enter(measuring(i))
		begun := time.Now()
		if err := r.pause(ctx, r.opts.Duration, counted); err != nil {
			return nil, err
		}
		took[i] = time.Since(begun)
		r.enter(cooling(i))
		if err := r.opts.End(); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// pause waits for d, or less if the run ends or early delivers.
func (r *run) pause(ctx context.Context, d time.Duration, early <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-early:
	case <-r.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// result is that of one interval of so long.
func (r *run) result(interval int, took time.Duration) Result {
	var res Result
	h := latency.New()
	for _, l := range r.loops {
		p := &l.parts[interval]
		res.Done += p.done
		res.CPUSeconds += p.cpu.Seconds()
		res.Errors.add(l.errors)
		h.Merge(p.latency)
	}
	res.Seconds = took.Seconds()
	if took > 0 {
		res.PerSecond = float64(res.Done) / took.Seconds()
	}
	res.Latency = h.Summary()
	return res
}
