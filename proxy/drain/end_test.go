package drain

import (
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A drain is done when all that were asked are gone, and not before.
func TestDoneWhenAllAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		came := h.enter(20, takes(never))
		d := begin(t, e, Plan{Rate: 10})
		pass(10 * time.Second)
		for i, g := range came {
			if s := d.in(t, Running); s.Asked != 20 || s.Gone != i || s.Left != 0 || s.Remaining != 0 {
				t.Fatalf("%+v", s)
			}
			pass(10 * time.Minute)
			g.end()
		}
		d.in(t, Done)
	})
}

// Whoever tells of the end of a session, and whenever: none is missed, and the
// drain ends with the last one.
func TestGoneAtAnyTime(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			e, h := open(t)
			h.enter(500, func(_ int, g *guest) {
				switch rand.IntN(3) {
				case 0: // while Leave is called
				case 1:
					g.takes = time.Duration(rand.Int64N(int64(3 * time.Second)))
				case 2:
					g.takes = 1 // as soon as Leave has returned
				}
			})
			s := begin(t, e, Plan{Rate: 500}).ends(t, Done)
			if s.Gone != 500 || s.Asked != 500 {
				t.Errorf("%+v", s)
			}
			last := h.seen()[499].at
			for _, a := range h.seen() {
				if at := a.at.Add(a.guest.takes); at.After(last) {
					last = at
				}
			}
			if late := s.Ended.Sub(last); late < 0 || late > restFor {
				t.Errorf("ended %v after the last session", late)
			}
		})
	}
}

// Sessions that end by themselves are not waited for, and what they leave is
// no part of what was asked.
func TestSessionsThatEndByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		came := h.enter(1000)
		d := begin(t, e, Plan{Rate: 10})
		var group sync.WaitGroup
		for i, g := range came {
			if i%2 == 0 {
				group.Go(func() {
					time.Sleep(time.Duration(rand.Int64N(int64(60 * time.Second))))
					g.end()
				})
			}
		}
		pass(70 * time.Second)
		group.Wait()
		s := d.ends(t, Done)
		if n := len(h.seen()); s.Asked != n || s.Gone != n || n < 500 || n > 900 || s.Left != 0 {
			t.Errorf("%d asked: %+v", n, s)
		}
	})
}

// Sessions that somebody else has asked are not counted, nor do they cost the
// drain time; while they are there it looks after them now and then.
func TestSessionsThatWereAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		h.gossips = true
		h.enter(100, takes(never))
		first := begin(t, e, Plan{Rate: 100, Cause: Drill})
		pass(2 * time.Second)
		if s := first.in(t, Running); s.Asked != 100 || s.Left != 0 {
			t.Fatalf("%+v", s)
		}
		h.enter(10, now)
		second := begin(t, e, Plan{Rate: 10})
		before := h.surveyed()
		pass(time.Minute)
		if s := second.in(t, Running); s.Asked+first.Status().Asked != 110 || s.Gone+first.Status().Gone != 10 || s.Left != 0 {
			t.Errorf("%+v", s)
		}
		if n := h.surveyed() - before; n > 2*61+5 {
			t.Errorf("%d surveys in a minute", n)
		}
		for _, a := range h.seen() {
			a.guest.end()
		}
		second.ends(t, Done)
		if s := first.ends(t, Done); s.Asked+second.Status().Asked != 110 {
			t.Errorf("%+v", s)
		}
	})
}

// Two drains share the same sessions. Each is asked by one of them.
func TestDrainsShareSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		came := h.enter(500, takes(300*time.Millisecond))
		var drains []*Drain
		for cause := Operator; cause <= Shutdown; cause++ {
			drains = append(drains, begin(t, e, Plan{Rate: 10, Cause: cause}))
		}
		asked := 0
		for _, d := range drains {
			s := d.ends(t, Done)
			asked += s.Asked
			if s.Asked != s.Gone || s.Asked < 50 {
				t.Errorf("%+v", s)
			}
			var own []ask
			for _, a := range h.seen() {
				if a.drain == d {
					own = append(own, a)
				}
			}
			checkPace(t, own, always(10))
		}
		for _, g := range came {
			if g.asked == nil || !g.over {
				t.Error("a session was left")
			}
		}
		if asked != 500 || len(h.seen()) != 500 {
			t.Errorf("%d asked", asked)
		}
	})
}

// More sessions that were asked are still there than are wanted besides.
func TestCountAmongSessionsThatWereAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		h.gossips = true
		h.enter(64, takes(never))
		d := begin(t, e, Plan{Rate: 50, Selection: Selection{Count: 65}})
		pass(time.Minute)
		if s := d.in(t, Running); s.Found != 64 || s.Asked != 64 || s.Left < 0 || s.Left > 1 {
			t.Errorf("%+v", s)
		}
	})
}

// While sessions are on their way the drain is not done: they are closed when
// they have come. A drain that has closed what it was to close waits for nobody.
func TestDoneBehindThoseOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		h.with(func() { h.expects = true })
		h.enter(3)
		d := begin(t, e, Plan{Rate: 10})
		few := begin(t, e, Plan{Cause: Failback, Rate: 10, Selection: Selection{Count: 1}})
		pass(time.Minute)
		if s := d.in(t, Running); s.Gone != s.Asked || s.Left != 0 {
			t.Errorf("%+v", s)
		}
		few.in(t, Done)
		late := h.enter(1, now)[0]
		pass(2 * restFor)
		if !late.over {
			t.Error("the one that was late is still there")
		}
		d.in(t, Running)
		h.with(func() { h.expects = false })
		pass(2 * restFor)
		d.in(t, Done)
	})
}
