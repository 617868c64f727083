//go:build linux && !portable

package relay

import "testing"

// In each period a sweep comes to all sessions, to so few at a time that others do not
// wait for it, and in as few turns as that takes.
func TestSweep(t *testing.T) {
	r, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := newLoop(r)
	if err != nil {
		t.Fatal(err)
	}
	defer l.closeFiles()
	period := r.options.Load().sweepPeriod().Milliseconds()
	for _, n := range []int{1, 2, sweepSlice - 1, sweepSlice, 5000, 100_000} {
		l.sessions = make([]*session, n)
		for i := range l.sessions {
			l.sessions[i] = &session{phase: over}
		}
		// Those who have only just come do not wait for the end of a period that few had.
		l.clock, l.sweepPos = l.clock+1, 0
		if n < sweepSlice {
			l.clock = l.sweepAt
		}
		began, visits, turns := l.clock, 0, 0
		for l.clock < began+period {
			before := l.sweepPos
			l.keepTime()
			turn := (before - l.sweepPos + n) % n
			if turn == 0 {
				turn = n // it is where it was
			}
			if turn > sweepSlice {
				t.Fatalf("%d sessions: %d in one turn", n, turn)
			}
			visits, turns = visits+turn, turns+1
			if l.sweepAt <= l.clock {
				t.Fatalf("%d sessions: again at %d, it is %d", n, l.sweepAt, l.clock)
			}
			l.clock = l.sweepAt
		}
		if most := n/sweepSlice*11/10 + 2; visits < n || turns > most {
			t.Errorf("%d sessions: %d visits in %d turns, want at most %d turns", n, visits, turns, most)
		}
	}
}
