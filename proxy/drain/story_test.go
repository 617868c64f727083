package drain

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// story is a drain among events, as it is told afterwards.
type story struct {
	engine *Engine
	hall   *hall
	drain  *Drain
	plan   Plan
	rates  rateLog

	paused, shut spans
	hurried      bool // cancelled by the story
	stalled      bool // the source was slow at times
	mostLate     time.Duration
}

// span is a time in which nothing may be closed. The events of its ends may come
// before or behind a close of the same moment.
type span struct{ from, to time.Time }

type spans struct {
	over  []span
	since time.Time // of the one under way
}

func (s *spans) set(on bool) {
	switch {
	case on && s.since.IsZero():
		s.since = time.Now()
	case !on && !s.since.IsZero():
		s.over = append(s.over, span{s.since, time.Now()})
		s.since = time.Time{}
	}
}

// include reports whether t lies within, by more than some tolerance behind the
// beginning.
func (s *spans) include(t time.Time, late time.Duration) bool {
	for _, s := range s.over {
		if t.After(s.from.Add(late)) && t.Before(s.to) {
			return true
		}
	}
	return false
}

// drawGuests lets guests in of all kinds.
func (s *story) drawGuests(t *rapid.T, most int, setup ...func(int, *guest)) {
	n := rapid.SampledFrom([]int{0, 1, most / 10, most / 2, most}).Draw(t, "guests")
	kind := rapid.SampledFrom([]string{"at once", "soon", "slowly", "never"}).Draw(t, "they end")
	stuck := rapid.IntRange(0, 4).Draw(t, "stuck") == 0
	s.hall.enter(n, append(setup, func(i int, g *guest) {
		g.active = time.Now().Add(-time.Duration(i*7919%n) * time.Second)
		switch kind {
		case "soon":
			g.takes = time.Duration(i%50) * time.Millisecond
		case "slowly":
			g.takes = time.Duration(i%5) * time.Second
		case "never":
			if i%10 == 0 {
				g.takes = never
			}
		}
		g.stuck = stuck && i%3 == 0
	})...)
}

func (s *story) drawPlan(t *rapid.T) {
	s.plan = Plan{
		Rate:     rapid.SampledFrom([]int{1, 2, 7, 50, 200, 1000}).Draw(t, "rate"),
		Order:    rapid.SampledFrom([]Order{IdleFirst, OldestFirst, Random}).Draw(t, "order"),
		Deadline: time.Duration(max(0, rapid.IntRange(-60, 60).Draw(t, "deadline"))) * time.Second,
		Then:     rapid.SampledFrom([]Then{Leave, CloseRest}).Draw(t, "then"),
		Standing: rapid.IntRange(0, 9).Draw(t, "standing") == 0,
		Force:    rapid.IntRange(0, 4).Draw(t, "force") == 0,
	}
	switch rapid.IntRange(0, 4).Draw(t, "selection") {
	case 0:
		s.plan.Selection.Count = rapid.IntRange(1, 100).Draw(t, "count")
	case 1:
		s.plan.Selection.Share = rapid.Float64Range(0.01, 0.99).Draw(t, "share")
	case 2:
		s.plan.Selection.Path = "/"
	}
}

// happens lets one event happen.
func (s *story) happens(t *rapid.T) {
	h := s.hall
	switch rapid.IntRange(0, 12).Draw(t, "event") {
	case 0, 1:
		s.paused.set(true)
		s.drain.Pause()
	case 2:
		s.paused.set(false)
		s.drain.Resume()
	case 3, 4:
		s.shut.set(true)
		h.setShut(true)
	case 5:
		s.shut.set(false)
		h.setShut(false)
	case 6, 7:
		s.plan.Rate = rapid.SampledFrom([]int{1, 2, 7, 50, 200, 1000}).Draw(t, "rate")
		s.rates = append(s.rates, rateChange{time.Now(), s.plan.Rate})
		if !s.drain.Status().State.Final() && !s.hurried {
			d, existed, err := s.engine.Start(s.plan)
			if err != nil || !existed || d != s.drain {
				t.Fatalf("start: existed %v, %v", existed, err)
			}
		}
	case 8:
		slow := time.Duration(max(0, rapid.IntRange(-5, 7).Draw(t, "slow"))) * time.Second
		s.stalled = s.stalled || slow > 0
		h.with(func() { h.slow = slow })
	case 9:
		late := time.Duration(max(0, rapid.IntRange(-5, 30).Draw(t, "late"))) * time.Millisecond
		s.mostLate = max(s.mostLate, late)
		h.with(func() { h.late = late })
	case 10:
		s.drawGuests(t, 30, now)
	case 11:
		every := rapid.IntRange(1, 20).Draw(t, "every")
		var leave []*guest
		h.with(func() {
			for i := 0; i < len(h.guests); i += every {
				leave = append(leave, h.guests[i])
			}
		})
		for _, g := range leave {
			g.end()
		}
	case 12:
		if rapid.IntRange(0, 5).Draw(t, "cancel") == 0 {
			s.hurried = true
			s.drain.Cancel("enough")
		}
	}
}

