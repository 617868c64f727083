package health

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSuspend(t *testing.T) {
	const hold = 10 * time.Second
	bubble("down for its time, then held", t, func(t *testing.T) {
		var buf journal
		r := start(t, nil, Options{Hold: hold, Logger: logger(&buf)})
		r.pass(time.Second)
		r.Suspend(time.Minute, "failover drill")
		end := time.Now().Add(time.Minute)
		r.want(Closed, false)
		r.wantShare(1)
		r.wantChanges(true, false)
		if s := r.Status(); s.SuspendedUntil != end || s.Reason != "suspended: failover drill" || s.Since != time.Now() || s.Trips != 0 {
			t.Fatalf("status %+v", s)
		}
		before := r.probeCount()
		r.pass(time.Minute - 1)
		r.want(Closed, false)
		if n := r.probeCount() - before; n < 25 {
			t.Fatalf("%d probes in a minute", n)
		}
		r.pass(1) // and without anybody asking
		r.wantChanges(true, false, true)
		r.want(Closed, true)
		r.wantShare(0)
		if s := r.Status(); !s.SuspendedUntil.IsZero() || s.HeldUntil != end.Add(hold) || s.Since != end ||
			s.Reason != "suspension is over" || s.Trips != 0 || s.Relapses != 0 {
			t.Fatalf("status %+v", s)
		}
		r.pass(hold)
		r.wantShare(1)
		want := strings.Join([]string{
			`level=INFO msg="upstream is up" upstream=east state=closed reason="first probe is good"`,
			`level=INFO msg="upstream is suspended" upstream=east for=1m0s reason="failover drill"`,
			`level=INFO msg="upstream is up" upstream=east state=closed reason="suspension is over" held_for=10s`,
			`level=INFO msg="hold is over" upstream=east`,
			``,
		}, "\n")
		if got := buf.String(); got != want {
			t.Fatalf("log:\n%swant:\n%s", got, want)
		}
	})
	bubble("resumed early, with a hold", t, func(t *testing.T) {
		r := start(t, nil, Options{Hold: hold})
		r.Suspend(time.Minute, "")
		r.pass(time.Second)
		if s := r.Status(); s.Reason != "suspended: by the operator" {
			t.Fatalf("status %+v", s)
		}
		r.Resume()
		r.want(Closed, true)
		r.wantShare(0)
		r.wantChanges(true, false, true)
		if s := r.Status(); s.HeldUntil != time.Now().Add(hold) || !s.SuspendedUntil.IsZero() || s.Reason != "resumed after a suspension" {
			t.Fatalf("status %+v", s)
		}
		r.pass(hold)
		r.wantShare(1)
		r.pass(time.Hour) // nothing is left of it
		r.wantChanges(true, false, true)
	})
	bubble("resumed without a suspension", t, func(t *testing.T) {
		var buf journal
		r := start(t, nil, Options{Hold: hold, Logger: logger(&buf)})
		before := r.Status()
		logged := buf.String()
		r.Resume()
		r.Suspend(0, "which is a Resume")
		r.Suspend(-1, "too")
		synctest.Wait()
		if got := r.Status(); got != before || buf.String() != logged {
			t.Fatalf("status %+v, was %+v; log:\n%s", got, before, buf.String())
		}
		r.wantShare(1)
	})
	bubble("again, to a later and to an earlier end", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.Suspend(time.Minute, "one")
		r.pass(30 * time.Second)
		r.Suspend(2*time.Minute, "two")
		r.pass(2*time.Minute - 1)
		r.want(Closed, false)
		if s := r.Status(); s.Reason != "suspended: two" {
			t.Fatalf("status %+v", s)
		}
		r.Suspend(time.Hour, "three")
		r.Suspend(2*time.Second-1, "four")
		r.pass(2*time.Second - 2)
		r.want(Closed, false)
		r.pass(1)
		r.want(Closed, true)
		r.wantChanges(true, false, true)
	})
	bubble("a suspension of nothing ends one", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.Suspend(time.Hour, "")
		r.Suspend(0, "")
		r.want(Closed, true)
	})
	bubble("during a hold", t, func(t *testing.T) {
		var buf journal
		r := start(t, nil, Options{Hold: hold, Logger: logger(&buf)})
		r.relapse()
		r.Suspend(time.Minute, "")
		r.wantShare(1)
		if s := r.Status(); !s.HeldUntil.IsZero() {
			t.Fatalf("status %+v", s)
		}
		r.pass(time.Minute)
		r.wantShare(0)
		if strings.Contains(buf.String(), "hold is over") {
			t.Fatalf("log:\n%s", buf.String())
		}
	})
	bubble("the clock does not wait for the next probe", t, func(t *testing.T) {
		var buf journal
		r := start(t, nil, Options{Interval: time.Hour, Hold: hold, Logger: logger(&buf)})
		over := func() int { return strings.Count(buf.String(), "hold is over") }
		r.pass(time.Minute)
		r.Suspend(time.Minute, "")
		r.pass(time.Minute)
		r.want(Closed, true)
		r.wantChanges(true, false, true)
		r.pass(hold - 1)
		if over() != 0 {
			t.Fatalf("log:\n%s", buf.String())
		}
		r.pass(1)
		if over() != 1 {
			t.Fatalf("log:\n%s", buf.String())
		}
		r.Suspend(time.Minute, "")
		r.pass(time.Second) // it waits for the end of the suspension
		r.Resume()
		r.pass(hold)
		if over() != 2 {
			t.Fatalf("log:\n%s", buf.String())
		}
		if n := r.probeCount(); n != 1 {
			t.Fatalf("%d probes", n)
		}
	})
	bubble("at most one probe late", t, func(t *testing.T) {
		r := start(t, nil, Options{Timeout: 500 * ms})
		r.pass(time.Second)
		r.do(func(ctx context.Context) error { <-ctx.Done(); return ErrLocal })
		r.Suspend(1100*ms, "") // in the middle of a probe
		r.pass(1100 * ms)
		r.want(Closed, false)
		r.pass(400 * ms)
		r.want(Closed, true)
	})
	bubble("asked for by OnChange", t, func(t *testing.T) {
		var c *Checker
		var seen []bool
		c, err := New("east", Options{
			Probe: func(context.Context) error { return nil }, Jitter: -1, InitialUp: true,
			OnChange: func(healthy bool) {
				seen = append(seen, healthy)
				switch len(seen) {
				case 1:
					c.Resume()
				case 2:
					c.Suspend(time.Second, "")
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{t: t, Checker: c}
		r.run()
		defer r.stop()
		r.Suspend(time.Minute, "")
		r.pass(time.Second)
		if len(seen) != 4 || !c.Healthy() {
			t.Fatalf("OnChange got %v", seen)
		}
	})
}

func TestSuspensionAndBreaker(t *testing.T) {
	const hold = 10 * time.Second
	options := Options{Hold: hold, FlapWindow: time.Minute}
	bubble("goes down meanwhile", t, func(t *testing.T) {
		var buf journal
		o := options
		o.Logger = logger(&buf)
		r := start(t, nil, o)
		r.Suspend(time.Minute, "")
		logged := buf.String()
		r.say(errDown)
		r.pass(30 * time.Second)
		r.want(Open, false)
		if s := r.Status(); s.Trips != 1 || s.Reason != "suspended: by the operator" {
			t.Fatalf("status %+v", s)
		}
		if buf.String() != logged {
			t.Fatalf("log:\n%s", buf.String())
		}
		r.pass(30 * time.Second)
		r.want(Open, false)
		r.wantChanges(true, false)
		if s := r.Status(); !strings.HasPrefix(s.Reason, "failed probes in a row: 3") || !s.SuspendedUntil.IsZero() {
			t.Fatalf("status %+v", s)
		}
		want := `level=INFO msg="upstream is down" upstream=east state=open reason="failed probes in a row: 3, the last: connection refused"` + "\n"
		if got := strings.TrimPrefix(buf.String(), logged); got != want {
			t.Fatalf("log %s", got)
		}
		r.say(nil)
		r.until(true)
		r.wantShare(0)
		r.wantChanges(true, false, true)
	})
	bubble("recovers meanwhile", t, func(t *testing.T) {
		r := start(t, errDown, options)
		r.pass(time.Second)
		r.Suspend(time.Minute, "")
		r.wantChanges() // it was down before
		r.say(nil)
		r.pass(time.Minute - 1)
		r.want(Closed, false)
		r.wantShare(1)
		r.pass(1)
		r.want(Closed, true)
		if s := r.Status(); s.HeldUntil != time.Now().Add(hold) {
			t.Fatalf("status %+v", s)
		}
		r.wantChanges(true)
	})
	bubble("is probed for the first time meanwhile", t, func(t *testing.T) {
		r := start(t, ErrLocal, options)
		r.Suspend(time.Minute, "")
		r.say(nil)
		r.pass(time.Minute)
		r.want(Closed, true)
		r.wantShare(0)
	})
	bubble("is not probed meanwhile", t, func(t *testing.T) {
		r := start(t, ErrLocal, options)
		r.Suspend(time.Minute, "")
		r.Resume()
		r.want(Unknown, false)
		if s := r.Status(); s.Reason != "not probed yet" {
			t.Fatalf("status %+v", s)
		}
		r.say(nil)
		r.until(true)
		r.wantShare(1)
		r.wantChanges(true)
	})
	bubble("hears handshakes meanwhile", t, func(t *testing.T) {
		r := start(t, nil, options)
		r.Suspend(time.Second, "")
		for range 3 {
			r.handshake(errDown)
		}
		r.want(Open, false)
		r.pass(time.Second)
		r.want(Open, false) // the penalty runs
	})
	bubble("a drill doubles nothing", t, func(t *testing.T) {
		r := start(t, nil, options)
		r.pass(time.Hour)
		for range 5 {
			r.Suspend(time.Second, "")
			r.pass(2 * time.Second)
			if s := r.Status(); s.Hold != hold || s.Relapses != 0 || s.Trips != 0 {
				t.Fatalf("status %+v", s)
			}
		}
		r.relapse() // no relapse: it has been well for an hour
		if s := r.Status(); s.Hold != hold || s.Relapses != 0 {
			t.Fatalf("status %+v", s)
		}
	})
	bubble("a drill makes nothing good", t, func(t *testing.T) {
		r := start(t, nil, options)
		r.relapse()
		r.relapse()
		r.Suspend(time.Second, "")
		r.pass(time.Second)
		if s := r.Status(); s.Hold != 2*hold || s.Relapses != 1 {
			t.Fatalf("status %+v", s)
		}
		r.pass(time.Hour)
		r.Suspend(time.Second, "") // but an hour does
		r.pass(time.Second)
		if s := r.Status(); s.Hold != hold || s.Relapses != 0 {
			t.Fatalf("status %+v", s)
		}
	})
	bubble("a suspension that ends while nobody runs", t, func(t *testing.T) {
		r := start(t, nil, options)
		r.Suspend(time.Minute, "")
		r.stop()
		r.pass(time.Hour)
		r.want(Closed, false)
		r.do(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		r.run()
		r.pass(1) // the first probe is still out
		r.want(Closed, true)
	})
}

// From many goroutines: changes alternate, and the last is what is.
func TestSuspendConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: 10 * ms, Recheck: 10 * ms, Fall: 1, Hold: 20 * ms, MaxHold: 40 * ms, Ramp: 20 * ms})
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for n := range 200 {
					switch (n + i) % 4 {
					case 0:
						r.Suspend(time.Duration(n)*ms, "drill")
					case 1:
						r.Resume()
					case 2:
						r.Begin().Done(nil)
					default:
						if n%8 < 4 {
							r.say(errDown)
						} else {
							r.say(nil)
						}
					}
					if share := r.Share(); share < 0 || share > 1 {
						t.Errorf("share %v", share)
					}
					_ = r.Status()
					time.Sleep(7 * ms)
				}
			})
		}
		wg.Wait()
		r.Resume()
		r.say(nil)
		r.until(true)
		r.pass(time.Second)
		r.wantShare(1)
		changes := r.told()
		if len(changes) < 20 {
			t.Fatalf("only %d changes", len(changes))
		}
		for i, healthy := range changes {
			if healthy != (i%2 == 0) {
				t.Fatalf("change %d of %v", i, changes)
			}
		}
	})
}
