package health

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

func bubble(name string, t *testing.T, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestStart(t *testing.T) {
	bubble("unknown takes no sessions", t, func(t *testing.T) {
		c, err := New("east", Options{Probe: func(context.Context) error { return nil }})
		if err != nil {
			t.Fatal(err)
		}
		if s := c.Status(); c.Healthy() || s.State != Unknown || !s.LastProbe.At.IsZero() || s.Since != time.Now() {
			t.Fatalf("before the first probe: %+v", s)
		}
	})
	bubble("first good probe is enough", t, func(t *testing.T) {
		r := start(t, nil, Options{Rise: 5})
		r.want(Closed, true)
		r.wantChanges(true)
	})
	bubble("after a failure it takes rise", t, func(t *testing.T) {
		r := start(t, errDown, Options{})
		r.want(Open, false)
		r.wantChanges() // it was not healthy before either
		r.say(nil)
		r.pass(2*time.Second - 1)
		r.want(Open, false)
		r.pass(1)
		r.want(HalfOpen, false)
		r.pass(500 * ms)
		r.want(Closed, true)
		r.wantChanges(true)
		if s := r.Status(); s.Trips != 0 || s.Since != time.Now() {
			t.Fatalf("status %+v: want no trip, since now", s)
		}
	})
	bubble("initially up", t, func(t *testing.T) {
		r := start(t, errDown, Options{InitialUp: true})
		r.want(Closed, true)
		r.pass(1000*ms - 1)
		r.want(Closed, true)
		r.pass(1)
		r.want(Open, false)
		r.wantChanges(false)
	})
}

func TestFallAndRise(t *testing.T) {
	bubble("fall in a row", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.say(errDown)
		r.pass(2 * time.Second) // first failure
		r.pass(500 * ms)        // second
		r.say(nil)
		r.pass(500 * ms) // good: starts over
		r.want(Closed, true)
		r.say(errDown)
		r.pass(2 * time.Second)
		r.pass(500 * ms)
		r.want(Closed, true)
		r.pass(500 * ms)
		r.want(Open, false)
		r.wantChanges(true, false)
		s := r.Status()
		if s.Trips != 1 || s.LastProbe.Err != errDown.Error() || !strings.Contains(s.Reason, "failed probes in a row: 3") {
			t.Fatalf("status %+v", s)
		}
	})
	bubble("rise in a row", t, func(t *testing.T) {
		r := start(t, errDown, Options{Rise: 3})
		for range 3 { // two good ones, then a bad one
			r.say(nil)
			r.pass(2 * time.Second)
			r.pass(500 * ms)
			r.want(HalfOpen, false)
			r.say(errDown)
			r.pass(500 * ms)
			r.want(Open, false)
		}
		r.say(nil)
		r.pass(3 * time.Second)
		r.want(Closed, true)
		r.wantChanges(true)
	})
}

func TestGoodHandshakeOverridesProbe(t *testing.T) {
	bubble("steady traffic keeps it up", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.say(errDown)
		for range 100 {
			r.pass(700 * ms)
			r.handshake(nil)
		}
		r.want(Closed, true)
		r.wantChanges(true)
	})
	bubble("a contradicted probe confirms nothing", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.say(errDown)
		r.pass(2 * time.Second)
		r.handshake(nil)
		r.handshake(errDown)
		r.pass(600 * ms) // the nudged probe and one more, both bad
		r.want(Closed, true)
		r.handshake(nil)
		r.want(Closed, true)
	})
}

