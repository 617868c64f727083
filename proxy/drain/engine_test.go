package drain

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStartTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		h.enter(1000)
		plan := Plan{Rate: 10, Selection: Selection{Upstream: "east", Share: 1, Client: netip.MustParsePrefix("10.1.2.3/8")}}
		d := begin(t, e, plan)
		pass(time.Second)

		// All of these mean the same sessions.
		for i, s := range []Selection{plan.Selection, {Upstream: "east", Client: netip.MustParsePrefix("10.0.0.0/8")}} {
			again := Plan{Rate: 20 + i, Selection: s, Order: Random, Reason: "another"}
			same, existed, err := e.Start(again)
			if same != d || !existed || err != nil {
				t.Errorf("%v: existed %v, %v", s, existed, err)
			}
			if s := d.Status(); s.Rate != 20+i || s.Order != IdleFirst || s.Reason != "" {
				t.Errorf("%+v", s)
			}
		}
		// The rate that it has changes nothing, not even the list.
		synctest.Wait()
		surveys := h.surveyed()
		for range 100 {
			if _, existed, err := e.Start(Plan{Rate: 21, Selection: plan.Selection}); !existed || err != nil {
				t.Errorf("existed %v, %v", existed, err)
			}
			pass(time.Millisecond)
		}
		if n := h.surveyed() - surveys; n != 0 {
			t.Errorf("%d surveys", n)
		}
		// A bad plan changes nothing.
		if other, _, err := e.Start(Plan{Rate: 0, Selection: plan.Selection}); other != nil || err == nil || d.Status().Rate != 21 {
			t.Errorf("%v, %v", other, err)
		}

		for _, p := range []Plan{
			{Rate: 10, Selection: plan.Selection, Cause: Failback},
			{Rate: 10, Selection: Selection{Upstream: "west"}},
			{Rate: 10, Selection: Selection{Upstream: "east"}},
			{Rate: 10, Selection: Selection{Upstream: "east", Count: 1}},
		} {
			if other := begin(t, e, p); other.ID() == d.ID() {
				t.Errorf("%+v is not another drain", p)
			}
		}
	})
}

// A drain that has ended, or is about to, is not gone on with.
func TestStartAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		plan := Plan{Rate: 10}
		h.enter(1)
		first := begin(t, e, plan)
		first.ends(t, Done)
		h.enter(10)
		second := begin(t, e, plan)
		synctest.Wait()
		second.Cancel("")
		third := begin(t, e, plan) // the second one may not have noticed yet
		second.in(t, Cancelled)
		third.ends(t, Done)
		if n := len(h.seen()); n != 11 {
			t.Errorf("%d asked", n)
		}
		seen := map[string]bool{first.ID(): true, second.ID(): true, third.ID(): true}
		if len(seen) != 3 {
			t.Errorf("%v", seen)
		}
	})
}

func TestGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := open(t)
		d := begin(t, e, Plan{Rate: 1})
		if got, err := e.Get(d.ID()); got != d || err != nil {
			t.Errorf("%v, %v", got, err)
		}
		for _, id := range []string{"", "0", "2", "x", d.ID() + " "} {
			if got, err := e.Get(id); got != nil || !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), strconv.Quote(id)) {
				t.Errorf("%q: %v, %v", id, got, err)
			}
		}
	})
}

// The drains that have ended last are remembered, and all that go on.
func TestHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		long := begin(t, e, Plan{Rate: 1, Standing: true, Cause: Drill})
		const many = 3 * remembered
		var all []*Drain
		for i := range many {
			all = append(all, begin(t, e, Plan{Rate: 1, Selection: Selection{Upstream: strconv.Itoa(i)}, Standing: true}))
		}
		synctest.Wait()
		if list := e.List(); len(list) != many+1 || list[0].ID != long.ID() || list[many].ID != all[many-1].ID() {
			t.Fatalf("%d drains", len(list))
		}
		for _, d := range all {
			pass(time.Second)
			d.Cancel("")
		}
		synctest.Wait()
		list := e.List()
		if len(list) != remembered+1 || list[0].ID != long.ID() {
			t.Fatalf("%d drains", len(list))
		}
		for i, s := range list[1:] {
			if s.ID != all[many-remembered+i].ID() {
				t.Errorf("drain %s is number %d", s.ID, i)
			}
		}
		if _, err := e.Get(all[0].ID()); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
		// The oldest one ends last.
		long.Cancel("")
		synctest.Wait()
		if list := e.List(); len(list) != remembered || list[0].ID != long.ID() {
			t.Errorf("%d drains, the first is %s", len(list), list[0].ID)
		}
		for range many {
			h.enter(1)
			begin(t, e, Plan{Rate: 1}).ends(t, Done)
			if n := len(e.List()); n != remembered {
				t.Fatalf("%d drains", n)
			}
		}
	})
}

func TestCancelSome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		h.enter(1000)
		over := begin(t, e, Plan{Rate: 1, Cause: Shutdown, Selection: Selection{Count: 1}})
		over.ends(t, Done)
		drains := make(map[Cause]*Drain)
		for c := Operator; c <= Removed; c++ {
			drains[c] = begin(t, e, Plan{Rate: 1, Cause: c})
		}
		pass(time.Second)
		e.Cancel("the primary is down", func(s Status) bool {
			if s.State.Final() {
				t.Error("asked about a drain that has ended")
			}
			return s.Cause == Failback || s.Cause == Drill || s.Cause == Shutdown
		})
		pass(time.Second)
		for c, d := range drains {
			if c == Failback || c == Drill {
				if s := d.in(t, Cancelled); s.Why != "the primary is down" {
					t.Errorf("%+v", s)
				}
			} else {
				d.in(t, Running)
			}
		}
		over.in(t, Done)
	})
}

// An operator sees each change of state once.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		h := &hall{}
		e := New(h, slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == "took" {
				return slog.Attr{}
			}
			return a
		}})))
		done := make(chan struct{})
		go func() {
			e.Run(t.Context())
			close(done)
		}()
		h.enter(100)
		d := begin(t, e, Plan{Rate: 10, Cause: Failback, Selection: Selection{Upstream: "west"}})
		pass(time.Second)
		h.setShut(true)
		pass(time.Minute)
		h.setShut(false)
		pass(time.Second)
		d.Pause()
		pass(time.Minute)
		d.Resume()
		d.ends(t, Done)
		const of = " drain=1 cause=failback upstream=west"
		want := strings.Join([]string{
			`msg="drain begins"` + of + ` selection="all sessions of west" rate=10 order=idle-first`,
			`msg="drain is waiting"` + of + ` why="` + noPlace + `"`,
			`msg="drain is running"` + of + ` why=""`,
			`msg="drain is paused"` + of + ` why=""`,
			`msg="drain is running"` + of + ` why=""`,
			`msg="drain ended"` + of + ` state=done why="" closed=100 left=0`,
		}, "\n") + "\n"
		if got := text.String(); got != want {
			t.Errorf("got:\n%swant:\n%s", got, want)
		}
	})
}
