package health

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHold(t *testing.T) {
	const hold = 10 * time.Second
	bubble("the first good probe is no recovery", t, func(t *testing.T) {
		r := start(t, nil, Options{Hold: hold})
		r.want(Closed, true)
		r.wantShare(1)
		if s := r.Status(); !s.HeldUntil.IsZero() || s.Hold != 0 {
			t.Fatalf("status %+v", s)
		}
	})
	bubble("nor is the first one after own faults", t, func(t *testing.T) {
		r := start(t, ErrLocal, Options{Hold: hold})
		r.say(nil)
		r.until(true)
		r.wantShare(1)
	})
	bubble("nor is a start as up", t, func(t *testing.T) {
		r := start(t, nil, Options{Hold: hold, InitialUp: true})
		r.wantShare(1)
	})
	bubble("a bad start and a good end is one", t, func(t *testing.T) {
		r := start(t, errDown, Options{Hold: hold})
		r.wantShare(1) // says nothing about health
		r.say(nil)
		r.until(true)
		r.wantShare(0)
		if s := r.Status(); s.HeldUntil != time.Now().Add(hold) || s.Hold != hold || !s.RampUntil.IsZero() || s.Relapses != 0 {
			t.Fatalf("status %+v", s)
		}
		r.pass(hold - 1)
		r.want(Closed, true)
		r.wantShare(0)
		r.pass(1)
		r.want(Closed, true)
		r.wantShare(1)
		if s := r.Status(); !s.HeldUntil.IsZero() || s.Hold != hold {
			t.Fatalf("status %+v", s)
		}
	})
	bubble("down and up again is one", t, func(t *testing.T) {
		r := start(t, nil, Options{Hold: hold, InitialUp: true})
		for range 3 {
			r.handshake(errDown)
		}
		r.want(Open, false)
		r.wantShare(1)
		r.until(true)
		r.wantShare(0)
	})
	bubble("going down ends it", t, func(t *testing.T) {
		r := start(t, errDown, Options{Hold: hold})
		r.say(nil)
		r.until(true)
		r.say(errDown)
		r.until(false)
		r.wantShare(1)
		if s := r.Status(); !s.HeldUntil.IsZero() {
			t.Fatalf("status %+v", s)
		}
	})
	bubble("it ends without Run", t, func(t *testing.T) {
		r := start(t, errDown, Options{Hold: hold})
		r.say(nil)
		r.until(true)
		r.stop()
		time.Sleep(hold - 1)
		r.wantShare(0)
		time.Sleep(time.Nanosecond)
		r.wantShare(1)
	})
	bubble("without a hold there is none", t, func(t *testing.T) {
		r := start(t, errDown, Options{})
		r.say(nil)
		r.until(true)
		r.wantShare(1)
	})
}

// An upstream that flaps all the time takes no session away from another one, ever.
func TestFlappingUpstreamStaysHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var buf journal
		r := start(t, nil, Options{
			Interval: 100 * ms, Recheck: 50 * ms, Timeout: 50 * ms,
			Hold: 10 * time.Second, MaxHold: time.Minute, Logger: logger(&buf),
		})
		r.say(errDown)
		r.until(false)
		ups := 0
		for i := range 30 {
			if i%2 == 0 {
				r.say(nil)
				ups++
			} else {
				r.say(errDown)
			}
			for range 200 { // two seconds
				r.pass(10 * ms)
				if r.Healthy() {
					r.wantShare(0)
				}
			}
		}
		r.say(nil)
		r.until(true)
		ups++
		if s := r.Status(); s.Trips != uint64(ups) || s.Relapses != ups-1 || s.Hold != time.Minute {
			t.Fatalf("after %d recoveries: %+v", ups, s)
		}
		r.pass(time.Minute - 1)
		r.wantShare(0)
		r.pass(1)
		r.wantShare(1)
		var held []string
		for line := range strings.Lines(buf.String()) {
			if _, after, ok := strings.Cut(line, "held_for="); ok {
				held = append(held, strings.TrimSpace(after))
			} else if strings.Contains(line, "hold is over") {
				held = append(held, "over")
			}
		}
		// The hold is over once, at the end: never while the upstream flapped.
		want := "10s 20s 40s" + strings.Repeat(" 1m0s", ups-3) + " over"
		if got := strings.Join(held, " "); got != want {
			t.Fatalf("holds %s\nwant  %s\nlog:\n%s", got, want, buf.String())
		}
	})
}