func TestTraffic(t *testing.T) {
	bubble("good probes do not excuse failed handshakes", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		for range 2 {
			r.handshake(errDown)
			r.pass(time.Minute)
			r.want(Closed, true)
		}
		r.handshake(errDown)
		r.want(Open, false)
	})
	bubble("a good handshake does", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		for range 50 {
			r.handshake(errDown)
			r.handshake(errDown)
			r.handshake(nil)
		}
		r.want(Closed, true)
	})
	bubble("a failed handshake and a failed probe agree", t, func(t *testing.T) {
		r := start(t, nil, Options{Interval: 10 * time.Second})
		r.do(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }) // black hole
		r.pass(time.Second)
		r.handshake(errDown)
		r.pass(time.Second - 1)
		r.want(Closed, true)
		r.pass(1)
		r.want(Open, false) // one probe time-out after the handshake
		r.say(nil)
		r.pass(10*time.Second + 500*ms)
		r.want(Closed, true) // no penalty: the probe was right
	})
	bubble("a failed handshake from before the recovery agrees with nothing", t, func(t *testing.T) {
		r := start(t, nil, Options{Timeout: 10 * time.Second}) // which makes evidence fresh for 12s
		r.pass(time.Second)
		r.say(errDown)
		r.handshake(errDown)
		r.want(Open, false)
		r.say(nil)
		r.pass(2500 * ms)
		r.want(Closed, true)
		r.say(errDown)
		r.pass(2 * time.Second)
		if p := r.Status().LastProbe; p.Err == "" {
			t.Fatal("no bad probe yet")
		}
		r.want(Closed, true)
	})
	bubble("an old failed handshake agrees with nothing", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.handshake(errDown)
		r.pass(10 * time.Second)
		r.say(errDown)
		r.pass(900 * ms) // two bad probes
		if p := r.Status().LastProbe; p.Err == "" {
			t.Fatal("no bad probe yet")
		}
		r.want(Closed, true)
	})
}

func TestPenalty(t *testing.T) {
	// trip fails Fall handshakes and returns how long the way back takes, with probes good all the time.
	trip := func(r *rig) time.Duration {
		for range 3 {
			r.handshake(errDown)
		}
		r.want(Open, false)
		began := time.Now()
		for !r.Healthy() {
			r.pass(10 * ms)
		}
		return time.Since(began)
	}
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{})
		for i, penalty := range []time.Duration{2, 4, 8, 16, 32, 60, 60} {
			penalty *= time.Second
			// Two probes that count, Recheck apart, after the penalty.
			if took := trip(r); took < penalty+500*ms || took > penalty+1100*ms {
				t.Fatalf("trip %d: back after %v, want %v and two probes", i, took, penalty)
			}
			r.pass(30 * time.Second)
		}
		r.pass(31 * time.Second) // more than a minute of good conduct
		if took := trip(r); took > 3100*ms {
			t.Fatalf("after a good minute: back after %v, want the first penalty again", took)
		}
		if s := r.Status(); s.Trips != 8 {
			t.Fatalf("trips %d, want 8", s.Trips)
		}
	})
}

func TestTransitionsAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf journal
		r := start(t, errDown, Options{Logger: logger(&buf)})
		r.pass(time.Minute)
		r.say(nil)
		r.pass(time.Minute)
		r.say(errDown)
		r.pass(time.Minute)
		want := strings.Join([]string{
			`level=INFO msg="upstream is down" upstream=east state=open reason="first probe failed: connection refused"`,
			`level=INFO msg="upstream is up" upstream=east state=closed reason="good probes in a row: 2"`,
			`level=INFO msg="upstream is down" upstream=east state=open reason="failed probes in a row: 3, the last: connection refused"`,
			``,
		}, "\n")
		if got := buf.String(); got != want {
			t.Fatalf("log:\n%swant:\n%s", got, want)
		}
	})
}

