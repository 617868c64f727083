package drain

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// hall is a Source. Its sessions are guests.
type hall struct {
	mu      sync.Mutex
	guests  []*guest // that have not ended
	asks    []ask
	said    []ask
	surveys []time.Time
	looks   int // calls of MayLeave
	plans   []Plan
	shut    bool // there is no other place for anybody
	gossips bool // Sessions tells of guests that were asked, too
	slow    time.Duration
	deaf    bool          // Sessions does not notice the end of its context while it is slow
	expects bool          // guests are on their way
	late    time.Duration // MayLeave comes up to so much late, as timers do
}

// ask is one guest asked to leave.
type ask struct {
	at     time.Time
	guest  *guest
	drain  *Drain
	code   uint16
	reason string
}

// never is the time that a guest takes who was asked and stays.
const never time.Duration = -1

// guest is a Session. All but hall is guarded by the hall's lock.
type guest struct {
	hall          *hall
	index         int // in hall.guests
	began, active time.Time
	takes         time.Duration // from being asked to the end
	ponders       time.Duration // from being asked to the beginning of the end
	stuck         bool          // there is no other place for this one
	asked         *Drain
	calls         int // of Leave
	over          bool
}

// enter lets n guests in. Each of setup may change a guest before.
func (h *hall) enter(n int, setup ...func(i int, g *guest)) []*guest {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	came := make([]*guest, n)
	for i := range came {
		came[i] = &guest{hall: h, index: len(h.guests) + i, began: now.Add(-time.Minute), active: now}
		for _, f := range setup {
			f(i, came[i])
		}
	}
	h.guests = append(h.guests, came...)
	return came
}

// now is a setup of guests that have only just come.
func now(_ int, g *guest) { g.began = time.Now() }

// takes is a setup of guests that take their time.
func takes(d time.Duration) func(int, *guest) { return func(_ int, g *guest) { g.takes = d } }

// with changes something under the lock.
func (h *hall) with(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *hall) setShut(shut bool) { h.with(func() { h.shut = shut }) }

// Sessions implements [Source].
func (h *hall) Sessions(ctx context.Context, p *Plan) ([]Candidate, error) {
	h.mu.Lock()
	h.surveys = append(h.surveys, time.Now())
	h.plans = append(h.plans, *p)
	slow, done := h.slow, ctx.Done()
	if h.deaf {
		done = nil
	}
	h.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-done:
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]Candidate, 0, len(h.guests))
	for _, g := range h.guests {
		if age := time.Since(g.began); age >= p.Selection.OlderThan && (g.asked == nil || h.gossips) {
			list = append(list, Candidate{g, age, time.Since(g.active)})
		}
	}
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list, nil
}

// Expects implements [Source].
func (h *hall) Expects(*Plan) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.expects
}

// After implements [Source].
func (h *hall) After(d time.Duration, f func()) { time.AfterFunc(d, f) }

// MayLeave implements [Session].
func (g *guest) MayLeave(Cause) bool {
	h := g.hall
	h.mu.Lock()
	late := h.late
	h.mu.Unlock()
	if late > 0 {
		time.Sleep(time.Duration(rand.Int64N(int64(late))))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looks++
	return !h.shut && !g.stuck
}

// Leave implements [Session].
func (g *guest) Leave(d *Drain, code uint16, reason string) bool {
	h := g.hall
	h.mu.Lock()
	g.calls++
	if g.asked != nil || g.over {
		h.mu.Unlock()
		return false
	}
	g.asked = d
	h.asks = append(h.asks, ask{time.Now(), g, d, code, reason})
	h.mu.Unlock()
	if g.ponders > 0 {
		time.AfterFunc(g.ponders, g.say)
	} else {
		g.say()
	}
	switch {
	case g.takes > 0:
		time.AfterFunc(g.takes, g.end)
	case g.takes == 0:
		g.end()
	}
	return true
}

// say begins the end that was asked for.
func (g *guest) say() {
	h := g.hall
	h.mu.Lock()
	h.said = append(h.said, ask{at: time.Now(), guest: g})
	h.mu.Unlock()
	g.asked.Said()
}

// end ends the session, for whatever reason.
func (g *guest) end() {
	h := g.hall
	h.mu.Lock()
	first := !g.over
	if first {
		g.over = true
		last := len(h.guests) - 1
		h.guests[g.index] = h.guests[last]
		h.guests[g.index].index = g.index
		h.guests = h.guests[:last]
	}
	asked := g.asked
	h.mu.Unlock()
	if first && asked != nil {
		asked.Gone()
	}
}

// seen returns what was asked so far.
func (h *hall) seen() []ask {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.asks)
}

// surveyed returns how often the hall was looked at.
func (h *hall) surveyed() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.surveys)
}

// looked returns how often guests were.
func (h *hall) looked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.looks
}

// bubble runs a test in virtual time.
func bubble(name string, t *testing.T, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// open runs an engine on a new hall until the end of the test.
func open(t interface{ Cleanup(func()) }) (*Engine, *hall) {
	h := &hall{}
	return runs(t, h), h
}

// runs runs an engine until the end of the test.
func runs(t interface{ Cleanup(func()) }, s Source) *Engine {
	e := New(s, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		e.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return e
}

// begin starts a drain that there is not yet.
func begin(t rapid.TB, e *Engine, p Plan) *Drain {
	t.Helper()
	d, existed, err := e.Start(p)
	if err != nil || existed {
		t.Fatalf("start: existed %v, %v", existed, err)
	}
	return d
}

// pass lets time pass, and what is due by then be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// in checks the state of a drain.
func (d *Drain) in(t rapid.TB, want State) Status {
	t.Helper()
	synctest.Wait()
	s := d.Status()
	if s.State != want {
		t.Fatalf("%v (%q), want %v: %+v", s.State, s.Why, want, s)
	}
	over := false
	select {
	case <-d.Done():
		over = true
	default:
	}
	if over != want.Final() || s.Ended.IsZero() == over {
		t.Fatalf("%v: Done says %v, ended %v", want, over, s.Ended)
	}
	return s
}

// ends waits for the end of a drain.
func (d *Drain) ends(t rapid.TB, want State) Status {
	t.Helper()
	select {
	case <-d.Done():
	case <-time.After(24 * time.Hour):
		t.Fatalf("no end in sight: %+v", d.Status())
	}
	return d.in(t, want)
}

// checkPace checks every second, wherever it begins: there are no more closes
// in it than the rate that is allowed at its last one.
func checkPace(t rapid.TB, asks []ask, rate func(at time.Time) int) {
	t.Helper()
	first := 0
	for i, a := range asks {
		for a.at.Sub(asks[first].at) >= time.Second {
			first++
		}
		if n := i - first + 1; n > rate(a.at) {
			t.Fatalf("close %d is the %dth in %v, the rate is %d", i, n, a.at.Sub(asks[first].at), rate(a.at))
		}
	}
}

// always is a rate that does not change.
func always(rate int) func(time.Time) int { return func(time.Time) int { return rate } }
