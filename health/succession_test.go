package health

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// quiet is a probe that says nothing, so that a successor keeps what it has taken over.
var quiet = ErrLocal

func TestReplaces(t *testing.T) {
	o := Options{Hold: 10 * time.Second, Ramp: 20 * time.Second, FlapWindow: time.Minute}
	for _, row := range []struct {
		name  string
		first error // of the first probe
		up    bool  // InitialUp
		story func(r *rig)
	}{
		{name: "unknown", first: ErrLocal},
		{name: "taken as up", first: ErrLocal, up: true},
		{name: "up", first: nil},
		{name: "never up", first: errDown},
		{name: "tripped", story: func(r *rig) { r.say(errDown); r.until(false) }},
		{name: "half-open", first: errDown, story: func(r *rig) {
			r.say(nil)
			r.pass(2 * time.Second)
			r.want(HalfOpen, false)
		}},
		{name: "held", story: func(r *rig) { r.relapse(); r.pass(time.Second) }},
		{name: "in the ramp", story: func(r *rig) { r.relapse(); r.pass(15 * time.Second); r.wantShare(0.25) }},
		{name: "after it", story: func(r *rig) { r.relapse(); r.pass(30 * time.Second); r.wantShare(1) }},
		{name: "relapsed", story: func(r *rig) { r.relapse(); r.relapse(); r.relapse() }},
		{name: "suspended", story: func(r *rig) { r.Suspend(time.Minute, "drill") }},
		{name: "suspended before it was known", first: ErrLocal, story: func(r *rig) { r.Suspend(time.Minute, "drill") }},
		{name: "suspended and down", first: errDown, story: func(r *rig) { r.Suspend(time.Minute, "drill") }},
	} {
		bubble(row.name, t, func(t *testing.T) {
			o := o
			o.InitialUp = row.up
			old := start(t, row.first, o)
			if row.story != nil {
				row.story(old)
			}
			old.stop()
			want, share := old.Status(), old.Share()
			if want.State == HalfOpen {
				want.State = Open // by the new Rise, from the start
			}
			successor := o
			successor.InitialUp, successor.Replaces = false, old.Checker
			before := old.Share()
			r := start(t, quiet, successor)
			got := r.Status()
			got.LastProbe = want.LastProbe // it has probed already
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("old and new:\n%s", diff)
			}
			if r.Healthy() != want.Healthy || r.Share() != share || before != share {
				t.Fatalf("healthy %v, share %v; want %v, %v", r.Healthy(), r.Share(), want.Healthy, share)
			}
			r.wantChanges()
		})
	}
	bubble("the last probe", t, func(t *testing.T) {
		old := start(t, errDown, o)
		old.stop()
		c, err := New("east", Options{Probe: TCPProbe("127.0.0.1:1"), Replaces: old.Checker})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.Status(), old.Status(); got.LastProbe != want.LastProbe || got.LastProbe.At.IsZero() {
			t.Fatalf("status %+v, want %+v", got, want)
		}
	})
	bubble("unknown, and now taken as up", t, func(t *testing.T) {
		old := start(t, ErrLocal, o)
		old.stop()
		r := start(t, quiet, Options{InitialUp: true, Replaces: old.Checker})
		r.want(Unknown, true)
		if s := r.Status(); s.Reason != "taken as up at the start" {
			t.Fatalf("status %+v", s)
		}
	})
	bubble("down, and not taken as up", t, func(t *testing.T) {
		old := start(t, errDown, o)
		old.stop()
		r := start(t, quiet, Options{InitialUp: true, Replaces: old.Checker})
		r.want(Open, false)
	})
	bubble("another name", t, func(t *testing.T) {
		old := start(t, nil, o)
		_, err := New("west", Options{Replaces: old.Checker})
		if err == nil || !strings.Contains(err.Error(), "probe is missing") || !strings.Contains(err.Error(), `cannot replace the checker of "east"`) {
			t.Fatal(err)
		}
	})
}

