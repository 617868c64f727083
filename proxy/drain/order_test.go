package drain

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// idleFor is a setup of guests of which each has been idle a second longer than
// the one before, and is that much younger.
func idleFor(i int, g *guest) {
	g.active = time.Now().Add(-time.Duration(i) * time.Second)
	g.began = time.Now().Add(-time.Hour + time.Duration(i)*time.Second)
}

// places returns where in the order of their coming those stood who were asked.
func places(came []*guest, asks []ask) []int {
	index := make(map[*guest]int)
	for i, g := range came {
		index[g] = i
	}
	list := make([]int, len(asks))
	for i, a := range asks {
		list[i] = index[a.guest]
	}
	return list
}

func TestOrder(t *testing.T) {
	const n = 200
	up, down := make([]int, n), make([]int, n)
	for i := range n {
		up[i], down[n-1-i] = i, i
	}
	run := func(t *testing.T, o Order) []int {
		e, h := open(t)
		came := h.enter(n, idleFor)
		begin(t, e, Plan{Rate: 10, Order: o}).ends(t, Done)
		return places(came, h.seen())
	}
	bubble("idle first", t, func(t *testing.T) {
		if diff := cmp.Diff(down, run(t, IdleFirst)); diff != "" {
			t.Error(diff)
		}
	})
	bubble("oldest first", t, func(t *testing.T) {
		if diff := cmp.Diff(up, run(t, OldestFirst)); diff != "" {
			t.Error(diff)
		}
	})
	bubble("random", t, func(t *testing.T) {
		got := run(t, Random)
		if cmp.Equal(got, up) || cmp.Equal(got, down) || cmp.Equal(got, run(t, Random)) {
			t.Errorf("not random: %v", got)
		}
		if diff := cmp.Diff(up, got, cmpopts.SortSlices(func(a, b int) bool { return a < b })); diff != "" {
			t.Error(diff)
		}
	})
}

// A session that becomes active while a drain goes on waits behind the idle ones
// before long, and one that falls silent comes forward.
func TestOrderFollowsTheSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		const n, busy, ticks = 600, 200, 40
		came := h.enter(n, idleFor)
		begin(t, e, Plan{Rate: 10})
		var becameActive time.Time
		for tick := range ticks {
			if tick == 7 {
				becameActive = time.Now()
			}
			if tick >= 7 {
				h.with(func() {
					for _, g := range came[n-busy:] { // the most idle ones
						g.active = time.Now()
					}
				})
			}
			pass(time.Second)
		}
		early := 0
		idle := make(map[*guest]bool)
		for _, g := range came[:n-busy] {
			idle[g] = true
		}
		asks := h.seen()
		if len(asks) < 9*ticks || len(asks) > 10*ticks {
			t.Fatalf("%d asked", len(asks))
		}
		for _, a := range asks {
			if !idle[a.guest] && a.at.Sub(becameActive) > freshFor+time.Second/10 {
				t.Fatalf("an active session was asked %v after it had become active", a.at.Sub(becameActive))
			}
			if !idle[a.guest] {
				early++
			}
		}
		if early == 0 || early > busy*2/3 {
			t.Errorf("%d of the sessions that were the most idle ones at first were asked", early)
		}
		if surveys := h.surveyed(); surveys > ticks/4 {
			t.Errorf("%d surveys", surveys)
		}
	})
}

