package health

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.pass(2 * time.Second)
		r.say(errDown)
		r.pass(2 * time.Second) // differs from the belief: recheck
		r.pass(time.Second)     // down now: agrees again
		r.want(Open, false)
		r.pass(2 * time.Second)
		r.say(nil)
		r.pass(2500 * ms)
		r.want(Closed, true)
		r.pass(2 * time.Second)
		r.wantProbes(0, 2000*ms, 4000*ms, 4500*ms, 5000*ms, 7000*ms, 9000*ms, 9500*ms, 11500*ms)
	})
}

func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Jitter: 0.5})
		r.pass(2000 * time.Second)
		var low, high int
		for i := 1; i < len(r.probes); i++ {
			switch gap := r.probes[i] - r.probes[i-1]; {
			case gap < time.Second || gap > 3*time.Second:
				t.Fatalf("gap %v is not 2s ± 50 %%", gap)
			case gap < 1500*ms:
				low++
			case gap > 2500*ms:
				high++
			}
		}
		// A quarter each is expected of about 1000; 100 is more than ten standard deviations away.
		if low < 100 || high < 100 {
			t.Fatalf("of %d gaps %d were short and %d long: not spread", len(r.probes), low, high)
		}
	})
}

func TestNudge(t *testing.T) {
	bubble("probes at once", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.pass(time.Second)
		r.Nudge()
		synctest.Wait()
		r.wantProbes(0, 1000*ms)
		r.pass(2 * time.Second)
		r.wantProbes(0, 1000*ms, 3000*ms)
	})
	bubble("right after a probe it waits half a recheck", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.pass(100 * ms)
		for range 5 {
			r.Nudge()
			synctest.Wait()
		}
		r.pass(time.Second)
		r.wantProbes(0, 250*ms) // and not one for each
	})
	bubble("a storm is bounded", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		for range 10_000 {
			r.Nudge()
			time.Sleep(ms)
		}
		if n := r.probeCount(); n < 39 || n > 41 {
			t.Fatalf("%d probes in 10 s, want one in 250 ms", n)
		}
	})
	bubble("never later than planned", t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: 100 * ms, Recheck: 100 * ms})
		r.pass(99 * ms)
		r.Nudge()
		r.pass(1 * ms)
		r.wantProbes(0, 99*ms)
	})
	bubble("a failed handshake nudges", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.pass(time.Second)
		r.handshake(errDown)
		r.wantProbes(0, 1000*ms)
	})
	bubble("a good handshake with a down upstream nudges", t, func(t *testing.T) {
		r := start(t, errDown, Options{})
		r.pass(time.Second)
		r.handshake(nil)
		r.wantProbes(0, 1000*ms)
	})
	t.Run("does not block without Run", func(t *testing.T) {
		c, err := New("east", Options{Probe: TCPProbe("127.0.0.1:1")})
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			c.Nudge()
		}
	})
}

func TestProbeDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Timeout: 300 * ms})
		r.do(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		r.pass(2*time.Second + 300*ms)
		if p := r.Status().LastProbe; p.Took != 300*ms || p.Err != context.DeadlineExceeded.Error() {
			t.Fatalf("last probe %+v", p)
		}
	})
}

func TestRunEnds(t *testing.T) {
	bubble("during a probe, without counting it", t, func(t *testing.T) {
		c, err := New("east", Options{
			Probe: func(ctx context.Context) error { <-ctx.Done(); return errDown },
			Fall:  1, InitialUp: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); c.Run(ctx) }()
		synctest.Wait()
		cancel()
		<-done
		if s := c.Status(); !s.Healthy || !s.LastProbe.At.IsZero() {
			t.Fatalf("status %+v", s)
		}
	})
	bubble("before it began", t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		c, err := New("east", Options{Probe: func(context.Context) error { t.Error("probed"); return nil }})
		if err != nil {
			t.Fatal(err)
		}
		c.Run(ctx)
	})
}

// Two probes never overlap: not with a probe that ignores its context, not with nudges, not with a second Run.
func TestOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, total atomic.Int32
		c, err := New("east", Options{Probe: func(context.Context) error {
			if running.Add(1) > 1 {
				t.Error("two probes at once")
			}
			time.Sleep(7 * time.Second)
			running.Add(-1)
			total.Add(1)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{}, 2)
		for range 2 {
			go func() { c.Run(ctx); done <- struct{}{} }()
		}
		for range 600 {
			c.Nudge()
			time.Sleep(100 * ms)
		}
		cancel()
		<-done
		<-done
		if n := total.Load(); n < 8 {
			t.Fatalf("%d probes in a minute", n)
		}
	})
}