// Changes reach OnChange in order and one at a time, from whichever goroutine they come, and OnChange may call back.
func TestOnChangeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *Checker
		var busy sync.Mutex
		var seen []bool
		c, err := New("east", Options{
			Probe:    func(context.Context) error { return nil },
			Interval: ms, Recheck: ms, Rise: 1, Fall: 1, InitialUp: true,
			OnChange: func(healthy bool) {
				if !busy.TryLock() {
					t.Error("two calls at once")
					return
				}
				defer busy.Unlock()
				seen = append(seen, healthy)
				if healthy {
					c.Lost(errDown) // causes a change inside the call
				}
				_ = c.Status()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { c.Run(ctx) })
		for range 4 {
			wg.Go(func() {
				for i := range 200 {
					if i%3 == 0 {
						c.Begin().Done(errDown)
					} else {
						c.Begin().Done(nil)
					}
					time.Sleep(ms)
				}
			})
		}
		time.Sleep(5 * time.Second) // penalties from 1 ms up, doubling
		cancel()
		wg.Wait()
		if len(seen) < 6 {
			t.Fatalf("only %d changes", len(seen))
		}
		want := false // initially up
		for i, got := range seen {
			if got != want {
				t.Fatalf("change %d of %v is %v", i, seen, got)
			}
			want = !want
		}
		if last := seen[len(seen)-1]; last != c.Healthy() {
			t.Fatalf("last change %v, healthy %v", last, c.Healthy())
		}
	})
}

func TestHealthyDoesNotAllocate(t *testing.T) {
	c, err := New("east", Options{Probe: TCPProbe("127.0.0.1:1"), InitialUp: true})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _ = c.Healthy() }); n > 0 {
		t.Fatalf("Healthy: %v allocs", n)
	}
}

func TestOptions(t *testing.T) {
	probe := func(context.Context) error { return nil }
	for _, row := range []struct {
		name string
		o    Options
		want string // in the error
	}{
		{"no probe", Options{}, "probe is missing"},
		{"interval", Options{Probe: probe, Interval: -1}, "interval -1ns is negative"},
		{"recheck", Options{Probe: probe, Recheck: -1}, "recheck -1ns is negative"},
		{"timeout", Options{Probe: probe, Timeout: -1}, "timeout -1ns is negative"},
		{"handshake timeout", Options{Probe: probe, HandshakeTimeout: -1}, "handshake timeout -1ns is negative"},
		{"jitter", Options{Probe: probe, Jitter: 1.1}, "jitter 1.1 is not"},
		{"no jitter", Options{Probe: probe, Jitter: math.NaN()}, "jitter NaN is not"},
		{"rise", Options{Probe: probe, Rise: -1}, "rise -1 is not"},
		{"fall", Options{Probe: probe, Fall: -2}, "fall -2 is not"},
		{"hold", Options{Probe: probe, Hold: -1}, "hold -1ns is negative"},
		{"max hold", Options{Probe: probe, MaxHold: -1}, "max hold -1ns is negative"},
		{"max hold below hold", Options{Probe: probe, Hold: 2 * time.Second, MaxHold: time.Second}, "max hold 1s is shorter than hold 2s"},
		{"flap window", Options{Probe: probe, FlapWindow: -1}, "flap window -1ns is negative"},
		{"ramp", Options{Probe: probe, Ramp: -1}, "ramp -1ns is negative"},
		{"all together", Options{Rise: -1}, "probe is missing\nrise -1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := New("east", row.o)
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), `"east"`) {
				t.Fatalf("error %v, want %q", err, row.want)
			}
		})
	}
	o, err := Options{Probe: probe, Interval: 100 * ms}.withDefaults()
	if err != nil || o.Recheck != 100*ms || o.Timeout != time.Second || o.Jitter != 0.1 || o.Rise != 2 || o.Fall != 3 {
		t.Fatalf("defaults %+v, %v", o, err)
	}
	if o.Hold != 0 || o.MaxHold != 5*time.Minute || o.FlapWindow != 5*time.Minute || o.Ramp != 0 {
		t.Fatalf("defaults %+v", o)
	}
	if o, err := (Options{Probe: probe, Hold: time.Hour}).withDefaults(); err != nil || o.MaxHold != time.Hour {
		t.Fatalf("max hold %v beside a hold of an hour, %v", o.MaxHold, err)
	}
	if _, err := New("east", Options{Probe: probe}); err != nil || errors.Is(err, ErrLocal) {
		t.Fatal(err)
	}
}
