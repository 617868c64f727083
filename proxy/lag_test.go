package proxy

import (
	"math"
	"sync/atomic"
	"testing"
	"time"
)

// checkRate checks sorted times as seen on a machine with that lag. From what
// keeps to the rate to those who see it, several have to be woken.
func checkRate(t testing.TB, times []time.Time, rate int, l *lag) {
	t.Helper()
	if len(times) <= rate {
		t.Fatalf("%d events show nothing about a rate of %d", len(times), rate)
	}
	late := 3 * l.worst()
	most := rate + int(math.Ceil(float64(rate)*late.Seconds()))
	for first, last := 0, 0; last < len(times); last++ {
		for times[last].Sub(times[first]) >= time.Second {
			first++
		}
		if n := last - first + 1; n > most {
			t.Fatalf("%d in the second that begins with number %d, at a rate of %d; the machine is up to %v late", n, first, rate, late)
		}
	}
}

// lag watches how late this process is woken.
type lag struct{ longest atomic.Int64 }

func watchLag(t testing.TB) *lag {
	l := new(lag)
	l.longest.Store(int64(10 * time.Millisecond)) // from the kernel to a reader
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		const step = 5 * time.Millisecond
		timer := time.NewTimer(step)
		defer timer.Stop()
		for began := time.Now(); ; began = time.Now() {
			select {
			case <-timer.C:
			case <-done:
				return
			}
			l.longest.Store(max(l.longest.Load(), int64(time.Since(began)-step)))
			timer.Reset(step)
		}
	}()
	t.Cleanup(func() { close(done); <-ended })
	return l
}

func (l *lag) worst() time.Duration { return time.Duration(l.longest.Load()) }