// settles takes away all that hinders, and waits for the end.
func (s *story) settles(t *rapid.T) {
	h := s.hall
	s.paused.set(false)
	s.drain.Resume()
	s.shut.set(false)
	h.with(func() {
		h.shut, h.slow, h.late = false, 0, 0
		for _, g := range h.guests {
			g.stuck = false
		}
	})
	open := 0
	h.with(func() { open = len(h.guests) })
	pass(11*time.Second*time.Duration(open)/10/time.Duration(s.plan.Rate) + 3*freshFor)
	var stay []*guest
	h.with(func() {
		for _, g := range h.guests {
			if g.asked != nil {
				stay = append(stay, g)
			}
		}
	})
	for _, g := range stay {
		g.end()
	}
	pass(2 * restFor)
	if s.plan.Standing && s.plan.Deadline == 0 && !s.hurried {
		s.drain.in(t, Waiting)
		s.hurried = true
		s.drain.Cancel("enough")
	}
	if s.plan.Standing && s.plan.Deadline > 0 && !s.hurried {
		pass(max(0, time.Until(s.drain.began.Add(s.plan.Deadline))))
	}
	synctest.Wait()
}

// Whatever happens to a drain, it keeps its promises.
func TestStories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			e, h := open(t)
			s := &story{engine: e, hall: h}
			s.drawPlan(t)
			s.drawGuests(t, min(600, 20*s.plan.Rate))
			h.gossips = rapid.Bool().Draw(t, "gossips")
			s.rates = rateLog{{time.Now(), s.plan.Rate}}
			s.drain = begin(t, e, s.plan)
			for range rapid.SampledFrom([]int{0, 2, 7, 15}).Draw(t, "events") {
				pass(time.Duration(rapid.SampledFrom([]int{0, 1, 20, 100, 300, 999, 2500, 6000}).Draw(t, "ms")) * time.Millisecond)
				s.happens(t)
			}
			s.settles(t)
			s.check(t)
		})
	})
}

// check checks how the drain has ended, and all that it has done.
func (s *story) check(t *rapid.T) {
	status, h := s.drain.Status(), s.hall
	deadline := status.Deadline
	switch state := status.State; {
	case !state.Final():
		t.Fatalf("no end: %+v", status)
	case state == Cancelled && !s.hurried:
		t.Fatalf("nobody has cancelled it: %+v", status)
	case state == Expired && (deadline.IsZero() || status.Ended.Before(deadline)):
		t.Fatalf("there was time: %+v", status)
	}
	// The source and the last session may keep it a little.
	if late := 7*time.Second + 33*s.mostLate; !deadline.IsZero() && status.Ended.After(deadline.Add(late)) {
		t.Fatalf("ended %v late", status.Ended.Sub(deadline))
	}

	var paced []ask
	gone := 0
	for _, a := range h.asks {
		if a.guest.over {
			gone++
		}
		if a.guest.calls > 1 && !h.gossips {
			t.Fatalf("a session was asked %d times", a.guest.calls)
		}
		if a.at.After(status.Ended) {
			t.Fatalf("a session was asked %v after the end", a.at.Sub(status.Ended))
		}
		if !s.plan.Selection.Whole() && !s.stalled && a.guest.began.After(status.Began) {
			t.Fatalf("a session was asked that began later")
		}
		if s.plan.Then == CloseRest && !deadline.IsZero() && !a.at.Before(deadline) {
			continue
		}
		paced = append(paced, a)
		if s.paused.include(a.at, s.mostLate) {
			t.Fatal("a session was asked while the drain was paused")
		}
		if !s.plan.Force && s.shut.include(a.at, 0) {
			t.Fatal("a session was asked while there was no place")
		}
	}
	checkPace(t, paced, func(at time.Time) int { return s.rates.within(at, s.mostLate) })

	limited := s.plan.Selection.Count > 0 || s.plan.Selection.Share > 0 && s.plan.Selection.Share < 1
	switch asked := len(h.asks); {
	case status.Asked != asked || status.Gone != gone:
		t.Fatalf("%d asked, %d gone: %+v", asked, gone, status)
	case status.Left < 0 || status.Remaining != 0:
		t.Fatalf("%+v", status)
	case limited && asked > status.Found && status.Found > 0 && s.plan.Selection.Share > 0:
		t.Fatalf("more than the share: %+v", status)
	case limited && s.plan.Selection.Count > 0 && asked > s.plan.Selection.Count:
		t.Fatalf("more than the count: %+v", status)
	case status.State != Done:
	case gone != asked || status.Left != 0:
		t.Fatalf("done too early: %+v", status)
	case limited && (asked == s.plan.Selection.Count || asked == status.Found):
	default:
		for _, g := range h.guests {
			if g.asked == nil && g.began.Before(status.Began) {
				t.Fatalf("a session was forgotten: %+v", status)
			}
		}
	}
}
