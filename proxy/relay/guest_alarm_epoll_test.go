//go:build linux && !portable

package relay

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// Calls are made in the order of their times, and those of one time in the order in
// which they were asked for.
func TestAfterKeepsOrder(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	delays := []time.Duration{70, 20, 0, 40, 20, 0, 10, 70, 40, 40, 30, 0, 5}
	type entry struct{ delay, place int }
	var want, got []entry
	done := make(chan []entry)
	// The loop asks for them itself, all in one turn, or nearly so.
	var began, asked time.Time
	r.relay.After(0, func() {
		began = time.Now()
		for i, d := range delays {
			r.relay.After(d*time.Millisecond, func() {
				if got = append(got, entry{int(d), i}); len(got) == len(delays) {
					done <- got
				}
			})
		}
		asked = time.Now()
	})
	for i, d := range delays {
		want = append(want, entry{int(d), i})
	}
	slices.SortStableFunc(want, func(a, b entry) int { return a.delay - b.delay })
	got = await(t, done)
	if asked.Sub(began) > time.Millisecond {
		// A busy machine has come between them. What was asked for later is later, too.
		if n := len(got); n != len(want) {
			t.Errorf("%d calls, want %d", n, len(want))
		}
		return
	}
	if !slices.Equal(got, want) {
		t.Errorf("called (delay, place): %v, want %v", got, want)
	}
}

// When the relay has stopped no call is made any more, and to ask for one does no harm.
func TestAfterStop(t *testing.T) {
	t.Parallel()
	clock := start(t, Options{})
	r := start(t, Options{})
	const soon = 50 * time.Millisecond
	var stopped atomic.Bool
	call := func() {
		if stopped.Load() {
			t.Error("called after the relay has stopped")
		}
	}
	r.relay.After(soon, call)
	r.relay.After(time.Hour, func() { t.Error("called an hour too early") })
	r.stop()
	stopped.Store(true)
	r.relay.After(0, call)
	r.relay.After(soon, call)
	passed := make(chan bool, 1)
	clock.relay.After(2*soon, func() { passed <- true })
	await(t, passed)
}

// A call that is asked for before Run waits for it.
func TestAfterBeforeRun(t *testing.T) {
	t.Parallel()
	relay, err := New(Options{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	var running atomic.Bool
	calls := make(chan bool, 2)
	for _, d := range []time.Duration{0, time.Millisecond} {
		relay.After(d, func() { calls <- running.Load() })
	}
	ctx, cancel := context.WithCancel(context.Background())
	running.Store(true)
	done := background(func() error { return relay.Run(ctx) })
	for range 2 {
		if !await(t, calls) {
			t.Error("called before Run")
		}
	}
	cancel()
	if err := await(t, done); err != nil {
		t.Errorf("run: %v", err)
	}
}

// A call that is due at once does not wait for the clock to move on.
func TestAfterAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, Options{Loops: 1})
	const calls = 20_000 // which took 20 s if each waited for a millisecond
	done := make(chan bool)
	n := 0
	var next func()
	next = func() {
		if n++; n == calls {
			close(done)
			return
		}
		r.relay.After(0, next)
	}
	began := time.Now()
	r.relay.After(0, next)
	<-done
	if took := time.Since(began); took > calls*time.Millisecond/2 {
		t.Errorf("%d calls took %v", calls, took)
	}
}
