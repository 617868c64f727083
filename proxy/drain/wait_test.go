package drain

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

const noPlace = "no other upstream would take the clients now"

// When there is no place any more nobody is asked, and when there is one again
// it goes on by itself.
func TestWaits(t *testing.T) {
	for _, rate := range []int{1, 2, 7, 50, 1000} {
		bubble(fmt.Sprint("rate ", rate), t, func(t *testing.T) {
			e, h := open(t)
			n := 3*rate + 20
			h.enter(n)
			d := begin(t, e, Plan{Rate: rate})
			pass(time.Second)
			for _, shut := range []time.Duration{time.Second + time.Second/5, 7 * time.Second, 5 * time.Minute} {
				h.setShut(true)
				before, surveys, looks := len(h.seen()), h.surveyed(), h.looked()
				pass(time.Second + time.Second/5) // it finds out at the next close
				if s := d.in(t, Waiting); s.Why != noPlace || s.Left != n-before || s.Remaining == 0 {
					t.Fatalf("%+v", s)
				}
				pass(shut - time.Second)
				if now := len(h.seen()); now != before {
					t.Fatalf("%d were asked while there was no place", now-before)
				}
				if more, most := h.surveyed()-surveys, int(shut/freshFor)+3; more > most {
					t.Errorf("%d surveys in %v, want at most %d", more, shut, most)
				}
				if more, most := h.looked()-looks, (int(shut/freshFor)+3)*n+int(shut/lookAgain+20)*sample; more > most {
					t.Errorf("%d looks in %v, want at most %d", more, shut, most)
				}
				h.setShut(false)
				pass(lookAgain)
				if s := d.in(t, Running); s.Why != "" {
					t.Fatalf("%+v", s)
				}
				pass(time.Second / 4)
				if now := len(h.seen()); now == before || before == n {
					t.Fatalf("it did not go on: %+v", d.Status())
				}
			}
			if s := d.ends(t, Done); s.Asked != n {
				t.Errorf("%+v", s)
			}
			checkPace(t, h.seen(), always(rate))
		})
	}
}

// Without a place from the beginning nobody is asked.
func TestWaitsFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		h.enter(10)
		h.setShut(true)
		d := begin(t, e, Plan{Rate: 100})
		if s := d.in(t, Waiting); s.Found != 10 || s.Asked != 0 || s.Left != 10 {
			t.Errorf("%+v", s)
		}
		pass(time.Hour)
		d.in(t, Waiting)
		h.setShut(false)
		d.ends(t, Done)
	})
}

// Sessions without a place, among others that have one, are waited for without
// haste; the others do not wait for them.
func TestSomeMayNotLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		came := h.enter(1000, idleFor)
		for i, g := range came {
			g.stuck = i%3 == 0
		}
		stuck := 334
		d := begin(t, e, Plan{Rate: 50})
		pass(16 * time.Second)
		if s := d.in(t, Waiting); s.Asked != 1000-stuck || s.Left != stuck {
			t.Fatalf("%+v", s)
		}
		surveys := h.surveyed()
		pass(10 * time.Minute)
		d.in(t, Waiting)
		if more := h.surveyed() - surveys; more > 130 {
			t.Errorf("%d surveys in 10 min", more)
		}
		// One that is not among those that are looked at all the time.
		h.with(func() { came[0].stuck = false })
		pass(freshFor + lookAgain)
		if s := d.in(t, Waiting); s.Asked != 1000-stuck+1 {
			t.Fatalf("%+v", s)
		}
		for _, g := range came {
			g.end()
		}
		pass(freshFor + lookAgain)
		if s := d.in(t, Done); s.Asked != 1000-stuck+1 || s.Gone != s.Asked || s.Left != 0 {
			t.Fatalf("%+v", s)
		}
	})
}

// Places that come one by one are taken one by one.
func TestFewPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		came := h.enter(100, func(_ int, g *guest) { g.stuck = true })
		d := begin(t, e, Plan{Rate: 1000})
		for i, g := range came {
			pass(10 * time.Second)
			if n := len(h.seen()); n != i {
				t.Fatalf("%d asked, there were %d places", n, i)
			}
			h.with(func() { g.stuck = false })
		}
		d.ends(t, Done)
		if n := h.surveyed(); n > 100*6 {
			t.Errorf("%d surveys", n)
		}
	})
}

// One session of a few that may leave is enough to go on at once.
func TestOnePlace(t *testing.T) {
	const few = 30
	for i := range few {
		synctest.Test(t, func(t *testing.T) {
			e, h := open(t)
			came := h.enter(few, idleFor, func(_ int, g *guest) { g.stuck = true })
			begin(t, e, Plan{Rate: 1000})
			pass(16*time.Second + time.Duration(i)*10*time.Millisecond)
			h.with(func() { came[i].stuck = false })
			pass(time.Second / 10)
			if asks := h.seen(); len(asks) != 1 || asks[0].guest != came[i] {
				t.Errorf("%d were asked", len(asks))
			}
		})
	}
}

func TestForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		h.enter(100, func(i int, g *guest) { g.stuck = i%2 == 0 })
		h.setShut(true)
		s := begin(t, e, Plan{Rate: 10, Force: true}).ends(t, Done)
		if !s.Force || s.Asked != 100 || s.Ended.Sub(s.Began) > 11*time.Second {
			t.Errorf("%+v", s)
		}
		checkPace(t, h.seen(), always(10))
	})
}

// A standing drain waits for sessions.
func TestStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		d := begin(t, e, Plan{Rate: 10, Standing: true, Selection: Selection{Upstream: "east"}})
		asked := 0
		for range 5 {
			for _, idle := range []time.Duration{time.Second, time.Hour} {
				before := h.surveyed()
				pass(idle)
				if s := d.in(t, Waiting); s.Why != "no session to close now" || s.Asked != asked || s.Gone != asked || s.Left != 0 {
					t.Fatalf("%+v", s)
				}
				if n, most := h.surveyed()-before, int(idle/restFor)+2; n > most {
					t.Errorf("%d surveys in %v", n, idle)
				}
			}
			h.enter(30, now, takes(10*time.Second))
			asked += 30
			pass(restFor)
			if s := d.in(t, Running); s.Why != "" {
				t.Errorf("%+v", s)
			}
			pass(5 * time.Second) // all are asked, none has ended
			if s := d.in(t, Running); s.Asked != asked || s.Gone != asked-30 {
				t.Errorf("%+v", s)
			}
			pass(12 * time.Second)
		}
		checkPace(t, h.seen(), always(10))
		d.Cancel("no need any more")
		if s := d.in(t, Cancelled); s.Why != "no need any more" || s.Found != 0 {
			t.Errorf("%+v", s)
		}
	})
}
