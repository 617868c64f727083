package drain

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// eachState runs f with a drain in each of the states that are not final, and
// with guests that have not been asked unless the state is that none is left.
func eachState(t *testing.T, change Plan, f func(t *testing.T, h *hall, d *Drain)) {
	t.Helper()
	prepare := func(name string, bring func(t *testing.T, h *hall, d *Drain)) {
		t.Helper()
		bubble(name, t, func(t *testing.T) {
			e, h := open(t)
			p := change
			p.Rate = 10
			p.Standing = name == "standing"
			if !p.Standing {
				h.enter(100, takes(time.Second))
			}
			if name == "slow source" {
				h.slow = 2 * time.Second
			}
			d := begin(t, e, p)
			synctest.Wait()
			bring(t, h, d)
			f(t, h, d)
		})
	}
	prepare("at the beginning", func(t *testing.T, _ *hall, d *Drain) { d.in(t, Running) })
	prepare("running", func(t *testing.T, _ *hall, d *Drain) {
		pass(3 * time.Second)
		d.in(t, Running)
	})
	prepare("waiting", func(t *testing.T, h *hall, d *Drain) {
		pass(time.Second)
		h.setShut(true)
		pass(7 * time.Second)
		d.in(t, Waiting)
	})
	prepare("standing", func(t *testing.T, _ *hall, d *Drain) { d.in(t, Waiting) })
	prepare("paused", func(t *testing.T, _ *hall, d *Drain) {
		pass(time.Second)
		d.Pause()
		pass(7 * time.Second)
		d.in(t, Paused)
	})
	prepare("paused while waiting", func(t *testing.T, h *hall, d *Drain) {
		pass(time.Second)
		h.setShut(true)
		pass(7 * time.Second)
		d.in(t, Waiting)
		d.Pause()
		pass(7 * time.Second)
		d.in(t, Paused)
	})
	prepare("slow source", func(t *testing.T, _ *hall, d *Drain) {
		pass(time.Second)
		if s := d.in(t, Running); s.Found != 0 || s.Asked != 0 {
			t.Fatalf("%+v", s)
		}
	})
	prepare("all asked", func(t *testing.T, h *hall, d *Drain) {
		h.with(func() {
			for _, g := range h.guests[10:] {
				g.takes = never
			}
		})
		pass(11 * time.Second)
		if s := d.in(t, Running); s.Asked != 100 || s.Gone >= 100 {
			t.Fatalf("%+v", s)
		}
	})
}

func TestPauseAndResume(t *testing.T) {
	eachState(t, Plan{}, func(t *testing.T, h *hall, d *Drain) {
		d.Pause()
		d.Pause()
		if h.slow > 0 {
			pass(h.slow)
		}
		d.in(t, Paused)
		before, surveys := len(h.seen()), h.surveyed()
		h.setShut(false)
		pass(time.Hour)
		d.in(t, Paused)
		if len(h.seen()) != before || h.surveyed() != surveys {
			t.Error("it went on while it was paused")
		}
		d.Resume()
		d.Resume()
		synctest.Wait()
		if s := d.Status(); s.State == Paused {
			t.Fatalf("%+v", s)
		}
		h.enter(15, now) // a whole drain takes them too, a standing one waits for them
		pass(3*time.Second + 2*h.slow)
		if len(h.seen()) < before+15 {
			t.Errorf("it did not go on: %+v", d.Status())
		}
		checkPace(t, h.seen(), always(10))
		d.Cancel("")
	})
}

// A pause holds from the moment on when Pause returns, also at a rate at which
// the drain never waits between two closes.
func TestPauseHoldsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		came := h.enter(5000)
		h.late = 2 * time.Millisecond // longer than a gap
		d := begin(t, e, Plan{Rate: 5000})
		for _, end := range []func(){d.Pause, func() { d.Cancel("") }} {
			pass(100 * time.Millisecond)
			end()
			asked := len(h.seen())
			pass(time.Second)
			if more := len(h.seen()) - asked; more > 1 || asked == 0 || asked == len(came) {
				t.Errorf("%d were asked, %d more afterwards", asked, more)
			}
			d.Resume()
		}
		d.in(t, Cancelled)
	})
}

func TestCancel(t *testing.T) {
	for given, want := range map[string]string{"the primary is down": "the primary is down", "": "cancelled"} {
		eachState(t, Plan{Deadline: time.Hour, Then: CloseRest}, func(t *testing.T, h *hall, d *Drain) {
			asked := len(h.seen())
			d.Cancel(given)
			d.Cancel("another reason")
			if h.slow > 0 {
				pass(h.slow)
			}
			s := d.in(t, Cancelled)
			if s.Why != want || s.Asked != asked || s.Remaining != 0 {
				t.Errorf("%+v", s)
			}
			d.Pause()
			d.Resume()
			pass(2 * time.Hour)
			after := d.in(t, Cancelled)
			if len(h.seen()) != asked {
				t.Error("sessions were asked after the end")
			}
			ended := 0
			for _, a := range h.seen() {
				if a.guest.over {
					ended++
				}
			}
			if after.Gone != ended || asked > 0 && ended == 0 { // the end of those that were asked still counts
				t.Errorf("%+v", after)
			}
		})
	}
}

