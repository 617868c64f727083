package caller

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/bench/internal/broadcast"
	"github.com/pointsman/pointsman/bench/internal/latency"
)

// Target is one place that broadcasts are sent to.
type Target struct {
	Addr string // IPv4 address and port
	Key  string // that tokens for it are signed with
}

// Options describe a run. All fields but Warmup, Begin and End are required.
type Options struct {
	// Targets get each broadcast, one after the other, or all at once.
	Targets []Target
	AtOnce  bool
	// Callers is how many broadcasts are under way at a time, 1 to 1,000.
	Callers int
	// Size is the length of a body in bytes.
	Size int
	// Series is the number of the first caller's series; the others' follow.
	Series uint32
	// Warmup precedes the measured interval, whose length is Duration.
	Warmup, Duration time.Duration
	// Patience is how long after the end an answer may come.
	Patience time.Duration
	// Begin and End, if set, are called at the two ends of the measured interval, while the calls go on. An error ends the run.
	Begin, End func() error
}

// Errors are counted per call.
type Errors struct {
	Status  int64 `json:"status"`  // another than 202
	Partial int64 `json:"partial"` // the answer names upstreams that were left out
	Broken  int64 `json:"broken"`  // no whole answer
}

// Total is their sum.
func (e Errors) Total() int64 { return e.Status + e.Partial + e.Broken }

// Result is what a run has found.
type Result struct {
	// Done is how many broadcasts went well in the measured interval, Sent how many were sent at all: so many each target should
	// have got.
	Done, Sent int64
	Seconds    float64
	PerSecond  float64
	// Latency is that of a broadcast, from the first byte of its first call to the last one of its last answer.
	Latency latency.Summary
	Errors  Errors
	First   string // of the errors, in words
}

// phase is where a run stands. It only moves forward.
type phase int32

const (
	warming phase = iota
	measuring
	cooling // no longer counted, while End looks at the other side
	ending
)

// run is what the callers of one run share.
type run struct {
	opts  Options
	phase atomic.Int32
	until time.Time // the deadline of all answers
}

func (r *run) in() phase { return phase(r.phase.Load()) }

// Run lets callers send broadcasts until the measured interval is over. A caller whose connection breaks ends: it counts as an error,
// and the run is worth nothing anyway. Run's error is that nothing could be measured.
func Run(ctx context.Context, o Options) (Result, error) {
	var res Result
	if len(o.Targets) == 0 || o.Callers < 1 || o.Callers > 1000 || o.Size < broadcast.MinSize || o.Duration <= 0 || o.Patience <= 0 {
		return res, fmt.Errorf("calls: %d targets, %d callers, %d bytes, for %v with patience %v", len(o.Targets), o.Callers, o.Size, o.Duration, o.Patience)
	}
	r := &run{opts: o, until: time.Now().Add(o.Warmup + o.Duration + o.Patience)}
	callers := make([]*caller, o.Callers)
	for i := range callers {
		c, err := newCaller(ctx, r, o.Series+uint32(i))
		if err != nil {
			for _, c := range callers[:i] {
				c.close()
			}
			return res, err
		}
		callers[i] = c
	}
	var all sync.WaitGroup
	for _, c := range callers {
		all.Go(c.work)
	}
	stop := context.AfterFunc(ctx, func() {
		for _, c := range callers {
			c.close() // ends the call under way
		}
	})
	interval, err := r.measure(ctx)
	r.phase.Store(int32(ending))
	all.Wait()
	stop()
	h := latency.New()
	for _, c := range callers {
		c.close()
		res.Done += c.done
		res.Sent += int64(c.place)
		res.Errors.Status += c.errors.Status
		res.Errors.Partial += c.errors.Partial
		res.Errors.Broken += c.errors.Broken
		if res.First == "" {
			res.First = c.first
		}
		h.Merge(c.latency)
	}
	res.Latency = h.Summary()
	res.Seconds = interval.Seconds()
	if interval > 0 {
		res.PerSecond = float64(res.Done) / interval.Seconds()
	}
	if err == nil {
		err = context.Cause(ctx) // it may have ended after the interval
	}
	return res, err
}

// measure moves the run through its phases and returns the length of the measured interval.
func (r *run) measure(ctx context.Context) (time.Duration, error) {
	if err := pause(ctx, r.opts.Warmup); err != nil {
		return 0, err
	}
	if r.opts.Begin != nil {
		if err := r.opts.Begin(); err != nil {
			return 0, err
		}
	}
	begun := time.Now()
	r.phase.Store(int32(measuring))
	err := pause(ctx, r.opts.Duration)
	r.phase.Store(int32(cooling))
	took := time.Since(begun)
	if err == nil && r.opts.End != nil {
		err = r.opts.End()
	}
	return took, err
}

// pause waits for d, or for the end of ctx, which is an error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