// What was under way goes on in the successor.
func TestReplacedLifeGoesOn(t *testing.T) {
	const hold = 10 * time.Second
	bubble("a hold, its end and its ramp", t, func(t *testing.T) {
		var before, after journal
		old := start(t, nil, Options{Hold: hold, Logger: logger(&before)})
		old.relapse()
		old.pass(4 * time.Second)
		old.stop()
		r := start(t, nil, Options{Hold: time.Minute, Ramp: 10 * time.Second, Logger: logger(&after), Replaces: old.Checker})
		r.pass(6*time.Second - 1)
		r.wantShare(0)
		r.pass(1)
		r.wantShare(0.01)
		r.pass(5 * time.Second)
		r.wantShare(0.5)
		if strings.Contains(before.String(), "over") || strings.Count(after.String(), "hold is over") != 1 {
			t.Fatalf("old log:\n%snew log:\n%s", before.String(), after.String())
		}
		r.relapse() // which it is only with what the old one knew
		if s := r.Status(); s.Relapses != 1 || s.Hold != 2*time.Minute || s.Trips != 2 {
			t.Fatalf("status %+v", s)
		}
	})
	bubble("no hold any more", t, func(t *testing.T) {
		var log journal
		old := start(t, nil, Options{Hold: hold})
		old.relapse()
		old.stop()
		r := start(t, nil, Options{Logger: logger(&log), Replaces: old.Checker})
		r.wantShare(1)
		r.pass(time.Hour)
		if log.String() != "" {
			t.Fatalf("log:\n%s", log.String())
		}
	})
	bubble("no hold any more, but a ramp", t, func(t *testing.T) {
		old := start(t, nil, Options{Hold: hold})
		old.relapse()
		old.stop()
		r := start(t, nil, Options{Ramp: hold, Replaces: old.Checker})
		r.pass(hold / 2)
		r.wantShare(0.5)
	})
	bubble("a suspension", t, func(t *testing.T) {
		old := start(t, nil, Options{Hold: hold})
		old.Suspend(time.Minute, "drill")
		old.pass(30 * time.Second)
		old.stop()
		r := start(t, nil, Options{Hold: hold, Replaces: old.Checker})
		r.pass(30*time.Second - 1)
		r.want(Closed, false)
		r.pass(1)
		r.want(Closed, true)
		r.wantShare(0)
		r.wantChanges(true)
	})
	bubble("the way back, by the new Rise", t, func(t *testing.T) {
		old := start(t, errDown, Options{Rise: 2})
		old.say(nil)
		old.pass(2 * time.Second)
		old.want(HalfOpen, false)
		old.stop()
		r := start(t, nil, Options{Rise: 3, Hold: hold, Replaces: old.Checker})
		r.want(Open, false) // a probe in the very instant of the taking over does not count
		r.pass(500 * ms)
		r.want(HalfOpen, false)
		r.pass(500 * ms)
		r.want(HalfOpen, false)
		r.pass(500 * ms)
		r.want(Closed, true)
		r.wantShare(0)
	})
	bubble("a streak", t, func(t *testing.T) {
		old := start(t, nil, Options{})
		old.handshake(errDown)
		old.handshake(errDown)
		old.stop()
		r := start(t, nil, Options{Replaces: old.Checker})
		r.want(Closed, true)
		r.handshake(errDown)
		r.want(Open, false)
	})
	bubble("the pace of probes", t, func(t *testing.T) {
		old := start(t, nil, Options{})
		old.stop()
		r := start(t, quiet, Options{Replaces: old.Checker})
		r.pass(2 * time.Second)
		r.wantProbes(0, 2000*ms) // no recheck: nothing differs from the belief
	})
	bubble("a penalty", t, func(t *testing.T) {
		old := start(t, nil, Options{Interval: 20 * time.Second})
		for range 3 {
			old.handshake(errDown)
		}
		old.stop()
		r := start(t, nil, Options{Replaces: old.Checker})
		r.pass(19 * time.Second)
		r.want(Open, false)
		r.until(true)
	})
}

// What is reported to the old one late, or by those who have not heard of the new one.
func TestOutcomesForTheReplaced(t *testing.T) {
	bubble("before the new one runs nothing changes", t, func(t *testing.T) {
		old := start(t, nil, Options{})
		if _, err := New("east", Options{Probe: TCPProbe("127.0.0.1:1"), Replaces: old.Checker}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			old.handshake(errDown)
		}
		old.want(Open, false)
		old.wantChanges(true, false)
	})
	bubble("a handshake from before does not count", t, func(t *testing.T) {
		var log journal
		old := start(t, nil, Options{Fall: 1, Logger: logger(&log)})
		logged := log.String()
		late := old.Begin()
		old.stop()
		r := start(t, nil, Options{Fall: 1, Replaces: old.Checker})
		r.pass(time.Second)
		before := r.probeCount()
		late.Done(errDown)
		synctest.Wait()
		r.want(Closed, true)
		old.wantChanges(true)
		if log.String() != logged {
			t.Fatalf("log:\n%s", log.String())
		}
		if n := r.probeCount() - before; n != 1 {
			t.Fatalf("%d probes: it should ask for one", n)
		}
	})
	bubble("what begins now counts for the new one", t, func(t *testing.T) {
		first := start(t, nil, Options{})
		first.stop()
		second := start(t, nil, Options{Replaces: first.Checker})
		second.stop()
		r := start(t, nil, Options{Replaces: first.Checker}) // the one that has taken over from it is meant
		first.handshake(errDown)
		second.Lost(errDown)
		first.Lost(errDown)
		synctest.Wait()
		r.want(Open, false)
		first.wantChanges(true)
		second.wantChanges()
		r.wantChanges(false)
	})
	bubble("so do suspensions and nudges", t, func(t *testing.T) {
		old := start(t, nil, Options{})
		old.stop()
		r := start(t, nil, Options{Replaces: old.Checker})
		r.pass(time.Second)
		before := r.probeCount()
		old.Nudge()
		synctest.Wait()
		if n := r.probeCount() - before; n != 1 {
			t.Fatalf("%d probes", n)
		}
		old.Suspend(time.Minute, "drill")
		r.want(Closed, false)
		old.Resume()
		r.want(Closed, true)
		r.wantChanges(false, true)
	})
	bubble("no ancestor is kept", t, func(t *testing.T) {
		old := start(t, nil, Options{})
		old.stop()
		r := start(t, nil, Options{Replaces: old.Checker})
		if r.opts.Replaces != nil || r.brk.opts.Replaces != nil || r.hold.opts.Replaces != nil || r.replaces != nil {
			t.Fatal("the old checker is still referred to")
		}
	})
}
