package health

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fresh asks with a deadline of ten seconds, and returns how long the answer took.
func (r *rig) fresh(maxAge time.Duration) (took time.Duration, err error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	asked := time.Now()
	err = r.Fresh(ctx, maxAge)
	return time.Since(asked), err
}

// slowly makes probes find err after d, or be called off.
func (r *rig) slowly(d time.Duration, err error) {
	r.do(func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// TestFreshProbesWhatIsOld: young enough costs nothing, and too old waits for a probe.
func TestFreshProbesWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: time.Minute})
		r.slowly(30*ms, nil)
		r.pass(2 * time.Second)
		if took, err := r.fresh(2 * time.Second); took != 0 || err != nil {
			t.Errorf("a probe as old as allowed: %v, %v", took, err)
		}
		r.wantProbes(0)
		if took, err := r.fresh(2*time.Second - 1); took != 30*ms || err != nil {
			t.Errorf("a probe too old: %v, %v", took, err)
		}
		r.wantProbes(0, 2*time.Second)
		// The pace goes on from there.
		r.pass(time.Minute)
		r.wantProbes(0, 2*time.Second, 62*time.Second+30*ms)
	})
}

// TestFreshIsOneProbeForAll: many ask, one is sent, and nothing remains to be sent after it.
func TestFreshIsOneProbeForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: time.Minute})
		r.pass(10 * time.Second)
		r.slowly(200*ms, nil)
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				time.Sleep(time.Duration(i) * ms) // within the probe, and all are content with it
				if _, err := r.fresh(time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		r.pass(10 * time.Second)
		r.wantProbes(0, 10*time.Second)
	})
}

// TestFreshDoesNotTakeWhatBeganTooEarly: a probe under way may have begun before the upstream was lost.
func TestFreshDoesNotTakeWhatBeganTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: 10 * time.Second})
		r.slowly(300*ms, nil)
		r.pass(10*time.Second + 200*ms) // the second probe has been under way for 200 ms
		if took, err := r.fresh(100 * ms); took != 400*ms || err != nil {
			t.Errorf("%v, %v; want the end of this probe and another one", took, err)
		}
		r.wantProbes(0, 10*time.Second, 10*time.Second+300*ms)
	})
}

// TestFreshTellsOfOneFailure, while the breaker still forgives it; and it is not asked again while that is fresh.
func TestFreshTellsOfOneFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: time.Minute, Recheck: 30 * time.Second})
		r.pass(5 * time.Second)
		r.say(errDown)
		if _, err := r.fresh(time.Second); !errors.Is(err, errDown) {
			t.Errorf("%v, want what the probe has found", err)
		}
		r.want(Closed, true)
		if took, err := r.fresh(time.Second); took != 0 || !errors.Is(err, errDown) {
			t.Errorf("asked again: %v, %v", took, err)
		}
		// Two more demands are two more failures, and Fall is three: they count.
		for range 2 {
			r.pass(2 * time.Second)
			_, _ = r.fresh(time.Second)
		}
		r.want(Open, false)
		if n := r.probeCount(); n != 4 {
			t.Errorf("%d probes", n)
		}
	})
}

// TestFreshSeesTheOutcome: who has waited finds Healthy as the probe has made it.
func TestFreshSeesTheOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: time.Minute, Fall: 1, Rise: 1})
		for _, finding := range []error{errDown, nil, errDown, nil} {
			r.pass(5 * time.Second)
			r.say(finding)
			if _, err := r.fresh(time.Second); !errors.Is(err, finding) {
				t.Errorf("%v, want %v", err, finding)
			}
			if got := r.Healthy(); got != (finding == nil) {
				t.Errorf("healthy %v after %v", got, finding)
			}
		}
	})
}

// TestFreshHasItsOwnDeadline: an upstream that does not answer is a reason to prefer another one, and the probe goes on.
func TestFreshHasItsOwnDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: time.Minute, Timeout: 5 * time.Second, Fall: 1})
		r.pass(10 * time.Second)
		r.slowly(time.Hour, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 300*ms)
		defer cancel()
		if err := r.Fresh(ctx, time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the deadline", err)
		}
		r.want(Closed, true)
		r.pass(5 * time.Second)
		r.want(Open, false)
	})
}

// TestFreshForgivesOwnFaults: they say nothing about the upstream, and do not make it be asked again and again.
func TestFreshForgivesOwnFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: time.Minute})
		r.pass(5 * time.Second)
		r.say(ErrLocal)
		for range 3 {
			if _, err := r.fresh(time.Second); err != nil {
				t.Error(err)
			}
		}
		r.want(Closed, true)
		if n := r.probeCount(); n != 2 {
			t.Errorf("%d probes", n)
		}
	})
}

// TestFreshWaitsForTheFirstProbe, however old it may be.
func TestFreshWaitsForTheFirstProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New("east", Options{Probe: func(context.Context) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Fresh(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nobody runs it: %v", err)
		}
		answer := make(chan error)
		go func() { answer <- c.Fresh(t.Context(), time.Hour) }()
		synctest.Wait()
		running, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); c.Run(running) }()
		if err := <-answer; err != nil || !c.Healthy() {
			t.Errorf("%v, healthy %v", err, c.Healthy())
		}
		stop()
		<-ended
	})
}

// TestFreshGoesOnWithTheHeir: who waits when a reload replaces the checker gets the new one's answer.
func TestFreshGoesOnWithTheHeir(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: time.Minute})
		r.pass(5 * time.Second)
		r.stop() // as a reload does before it runs the new one
		heir, err := New("east", Options{
			Probe: func(context.Context) error { return errDown }, Interval: time.Minute, Jitter: -1, Replaces: r.Checker,
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := heir.Fresh(t.Context(), 5*time.Second); err != nil {
			t.Errorf("the finding is not inherited: %v", err)
		}
		answer := make(chan error)
		go func() { answer <- r.Fresh(t.Context(), time.Second) }()
		synctest.Wait()
		running, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); heir.Run(running) }()
		if err := <-answer; !errors.Is(err, errDown) {
			t.Errorf("%v, want what the heir has found", err)
		}
		if _, err := r.fresh(time.Minute); !errors.Is(err, errDown) {
			t.Errorf("asked through the old one: %v", err)
		}
		stop()
		<-ended
	})
}

// TestFreshIsCheap: it is called for every pick.
func TestFreshIsCheap(t *testing.T) {
	c, err := New("east", Options{Probe: func(context.Context) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	c.refresh(time.Now(), nil)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _ = c.Fresh(ctx, time.Hour) }); n > 0 {
		t.Errorf("%v allocations for a fresh finding", n)
	}
}
