package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/proxy/drain"
)

// TestDrill: for a time an upstream counts as down and its sessions move; then
// it counts as recovered, is held, and they are led home.
func TestDrill(t *testing.T) {
	t.Parallel()
	const sessions = 8
	r := newPair(t, Options{}, func(h *health.Options) { h.Hold = soon })
	f := r.gather(sessions, "/chat")
	east := r.upstream("east")
	d, err := r.Drill("east", 4*soon, 0, false)
	if err != nil {
		t.Fatal(err)
	}
	if s := east.Checker().Status(); s.Healthy || s.SuspendedUntil.IsZero() || !strings.Contains(s.Reason, "failover drill for 1s") {
		t.Errorf("status %+v", s)
	}
	if c, name := r.reached(); east.Healthy() || name == "west" {
		c.Close()
	} else {
		t.Errorf("a new session went to %q", name)
	}
	if s := endsAs(t, d, drain.Done); s.Cause != drain.Drill || s.Rate != 200 || s.Asked != sessions || s.Deadline.IsZero() {
		t.Errorf("status %+v", s)
	}
	until(t, "east to count as recovered", east.Healthy)
	if s := east.Checker().Status(); s.Trips != 0 || s.Hold != soon {
		t.Errorf("a drill is no trip, and has a hold: %+v", s)
	}
	held := east.Checker().Status().HeldUntil
	endsAs(t, r.drainOf(drain.Failback), drain.Done)
	until(t, "all to be home", func() bool { return f.at("east") == sessions })
	f.echo()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, x := range f.all {
		if x.lost > 0 || len(x.farewells) != 2 || x.farewells[0].reason != "failover drill" ||
			x.farewells[1].reason != movedToPrimary || x.farewells[1].at.Before(held) {
			t.Errorf("client %d: %d times lost, farewells %v", i, x.lost, x.farewells)
		}
	}
	for _, s := range r.Drains().List() {
		if s.Cause == drain.Down {
			t.Errorf("a drill is no outage: %+v", s)
		}
	}
}

// TestDrillEnded: enabling ends a drill.
func TestDrillEnded(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	r.gather(3, "/chat")
	d, err := r.Drill("east", time.Hour, 1, false)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the first to be asked", func() bool { return d.Status().Asked > 0 })
	if err := r.Enable("east"); err != nil {
		t.Fatal(err)
	}
	endsAs(t, d, drain.Cancelled)
	if !r.upstream("east").Healthy() {
		t.Error("the drill goes on")
	}
	r.wantNew("east")
}

// TestDrillMistakes: nothing has happened after a mistake.
func TestDrillMistakes(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	for _, row := range []struct {
		lasting time.Duration
		rate    int
	}{{-time.Second, 1}, {0, 1}, {time.Second, -1}, {time.Second, drain.MaxRate + 1}} {
		if d, err := r.Drill("east", row.lasting, row.rate, false); err == nil {
			t.Errorf("a drill of %v at %d per second: %+v", row.lasting, row.rate, d.Status())
		}
	}
	if list := r.Drains().List(); len(list) != 0 || !r.upstream("east").Healthy() {
		t.Errorf("drains %+v", list)
	}
}
