package drain

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// rates are those of the tests of the pace.
var rates = []int{1, 2, 7, 50, 200, 1000, 5000, 100_000}

// A drain that nothing disturbs keeps its rate, and is not much slower.
func TestPace(t *testing.T) {
	for _, rate := range rates {
		bubble(fmt.Sprint("rate ", rate), t, func(t *testing.T) {
			e, h := open(t)
			n := rate + rate/4 + 5
			h.enter(n)
			began := time.Now()
			s := begin(t, e, Plan{Rate: rate}).ends(t, Done)
			asks := h.seen()
			if len(asks) != n || s.Found != n || s.Asked != n || s.Gone != n || s.Left != 0 || s.Remaining != 0 {
				t.Fatalf("%d of %d were asked: %+v", len(asks), n, s)
			}
			checkPace(t, asks, always(rate))
			gap := time.Second / time.Duration(rate)
			if took, most := asks[n-1].at.Sub(began), gap*time.Duration(n)*11/10+gap; took > most {
				t.Errorf("took %v, want at most %v", took, most)
			}
			if asks[0].at != began {
				t.Errorf("began %v late", asks[0].at.Sub(began))
			}
		})
	}
}

// Nor is it exceeded after a time in which nothing could be closed.
func TestPaceAfterDisturbance(t *testing.T) {
	const n = 2500
	disturbances := map[string]func(h *hall, d *Drain){
		"pauses": func(_ *hall, d *Drain) {
			for range 10 {
				d.Pause()
				pass(700 * time.Millisecond)
				d.Resume()
				pass(300 * time.Millisecond)
			}
		},
		"short pauses": func(_ *hall, d *Drain) {
			for range 500 {
				d.Pause()
				pass(3 * time.Millisecond)
				d.Resume()
				pass(10 * time.Millisecond)
			}
		},
		"no place": func(h *hall, _ *Drain) {
			for range 10 {
				h.setShut(true)
				pass(500 * time.Millisecond)
				h.setShut(false)
				pass(500 * time.Millisecond)
			}
		},
		"slow source":      func(h *hall, _ *Drain) { h.with(func() { h.slow = 3 * time.Second }) },
		"late timers":      func(h *hall, _ *Drain) { h.with(func() { h.late = 15 * time.Millisecond }) },
		"very late timers": func(h *hall, _ *Drain) { h.with(func() { h.late = 3 * time.Second }) },
		"a source that stood": func(h *hall, _ *Drain) {
			h.with(func() { h.slow = time.Minute })
			pass(2 * time.Minute)
			h.with(func() { h.slow = 0 })
		},
	}
	for name, disturb := range disturbances {
		for _, rate := range rates {
			bubble(fmt.Sprint(name, ", rate ", rate), t, func(t *testing.T) {
				e, h := open(t)
				h.enter(min(n, 60*rate))
				d := begin(t, e, Plan{Rate: rate})
				disturb(h, d)
				pass(time.Minute)
				d.Cancel("")
				<-d.Done()
				asks := h.seen()
				checkPace(t, asks, always(rate))
				if len(asks) < 5 {
					t.Errorf("only %d were asked", len(asks))
				}
			})
		}
	}
}

// The rate may be changed at any time.
func TestPaceOfChangingRate(t *testing.T) {
	for name, after := range map[string]time.Duration{"slowly": 2700 * time.Millisecond, "fast": 170 * time.Millisecond} {
		bubble(name, t, func(t *testing.T) {
			e, h := open(t)
			h.enter(20_000)
			plan := Plan{Rate: 50}
			d := begin(t, e, plan)
			changes := rateLog{{time.Now(), plan.Rate}}
			for range 3 {
				for _, rate := range []int{1, 7, 200, 2, 1, 500, 1, 2, 300, 7, 800, 50} {
					pass(after)
					plan.Rate = rate
					changes = append(changes, rateChange{time.Now(), rate})
					if again, existed, err := e.Start(plan); again != d || !existed || err != nil {
						t.Fatalf("start: %v, existed %v, %v", again, existed, err)
					}
					if got := d.Status().Rate; got != rate {
						t.Fatalf("rate %d, want %d", got, rate)
					}
				}
			}
			d.Cancel("")
			<-d.Done()
			checkPace(t, h.seen(), changes.at)
			if n := len(h.seen()); n < 100 {
				t.Errorf("only %d were asked", n)
			}
		})
	}
}

// rateLog is the rates of a drain, each from a time on.
type rateLog []rateChange

type rateChange struct {
	from time.Time
	rate int
}

// at returns the rate at a time; the larger one if it was changed just then.
func (l rateLog) at(t time.Time) int { return l.within(t, 0) }

// within returns the largest rate at a time or up to so much before.
func (l rateLog) within(t time.Time, before time.Duration) int {
	rate := 0
	for _, c := range l {
		switch from := c.from; {
		case from.Before(t.Add(-before)):
			rate = c.rate
		case !from.After(t):
			rate = max(rate, c.rate)
		}
	}
	return rate
}

// Whenever closes are asked for, and however late they are made, it holds; and
// nobody waits for longer than a gap or a second when none is on its way.
func TestPaceHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, checkPaceHolds) })
}

