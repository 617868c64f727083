package health

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// Whatever happens in whatever order, in virtual time: the fast path, Status and OnChange agree, only a real recovery or the end of a
// suspension is followed by a hold, no hold is shorter than Hold or longer than MaxHold, and each ends at its time.
func TestCheckerProperties(t *testing.T) {
	const hold, most, ramp = time.Second, 4 * time.Second, time.Second
	synctest.Test(t, func(bubble *testing.T) {
		// Not as a *testing.T, whose deadline is of the real time.
		rapid.Check(struct{ rapid.TB }{bubble}, func(t *rapid.T) {
			options := Options{
				Interval: 100 * ms, Recheck: 50 * ms, Timeout: 50 * ms, Fall: 2,
				Hold: hold, MaxHold: most, Ramp: ramp, FlapWindow: 3 * time.Second,
				InitialUp: rapid.Bool().Draw(t, "initially up"),
			}
			first := rapid.SampledFrom([]error{nil, errDown, ErrLocal}).Draw(t, "first")
			r := start(bubble, first, options)
			defer func() { r.stop() }()
			everDown := false // known to be down, or suspended
			var told []bool   // by OnChange of those that have been replaced
			t.Repeat(map[string]func(*rapid.T){
				"say": func(t *rapid.T) { r.say(rapid.SampledFrom([]error{nil, nil, errDown, ErrLocal}).Draw(t, "answer")) },
				"pass": func(t *rapid.T) {
					r.pass(rapid.SampledFrom([]time.Duration{10 * ms, 100 * ms, 500 * ms, 2 * time.Second, 5 * time.Second}).Draw(t, "time"))
				},
				"handshake": func(t *rapid.T) {
					r.handshake(rapid.SampledFrom([]error{nil, errDown, ByClient(netip.Addr{}, errDown)}).Draw(t, "outcome"))
				},
				"suspend": func(t *rapid.T) {
					r.Suspend(rapid.SampledFrom([]time.Duration{50 * ms, time.Second}).Draw(t, "time"), "drill")
					everDown = true
				},
				"resume": func(*rapid.T) { r.Resume() },
				"replace": func(t *rapid.T) {
					r.stop()
					told = append(told, r.told()...)
					before := r.Status()
					o := options
					o.Replaces = r.Checker
					r = start(bubble, ErrLocal, o)
					r.say(nil)
					after := r.Status()
					if before.State == HalfOpen {
						before.State = Open
					}
					after.LastProbe = before.LastProbe
					if after != before && !(before.SuspendedUntil.Equal(time.Now()) || before.HeldUntil.Equal(time.Now())) {
						t.Fatalf("replaced:\n%+v\n%+v", before, after)
					}
				},
				"": func(t *rapid.T) {
					synctest.Wait()
					s, now := r.Status(), time.Now()
					healthy, share := r.Healthy(), r.Share()
					everDown = everDown || s.State == Open || s.State == HalfOpen
					changes := append(slices.Clone(told), r.told()...)
					was := options.InitialUp // as OnChange has told
					for _, healthy := range changes {
						if healthy == was {
							t.Fatalf("OnChange got %v", changes)
						}
						was = healthy
					}
					switch {
					case healthy != s.Healthy || healthy != was:
						t.Fatalf("healthy %v, told %v, %+v", healthy, was, s)
					case healthy != (s.SuspendedUntil.IsZero() && s.State != Open && s.State != HalfOpen && (s.State == Closed || options.InitialUp)):
						t.Fatalf("healthy %v: %+v", healthy, s)
					case !s.SuspendedUntil.IsZero() && !s.SuspendedUntil.After(now):
						t.Fatalf("still suspended at %v: %+v", now, s)
					case !healthy && (share != 1 || !s.HeldUntil.IsZero() || !s.RampUntil.IsZero()):
						t.Fatalf("down with a share of %v: %+v", share, s)
					case !everDown && share != 1:
						t.Fatalf("never down, and its share is %v: %+v", share, s)
					case (share == 0) != s.HeldUntil.After(now) || (share < 1) != s.RampUntil.After(now) || share > 1 || share < 0:
						t.Fatalf("share %v at %v: %+v", share, now, s)
					case s.Hold != 0 && (s.Hold < hold || s.Hold > most) || s.HeldUntil.After(now.Add(s.Hold)):
						t.Fatalf("at %v: %+v", now, s)
					case healthy && everDown && now.Sub(s.Since) < s.Hold && share != 0:
						t.Fatalf("up since %v at %v, and not held: %+v", s.Since, now, s)
					case healthy && now.Sub(s.Since) >= most+ramp && share != 1:
						t.Fatalf("up since %v at %v, with a share of %v", s.Since, now, share)
					}
				},
			})
		})
	})
}
