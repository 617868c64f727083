package relay

import (
	"sync/atomic"
	"testing"
	"time"
)

// A call is made once, and never too early.
func TestAfter(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	type call struct{ want, waited time.Duration }
	calls := make(chan call, 100)
	delays := []time.Duration{-time.Second, 0, 1, 2, 3, 5, 8, 13, 34, 55, 55, 3, 0}
	for _, d := range delays {
		d *= time.Millisecond
		began := time.Now()
		r.relay.After(d, func() { calls <- call{d, time.Since(began)} })
	}
	for range delays {
		select {
		case c := <-calls:
			if c.waited < c.want {
				t.Errorf("called after %v of %v", c.waited, c.want)
			}
		case <-time.After(patience):
			t.Fatal("a call is not made")
		}
	}
	// Each had its time: who was called twice has been called twice by now.
	last := make(chan bool)
	r.relay.After(0, func() { close(last) })
	<-last
	if n := len(calls); n != 0 {
		t.Errorf("%d calls were made twice", n)
	}
}

// Who is called may ask for another call, at once or later.
func TestAfterAgain(t *testing.T) {
	t.Parallel()
	r := start(t, Options{})
	done := make(chan int32, 1)
	var calls atomic.Int32
	const steps, pause = 40, 2 * time.Millisecond
	began := time.Now()
	var next func()
	next = func() {
		switch n := calls.Add(1); {
		case n == steps:
			done <- n
		case n%2 == 0:
			r.relay.After(0, next)
		default:
			r.relay.After(pause, next)
		}
	}
	r.relay.After(pause, next)
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%d of %d calls", calls.Load(), steps)
	}
	if waited := time.Since(began); waited < (steps/2+1)*pause {
		t.Errorf("%d pauses of %v took %v", steps/2+1, pause, waited)
	}
}