func TestHoldDoubles(t *testing.T) {
	wantHold := func(r *rig, want time.Duration, relapses int) {
		r.t.Helper()
		s := r.Status()
		if s.Hold != want || s.HeldUntil != time.Now().Add(want) || s.Relapses != relapses {
			r.t.Fatalf("hold %v until %v, relapses %d; want %v, %d", s.Hold, s.HeldUntil, s.Relapses, want, relapses)
		}
		r.wantShare(0)
	}
	options := Options{Hold: 10 * time.Second, MaxHold: 35 * time.Second, FlapWindow: time.Minute}
	bubble("up to its limit, and starts over after a good time", t, func(t *testing.T) {
		r := start(t, nil, options)
		r.pass(time.Second) // the start is not a recovery either
		for i, want := range []time.Duration{10, 20, 35, 35} {
			r.relapse()
			wantHold(r, want*time.Second, i)
			r.pass(30 * time.Second)
		}
		r.pass(30*time.Second + 10*ms) // since the last recovery
		if s := r.Status(); s.Relapses != 0 {
			t.Fatalf("after a good minute: %+v", s)
		}
		r.relapse()
		wantHold(r, 10*time.Second, 0)
	})
	bubble("after a relapse during the hold", t, func(t *testing.T) {
		r := start(t, nil, options)
		r.relapse()
		r.pass(time.Second)
		r.relapse()
		wantHold(r, 20*time.Second, 1)
	})
	bubble("a hold longer than the window is part of it", t, func(t *testing.T) {
		o := options
		o.FlapWindow = 2 * time.Second
		r := start(t, nil, o)
		r.relapse()
		r.pass(6 * time.Second)
		r.relapse()
		wantHold(r, 20*time.Second, 1)
		r.pass(20 * time.Second)
		r.relapse()
		wantHold(r, 10*time.Second, 0)
	})
	bubble("a long time down makes nothing good", t, func(t *testing.T) {
		r := start(t, nil, options)
		r.relapse()
		r.say(errDown)
		r.until(false)
		r.pass(time.Hour)
		if s := r.Status(); s.Relapses != 1 {
			t.Fatalf("status %+v", s)
		}
		r.say(nil)
		r.until(true)
		wantHold(r, 20*time.Second, 1)
	})
	bubble("relapses beyond counting", t, func(t *testing.T) {
		h := hold{opts: Options{Hold: time.Hour, MaxHold: 1<<63 - 1}, relapses: 1 << 40}
		if got := h.next(); got != 1<<63-1 {
			t.Fatalf("hold %v", got)
		}
	})
}

func TestHoldJitter(t *testing.T) {
	o, err := Options{Probe: TCPProbe("127.0.0.1:1"), Hold: 10 * time.Second}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	h := hold{opts: o}
	var short, long int
	for range 1000 {
		switch d := h.next(); {
		case d < 10*time.Second || d > 11*time.Second || d%ms != 0:
			t.Fatalf("hold %v is not 10s and up to a tenth more, in milliseconds", d)
		case d < 10250*ms:
			short++
		case d > 10750*ms:
			long++
		}
	}
	// A quarter each is expected; 100 is more than ten standard deviations away.
	if short < 100 || long < 100 {
		t.Fatalf("of 1000 holds %d were short and %d long: not spread", short, long)
	}
}

