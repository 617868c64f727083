package proxy

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// admitted is what enter has said to one handshake.
type admitted struct {
	turn  time.Time     // when it may go on
	again time.Duration // when it should come again, if it was turned away
	ok    bool
}

// enters lets n handshakes come at once.
func (a *admission) enters(perSecond, n int) []admitted {
	all := make([]admitted, n)
	for i := range all {
		wait, ok := a.enter(perSecond)
		again := time.Duration(0)
		if !ok {
			again = a.turnAway()
		}
		// The rest is what floating point makes of it.
		all[i] = admitted{time.Now().Add(wait), again.Round(time.Microsecond), ok}
	}
	return all
}

// burst is how many of a second's handshakes may come at once.
func burst(perSecond int) int { return max(1, perSecond/20) }

// turns are the times at which those may go on who were admitted.
func turns(all []admitted) (times []time.Time) {
	for _, x := range all {
		if x.ok {
			times = append(times, x.turn)
		}
	}
	return times
}

// mostIn is the largest number of sorted times in a window.
func mostIn(times []time.Time, window time.Duration) (most int) {
	for first, last := 0, 0; last < len(times); last++ {
		for times[last].Sub(times[first]) >= window {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

func bubble(name string, t *testing.T, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// TestAdmission is about the queue of one second, in virtual time.
func TestAdmission(t *testing.T) {
	bubble("no limit", t, func(t *testing.T) {
		var a admission
		for i, x := range append(a.enters(0, 10_000), a.enters(-1, 1)...) {
			if !x.ok || x.turn.After(time.Now()) {
				t.Fatalf("number %d: %+v", i, x)
			}
		}
	})
	bubble("a burst", t, func(t *testing.T) {
		for _, rate := range []int{1, 2, 7, 100, 1000, 50_000} {
			var a admission
			began, all := time.Now(), a.enters(rate, 3*rate+10)
			times := turns(all)
			// The burst goes on at once, and one second's worth behind it.
			if want := rate + burst(rate); len(times) != want {
				t.Errorf("rate %d: %d were admitted, want %d", rate, len(times), want)
			}
			if !slices.IsSortedFunc(times, time.Time.Compare) {
				t.Errorf("rate %d: not in order", rate)
			}
			if n := mostIn(times, time.Second); n > rate+burst(rate) {
				t.Errorf("rate %d: %d in one second", rate, n)
			}
			if last := times[len(times)-1]; last.Sub(began) > longestQueue || times[0] != began {
				t.Errorf("rate %d: the first waits %v, the last %v", rate, times[0].Sub(began), last.Sub(began))
			}
			// Nobody is admitted behind one who was turned away at this moment.
			if i := slices.IndexFunc(all, func(x admitted) bool { return !x.ok }); i != len(times) {
				t.Errorf("rate %d: number %d was turned away, and %d were admitted", rate, i, len(times))
			}
		}
	})
	bubble("the rate holds for ever", t, func(t *testing.T) {
		const rate = 50
		var a admission
		var all []admitted
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			all = append(all, a.enters(rate, rand.IntN(20))...)
			time.Sleep(time.Duration(rand.IntN(int(200 * time.Millisecond))))
		}
		times := turns(all)
		for _, window := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
			if n, most := mostIn(times, window), int(rate*window.Seconds())+burst(rate); n > most {
				t.Errorf("%d in %v, want at most %d", n, window, most)
			}
		}
		if len(times) < 50*rate {
			t.Errorf("only %d were admitted in a minute", len(times))
		}
	})
	bubble("a slow trickle never waits", t, func(t *testing.T) {
		var a admission
		for range 100 {
			if x := a.enters(10, 1)[0]; !x.ok || x.turn.After(time.Now()) {
				t.Fatalf("%+v", x)
			}
			time.Sleep(101 * time.Millisecond)
		}
	})
}

// told counts how many are told to come again in which second.
func told(all []admitted) map[int]int {
	count := make(map[int]int)
	for _, x := range all {
		if !x.ok {
			count[seconds(x.again)]++
		}
	}
	return count
}

// TestTurns is about those who are turned away, in virtual time: each gets a turn
// of its own behind the others.
func TestTurns(t *testing.T) {
	const rate = 100
	full := func() *admission {
		a := new(admission)
		a.enters(rate, rate+burst(rate))
		return a
	}
	bubble("evenly", t, func(t *testing.T) {
		all := full().enters(rate, 1000)
		for i, x := range all {
			if want := longestQueue + time.Duration(i+1)*time.Second/rate; x.ok || x.again != want {
				t.Fatalf("number %d: %+v, want %v", i, x, want)
			}
		}
		count := told(all)
		for second := range 13 {
			n := count[second]
			switch {
			case second == 0 || second == 12:
				if n != 0 {
					t.Errorf("%d are told %d seconds", n, second)
				}
			case second == 1 || second == 11: // half a second each
				if n < 20 || n > 80 {
					t.Errorf("%d are told %d seconds", n, second)
				}
			case n < 60 || n > 140: // ten standard deviations away
				t.Errorf("%d are told %d seconds", n, second)
			}
		}
	})
	bubble("those who keep to it get in", t, func(t *testing.T) {
		a := full()
		type visit struct {
			at   time.Time
			came int
		}
		var due []visit
		for _, x := range a.enters(rate, 1000) {
			due = append(due, visit{time.Now().Add(time.Duration(seconds(x.again)) * time.Second), 1})
		}
		var times []time.Time
		most := 0
		for len(due) > 0 {
			slices.SortStableFunc(due, func(a, b visit) int { return a.at.Compare(b.at) })
			v := due[0]
			due = due[1:]
			time.Sleep(time.Until(v.at))
			x := a.enters(rate, 1)[0]
			most = max(most, v.came)
			if x.ok {
				times = append(times, x.turn)
				continue
			}
			due = append(due, visit{time.Now().Add(time.Duration(seconds(x.again)) * time.Second), v.came + 1})
		}
		if n := mostIn(times, time.Second); n > rate+burst(rate) {
			t.Errorf("%d in one second", n)
		}
		if most > 5 {
			t.Errorf("somebody had to come %d times", most)
		}
		slices.SortFunc(times, time.Time.Compare)
		if last := time.Since(times[0]); last > 20*time.Second {
			t.Errorf("the last got in after %v", last)
		}
	})
	bubble("the backlog goes with time", t, func(t *testing.T) {
		a := full()
		a.enters(rate, 1000)
		time.Sleep(4 * time.Second) // 400 of them have come, or not
		a.enters(rate, rate+burst(rate))
		if x := a.enters(rate, 1)[0]; x.ok || x.again != longestQueue+601*time.Second/rate {
			t.Errorf("after 4 s: %+v", x)
		}
		time.Sleep(time.Hour)
		a.enters(rate, rate+burst(rate))
		if x := a.enters(rate, 1)[0]; x.ok || x.again != longestQueue+time.Second/rate {
			t.Errorf("after an hour: %+v", x)
		}
	})
	bubble("no longer than bearable", t, func(t *testing.T) {
		a := full()
		all := a.enters(rate, 100*int(longestBacklog.Seconds())*2)
		last := all[len(all)-1]
		if most := longestQueue + longestBacklog; last.again > most+time.Second/rate || last.again < most-time.Second {
			t.Errorf("the last is told %v", last.again)
		}
	})
	bubble("another rate", t, func(t *testing.T) {
		a := full()
		a.enters(rate, 999)
		if x := a.enters(rate, 1)[0]; x.again != longestQueue+10*time.Second {
			t.Fatalf("%+v", x)
		}
		more := a.enters(2*rate, 5*rate)
		i := slices.IndexFunc(more, func(x admitted) bool { return !x.ok })
		if i < 0 || i > rate+1 { // those of the queue go twice as fast now
			t.Fatalf("%d more were admitted at once", i)
		}
		if got, want := more[i].again, longestQueue+1001*time.Second/(2*rate); got != want {
			t.Errorf("at twice the rate: %v, want %v", got, want)
		}
		if times := turns(more); len(times) > 0 && time.Until(times[len(times)-1]) > longestQueue {
			t.Error("somebody waits for longer than a second")
		}
		if x := a.enters(1, 1)[0]; x.ok {
			t.Errorf("at a rate of one: %+v", x)
		}
		if x := a.enters(0, 1)[0]; !x.ok || x.turn.After(time.Now()) {
			t.Errorf("without a limit: %+v", x)
		}
	})
}

// TestSeconds: whole seconds, at least one, right in the mean.
func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int{-time.Hour: 1, 0: 1, time.Millisecond: 1, time.Second: 1, 2 * time.Second: 2, 300 * time.Second: 300} {
		for range 20 {
			if got := seconds(d); got != want {
				t.Errorf("%v: %d", d, got)
			}
		}
	}
	sum := 0
	for range 10_000 {
		n := seconds(2250 * time.Millisecond)
		if n != 2 && n != 3 {
			t.Fatalf("2.25 s: %d", n)
		}
		sum += n
	}
	if sum < 22_000 || sum > 23_000 { // more than ten standard deviations away
		t.Errorf("10,000 times 2.25 s: %d s", sum)
	}
}