func TestShareAndCount(t *testing.T) {
	for _, c := range []struct {
		s       Selection
		n, want int
	}{
		{Selection{Share: 0.5}, 10, 5},
		{Selection{Share: 0.5}, 11, 6},
		{Selection{Share: 0.07}, 100, 7}, // though 0.07*100 > 7
		{Selection{Share: 0.55}, 100, 55},
		{Selection{Share: 0.1}, 3, 1},
		{Selection{Share: 1e-12}, 3, 1},
		{Selection{Share: 0.999999}, 10, 10},
		{Selection{Share: 1}, 10, 10},
		{Selection{Share: 0.5}, 0, 0},
		{Selection{Count: 4}, 10, 4},
		{Selection{Count: 10}, 10, 10},
		{Selection{Count: 11}, 10, 10},
		{Selection{Count: 1}, 0, 0},
		{Selection{}, 10, 10},
	} {
		bubble(fmt.Sprintf("%v of %d", c.s, c.n), t, func(t *testing.T) {
			e, h := open(t)
			came := h.enter(c.n, idleFor, takes(700*time.Millisecond))
			s := begin(t, e, Plan{Rate: 3, Selection: c.s}).ends(t, Done)
			if s.Found != c.want || s.Asked != c.want || s.Gone != c.want || s.Left != 0 {
				t.Errorf("%+v", s)
			}
			for i, place := range places(came, h.seen()) {
				if place != c.n-1-i {
					t.Errorf("the %dth asked is the %dth", i, place)
				}
			}
		})
	}
}

// At the end of a share nobody is asked who was not counted.
func TestShareOfSessionsThatMayNotLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		came := h.enter(20, idleFor)
		for _, g := range came[10:] {
			g.stuck = true // all that would come first
		}
		s := begin(t, e, Plan{Rate: 50, Selection: Selection{Count: 10}}).ends(t, Done)
		if s.Asked != 10 {
			t.Errorf("%+v", s)
		}
	})
}

// Clients that are asked come back to where they were. Only a drain of a whole
// upstream asks them again.
func TestSessionsThatBeganLater(t *testing.T) {
	selections := map[string]Selection{
		"share":      {Share: 0.9999},
		"count":      {Count: 1000},
		"path":       {Path: "/chat"},
		"client":     {Client: netip.MustParsePrefix("10.0.0.0/8")},
		"older than": {OlderThan: time.Nanosecond},
	}
	for name, s := range selections {
		bubble(name, t, func(t *testing.T) {
			e, h := open(t)
			before := h.enter(50)
			just := h.enter(50, now)
			d := begin(t, e, Plan{Rate: 10, Selection: s})
			for range 30 {
				pass(time.Second / 2)
				h.enter(5, now)
			}
			d.ends(t, Done)
			asked := make(map[*guest]bool)
			for _, a := range h.seen() {
				asked[a.guest] = true
			}
			for _, g := range append(before, just...) {
				if !asked[g] && s.OlderThan == 0 {
					t.Fatal("a session that was there before was left")
				}
				delete(asked, g)
			}
			if len(asked) != 0 {
				t.Errorf("%d sessions that began later were asked", len(asked))
			}
		})
	}
	for name, s := range map[string]Selection{"upstream": {Upstream: "east"}, "silent": {SilentFor: time.Second}} {
		bubble(name, t, func(t *testing.T) {
			e, h := open(t)
			h.enter(50)
			d := begin(t, e, Plan{Rate: 10, Selection: s})
			for range 2 {
				pass(2 * time.Second)
				h.enter(20, now)
			}
			if s := d.ends(t, Done); s.Found != 50 || s.Asked != 90 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// The source gets the plan as it was given, with its defaults.
func TestPlanReachesTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		h.enter(3)
		plan := Plan{
			Cause: Drill, Order: OldestFirst, Rate: 7, Reason: "drill", Deadline: time.Minute, Then: CloseRest, Standing: true, Force: true,
			Selection: Selection{Upstream: "east", OlderThan: time.Second, Path: "/chat", Client: netip.MustParsePrefix("10.0.0.0/8"), SilentFor: time.Minute, Count: 2},
		}
		begin(t, e, plan).ends(t, Expired)
		plan.Code = 1012
		for _, got := range h.plans {
			if diff := cmp.Diff(plan, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Fatal(diff)
			}
		}
		for _, a := range h.seen() {
			if a.code != 1012 || a.reason != "drill" {
				t.Errorf("asked with %d %q", a.code, a.reason)
			}
		}
		if n := len(h.seen()); n != 2 {
			t.Errorf("%d asked", n)
		}
	})
}