func TestRamp(t *testing.T) {
	bubble("after the hold", t, func(t *testing.T) {
		r := start(t, errDown, Options{Hold: 10 * time.Second, Ramp: 20 * time.Second})
		r.say(nil)
		r.until(true)
		up := time.Now()
		r.wantShare(0)
		if s := r.Status(); s.HeldUntil != up.Add(10*time.Second) || s.RampUntil != up.Add(30*time.Second) {
			t.Fatalf("held: %+v", s)
		}
		r.pass(10*time.Second - 1)
		r.wantShare(0)
		r.pass(1)
		r.wantShare(0.01)
		r.pass(100 * ms)
		r.wantShare(0.01)
		r.pass(900 * ms)
		r.wantShare(0.05)
		if s := r.Status(); !s.HeldUntil.IsZero() || s.RampUntil != up.Add(30*time.Second) {
			t.Fatalf("in the ramp: %+v", s)
		}
		r.pass(9 * time.Second)
		r.wantShare(0.5)
		r.pass(9 * time.Second)
		r.wantShare(0.95)
		r.pass(time.Second)
		r.wantShare(1)
		if s := r.Status(); !s.HeldUntil.IsZero() || !s.RampUntil.IsZero() {
			t.Fatalf("after it: %+v", s)
		}
	})
	bubble("without a hold", t, func(t *testing.T) {
		r := start(t, errDown, Options{Ramp: 10 * time.Second})
		r.say(nil)
		r.until(true)
		r.wantShare(0.01)
		if s := r.Status(); !s.HeldUntil.IsZero() || s.RampUntil.IsZero() || s.Hold != 0 {
			t.Fatalf("status %+v", s)
		}
		r.pass(5 * time.Second)
		r.wantShare(0.5)
	})
	bubble("going down ends it", t, func(t *testing.T) {
		r := start(t, errDown, Options{Ramp: time.Minute})
		r.say(nil)
		r.until(true)
		r.pass(10 * time.Second)
		r.say(errDown)
		r.until(false)
		r.wantShare(1)
		if s := r.Status(); !s.RampUntil.IsZero() {
			t.Fatalf("status %+v", s)
		}
	})
}

// Nothing is left of a hold and its ramp once Share has seen that they are over: no clock is read from then on.
func TestShareReturnsToTheCheapWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{Hold: time.Second, Ramp: time.Second})
		cheap := func() bool { return r.phase.Load() == nil }
		if !cheap() {
			t.Fatal("a phase from the start")
		}
		r.relapse()
		if cheap() {
			t.Fatal("no phase after a recovery")
		}
		r.pass(2 * time.Second)
		r.wantShare(1)
		if !cheap() {
			t.Fatal("still a phase after it")
		}
		r.relapse()
		r.say(errDown)
		r.until(false)
		if !cheap() {
			t.Fatal("a phase while down")
		}
	})
}

func sharers(t testing.TB) map[string]*Checker {
	all := map[string]*Checker{}
	for name, p := range map[string]*phase{
		"settled": nil,
		"held":    {held: time.Now().Add(time.Hour), full: time.Now().Add(2 * time.Hour)},
		"ramp":    {held: time.Now(), full: time.Now().Add(time.Hour)},
	} {
		c, err := New("east", Options{Probe: TCPProbe("127.0.0.1:1"), InitialUp: true})
		if err != nil {
			t.Fatal(err)
		}
		c.phase.Store(p)
		all[name] = c
	}
	return all
}

func TestShareDoesNotAllocate(t *testing.T) {
	for name, c := range sharers(t) {
		if n := testing.AllocsPerRun(1000, func() { _ = c.Share() }); n > 0 {
			t.Errorf("%s: %v allocs", name, n)
		}
	}
}

func BenchmarkShare(b *testing.B) {
	for name, c := range sharers(b) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_ = c.Share()
			}
		})
	}
}