func checkPaceHolds(t *rapid.T) {
	rate := rapid.SampledFrom([]int{1, 2, 3, 7, 20, 100}).Draw(t, "rate")
	p := pace{rate: rate}
	var w window
	var made []ask
	late := 0 // closes that were asked for and are not made
	work := func() {
		for ; late > 0; late-- {
			w.make()
			made = append(made, ask{at: time.Now()})
		}
	}
	longest := max(time.Second, time.Second*11/10/time.Duration(rate))
	for _, step := range rapid.SliceOfN(rapid.IntRange(0, 99), 100, 500).Draw(t, "steps") {
		switch {
		case step < 60: // in time
		case step < 85: // a timer is late
			time.Sleep(time.Duration(step) * time.Millisecond / 5)
		case step < 88: // all stood still
			time.Sleep(time.Duration(step) * 20 * time.Millisecond)
		default:
			time.Sleep(time.Duration(step) * time.Microsecond)
		}
		if step%5 == 0 {
			work() // the loop comes to what it has been asked for
		}
		for {
			wait := max(p.wait(time.Now()), w.wait(time.Now(), rate))
			if wait > longest {
				t.Fatalf("wait %v", wait)
			}
			if wait <= 0 {
				break
			}
			time.Sleep(wait)
			if late >= rate {
				work() // or nobody would ever go on
			}
		}
		w.ask()
		p.took(time.Now())
		if step%7 == 0 {
			w.withdraw() // it had gone already
			continue
		}
		late++
		if step%3 == 0 {
			work()
		}
	}
	work()
	checkPace(t, made, always(rate))
}

// Nor is it exceeded when the loops are late, and then make many at once: what
// counts is when a client gets its Close.
func TestPaceOfLateLoops(t *testing.T) {
	for _, rate := range rates[:5] {
		bubble(fmt.Sprint("rate ", rate), t, func(t *testing.T) {
			e, h := open(t)
			n := 20 * rate
			h.enter(n, func(i int, g *guest) {
				// Each loop is late from time to time, and makes up for it at once.
				g.takes = 5 * time.Second
				g.ponders = time.Duration(rand.Int64N(int64(2 * time.Second)))
				if i%2 == 0 {
					g.ponders = 1
				}
			})
			began := time.Now()
			begin(t, e, Plan{Rate: rate}).ends(t, Done)
			checkPace(t, h.said, always(rate))
			if took := time.Since(began); len(h.said) != n || took > 3*20*time.Second {
				t.Errorf("%d of %d in %v", len(h.said), n, took)
			}
		})
	}
}

// Closes that come a little late are made up for: the rate is reached on a
// machine whose timers are late, too.
func TestLateClosesAreMadeUpFor(t *testing.T) {
	p := pace{rate: 1000}
	began := time.Now()
	clock := began
	const n = 20_000
	for range n {
		if wait := p.wait(clock); wait > 0 {
			clock = clock.Add(wait + 2*time.Millisecond)
		}
		p.took(clock)
	}
	if took := clock.Sub(began); took > 22*time.Second {
		t.Errorf("took %v", took)
	}
}

// A close costs next to nothing, also when there were many before.
func TestCloseAllocatesLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorker(newDrain("1", Plan{Rate: MaxRate, Code: 1012}, slog.New(slog.DiscardHandler)), newOneTimer())
		defer w.timer.Stop()
		w.pace.rate = MaxRate
		const batch = 1000
		list := make([]Candidate, batch)
		for i := range list {
			list[i].Session = willing{}
		}
		batchOf := func() {
			if kept, whole := w.closeSome(t.Context(), list); kept != nil || !whole {
				t.Error("not all were asked")
			}
		}
		first := testing.AllocsPerRun(5, batchOf)
		for range 50 {
			batchOf()
		}
		if last := testing.AllocsPerRun(5, batchOf); first > batch/10 || last > batch/10 {
			t.Errorf("%v allocations for %d closes, later %v", first, batch, last)
		}
	})
}

// oneTimer is a Source whose After costs nothing, and can be called once at a time.
type oneTimer struct {
	hall
	timer *time.Timer
	call  func()
}

func newOneTimer() *oneTimer {
	s := new(oneTimer)
	s.timer = time.AfterFunc(time.Hour, func() { s.call() })
	s.timer.Stop()
	return s
}

func (s *oneTimer) After(d time.Duration, f func()) {
	s.call = f
	s.timer.Reset(d)
}

// willing is a Session that may always leave, and always is a new one.
type willing struct{}

func (willing) MayLeave(Cause) bool { return true }
func (willing) Leave(d *Drain, _ uint16, _ string) bool {
	d.Said()
	return true
}

// One operation is one close, without the wait for its time.
func BenchmarkClose(b *testing.B) {
	w := newWorker(newDrain("1", Plan{Rate: 1, Code: 1012}, slog.New(slog.DiscardHandler)), new(hall))
	defer w.timer.Stop()
	w.pace.rate = 1
	list := []Candidate{{Session: willing{}}}
	b.ReportAllocs()
	for b.Loop() {
		w.pace.due = time.Time{}
		w.closes.made = w.closes.made[:0]
		w.closes.passed = 0
		w.closeSome(b.Context(), list)
	}
}
