package proxy

import (
	"context"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// region is an upstream in virtual time, whose checker runs.
type region struct {
	*pool.Upstream
	probes  atomic.Int64
	answer  atomic.Bool // of probes
	changes atomic.Int64
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// newRegion runs a region until the end of the test.
func newRegion(t *testing.T, name string, role pool.Role, o health.Options) *region {
	t.Helper()
	r := new(region)
	r.answer.Store(true)
	o.Probe = func(context.Context) error {
		r.probes.Add(1)
		if !r.answer.Load() {
			return errGone
		}
		return nil
	}
	o.OnChange = func(bool) { r.changes.Add(1) }
	checker, err := health.New(name, o)
	if err != nil {
		t.Fatal(err)
	}
	r.Upstream, err = pool.NewUpstream(pool.Options{
		Name: name, URL: &url.URL{Scheme: "ws", Host: name + ":80"}, Role: role, Checker: checker,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { checker.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

// goes is where a new session goes.
func goes(t *testing.T, s *pool.Set) string {
	t.Helper()
	lease, err := s.Pick(pool.Request{}, pool.Tried{})
	if err != nil {
		t.Fatalf("nobody takes a session: %v", err)
	}
	defer lease.Release()
	return lease.Upstream().Name()
}

// TestFlap is fault 8: a primary that changes every two seconds for a minute.
// New sessions change their way twice: when it first fails, and when it has been
// well for its hold. In between nobody is sent to and fro.
func TestFlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		east := newRegion(t, "east", pool.Primary, health.Options{
			Interval: 200 * time.Millisecond, Recheck: 50 * time.Millisecond, Hold: 10 * time.Second, MaxHold: 30 * time.Second,
		})
		west := newRegion(t, "west", pool.Secondary, health.Options{})
		s := set(t, east.Upstream, west.Upstream)
		pass(time.Second)
		way, turns, homes := goes(t, s), 0, 0
		if way != "east" {
			t.Fatalf("at first a session goes to %s", way)
		}
		look := func() {
			if now := goes(t, s); now != way {
				way = now
				turns++
			}
			if s.Home(west.Upstream) {
				homes++
			}
		}
		for i := range 30 {
			east.answer.Store(i%2 == 1)
			for range 40 {
				look()
				pass(50 * time.Millisecond)
			}
		}
		if turns != 1 || way != "west" {
			t.Errorf("new sessions turned %d times, and go to %s", turns, way)
		}
		// Before the first failure was seen, it was home.
		if homes > 10 {
			t.Errorf("sessions were to be led home at %d moments", homes)
		}
		if n := east.changes.Load(); n > 32 {
			t.Errorf("%d transitions in a minute", n)
		}
		st := east.Checker().Status()
		if st.Relapses < 10 || st.Hold < 30*time.Second {
			t.Errorf("status %+v", st)
		}
		// It stays well: the hold is the longest, lengthened by a tenth at most.
		east.answer.Store(true)
		well := time.Now()
		for homes = 0; way == "west" && time.Since(well) < 5*time.Minute; {
			pass(50 * time.Millisecond)
			look()
		}
		if took := time.Since(well); took < 28*time.Second || took > 35*time.Second || turns != 2 {
			t.Errorf("home after %v, %d turns", took, turns)
		}
		if !s.Home(west.Upstream) {
			t.Error("sessions are not led home")
		}
	})
}

// TestRamp is the share over time of fault 9: nothing during the hold, then more
// and more, then everything; and nobody is led home before that.
func TestRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hold, ramp = 10 * time.Second, 40 * time.Second
		east := newRegion(t, "east", pool.Primary, health.Options{
			Interval: 100 * time.Millisecond, Hold: hold, Ramp: ramp, Jitter: -1,
		})
		west := newRegion(t, "west", pool.Secondary, health.Options{})
		s := set(t, east.Upstream, west.Upstream)
		pass(time.Second)
		east.answer.Store(false)
		pass(10 * time.Second)
		east.answer.Store(true)
		for !east.Healthy() {
			pass(10 * time.Millisecond)
		}
		up := time.Now()
		const picks = 4000
		share := func() float64 {
			n := 0
			for range picks {
				if goes(t, s) == "east" {
					n++
				}
			}
			return float64(n) / picks
		}
		for _, row := range []struct {
			at   time.Duration
			want float64
		}{
			{0, 0}, {hold - 1, 0}, {hold, 0.01}, {hold + ramp/10, 0.1}, {hold + ramp/4, 0.25},
			{hold + ramp/2, 0.5}, {hold + ramp*9/10, 0.9}, {hold + ramp - 1, 1}, {hold + ramp, 1}, {time.Hour, 1},
		} {
			pass(row.at - time.Since(up))
			// Six standard deviations.
			if got := share(); got < row.want-0.05 || got > row.want+0.05 || row.want == 0 && got != 0 {
				t.Errorf("%v after the recovery: %v of the new sessions, want %v", row.at, got, row.want)
			}
			if home := s.Home(west.Upstream); home != (row.at >= hold+ramp) {
				t.Errorf("%v after the recovery: home %v", row.at, home)
			}
		}
	})
}

// TestProbePathDown is fault 11: probes fail and clients are served. As long as
// they are, nobody is taken out for it; without them the probes are believed.
func TestProbePathDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		east := newRegion(t, "east", pool.Primary, health.Options{})
		west := newRegion(t, "west", pool.Secondary, health.Options{})
		s := set(t, east.Upstream, west.Upstream)
		pass(time.Second)
		east.answer.Store(false)
		for range 6000 { // ten minutes of handshakes
			if way := goes(t, s); way != "east" {
				t.Fatalf("a session goes to %s", way)
			}
			east.Checker().Begin().Done(nil)
			pass(100 * time.Millisecond)
		}
		if n := east.probes.Load(); n < 300 {
			t.Errorf("%d probes in ten minutes", n)
		}
		if st := east.Checker().Status(); st.Trips != 0 || east.changes.Load() != 1 || st.LastProbe.Err == "" {
			t.Errorf("%d changes, status %+v", east.changes.Load(), st)
		}
		pass(10 * time.Second)
		if east.Healthy() {
			t.Error("the probes are not believed, and nothing speaks against them")
		}
	})
}