// The end of Run is the end of all drains.
func TestRunEndsInEveryState(t *testing.T) {
	for name, change := range map[string]func(h *hall){
		"running":     func(*hall) {},
		"waiting":     func(h *hall) { h.shut = true },
		"all asked":   func(h *hall) { h.guests[0].takes = never },
		"slow source": func(h *hall) { h.slow = time.Hour },
		"deaf source": func(h *hall) { h.slow, h.deaf = time.Hour, true },
	} {
		bubble(name, t, func(t *testing.T) {
			h := &hall{}
			e := New(h, nil)
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			h.enter(20, takes(time.Minute))
			change(h)
			plans := []Plan{
				{Rate: 1},
				{Rate: 50, Cause: Drill, Standing: true},
				{Rate: 1, Cause: Down, Deadline: 10 * time.Hour, Then: CloseRest},
			}
			var drains []*Drain
			for _, p := range plans {
				drains = append(drains, begin(t, e, p)) // before Run
			}
			drains[1].Pause()
			pass(time.Minute)
			if n := h.surveyed(); n != 0 {
				t.Errorf("%d surveys before Run", n)
			}
			go func() {
				e.Run(ctx)
				close(done)
			}()
			pass(10 * time.Second)
			asked := len(h.seen())
			at := time.Now()
			cancel()
			<-done
			if waited := time.Since(at); waited > 0 && !h.deaf {
				t.Errorf("Run returned after %v", waited)
			}
			for _, d := range drains { // without a wait: all of them have stopped
				select {
				case <-d.Done():
				default:
					t.Errorf("it goes on: %+v", d.Status())
				}
				if s := d.Status(); s.State != Cancelled || s.Why != "the router ends" {
					t.Errorf("%+v", s)
				}
			}
			late := begin(t, e, Plan{Rate: 1, Cause: Removed})
			if s := late.in(t, Cancelled); s.Why != "the router ends" || s.Asked != 0 {
				t.Errorf("%+v", s)
			}
			pass(time.Hour)
			if len(h.seen()) != asked {
				t.Error("sessions were asked after the end")
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	const deadline = 20 * time.Second
	for _, then := range []Then{Leave, CloseRest} {
		t.Run(then.String(), func(t *testing.T) {
			eachState(t, Plan{Deadline: deadline, Then: then}, func(t *testing.T, h *hall, d *Drain) {
				s := d.Status()
				if s.Deadline != s.Began.Add(deadline) {
					t.Errorf("%+v", s)
				}
				if s.State == Running { // else it would be done in time
					h.enter(400, takes(time.Second))
				}
				left := h.present()
				pass(time.Until(s.Deadline) - 1)
				if s := d.Status(); s.State.Final() {
					t.Fatalf("%+v", s)
				}
				checkPace(t, h.seen(), always(10))
				before := len(h.seen())
				pass(1)
				if h.slow > 0 {
					pass(h.slow)
				}
				s = d.in(t, Expired)
				if !s.Ended.Equal(s.Deadline) && (h.slow == 0 || then == Leave) {
					t.Errorf("%+v", s)
				}
				if rest := len(h.seen()) - before; then == Leave && rest != 0 || then == CloseRest && left > 0 && h.present() != 0 {
					t.Errorf("%d were asked at the deadline, %d are left: %+v", rest, h.present(), s)
				}
				if s.Asked != len(h.seen()) {
					t.Errorf("%+v", s)
				}
				pass(time.Hour)
				if d.Status().Asked != s.Asked {
					t.Error("sessions were asked after the end")
				}
			})
		})
	}
}

// present returns how many guests have not been asked.
func (h *hall) present() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, g := range h.guests {
		if g.asked == nil {
			n++
		}
	}
	return n
}

// What a deadline closes is still no more than a share.
func TestDeadlineOfShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		h.enter(100)
		d := begin(t, e, Plan{Rate: 1, Selection: Selection{Share: 0.5}, Deadline: 10 * time.Second, Then: CloseRest})
		pass(5 * time.Second)
		h.enter(100, now)
		if s := d.ends(t, Expired); s.Asked != 50 || s.Left != 0 || s.Why != "the rest was closed at the deadline" {
			t.Errorf("%+v", s)
		}
	})
}

// A source that does not answer at the deadline does not keep the drain.
func TestDeadlineWithoutSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, h := open(t)
		h.enter(100)
		h.slow = time.Hour
		s := begin(t, e, Plan{Rate: 1, Deadline: time.Minute, Then: CloseRest}).ends(t, Expired)
		if s.Asked != 0 || s.Why != "the rest was left at the deadline: it was not found in time" || s.Ended.Sub(s.Deadline) > freshFor {
			t.Errorf("%+v", s)
		}
	})
}
