//go:build linux && !portable

package relay

import (
	"sync/atomic"
	"testing"
	"time"
)

// waiting returns how many orders wait in the mailbox of a loop, and whether it is to
// stop.
func (l *loop) waiting() (orders int, stops bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.orders {
		stops = stops || o.kind == stop
	}
	return len(l.orders), stops
}

// A guest that is given to a loop behind the order to stop is seen off with the others.
func TestStopMeetsLateGuest(t *testing.T) {
	r := startGuests(t, Options{Loops: 2})
	var came, turn atomic.Int32
	var entered, leave [3]chan bool // of the funcs in which a loop is held up
	for i := range entered {
		entered[i], leave[i] = make(chan bool), make(chan bool)
	}
	stay := func(i int) {
		close(entered[i])
		<-leave[i]
	}
	over, held := make(chan bool, 5), make(chan *loop, 1)
	// Guests are given to the loops by turns, the first one to the loop that the door is
	// not in: so the third and the fifth come to that one, too.
	door := r.receive(t, Reception{
		Room: func() bool {
			if came.Load() == 4 && turn.CompareAndSwap(0, 1) {
				stay(2)
			}
			return true
		},
		Come: func() time.Duration {
			if came.Add(1) == 3 {
				return 0
			}
			return patience
		},
		Heard: func(g *Guest) {
			if g.patience > 0 { // the first one
				held <- g.loop
				stay(0)
			} else { // the third one
				stay(1)
			}
			g.Close()
		},
		Over: func(g *Guest) { over <- true },
	})
	first := visit(t, door)
	first.send([]byte("hello"))
	await(t, entered[0])
	busy := await(t, held)
	second := visit(t, door) // says nothing
	third := visit(t, door)
	fourth := visit(t, door)
	if !within(patience, func() bool { return came.Load() == 4 }) {
		t.Fatal("they do not come")
	}
	fifth := visit(t, door)
	await(t, entered[2])
	r.cancel() // stop would wait
	if !within(patience, func() bool { _, stops := busy.waiting(); return stops }) {
		t.Fatal("the loop is not told to stop")
	}
	close(leave[0])
	await(t, entered[1]) // among the orders that the one to stop is one of
	close(leave[2])
	if !within(patience, func() bool { orders, _ := busy.waiting(); return orders == 1 }) {
		t.Error("the last guest is not given to the loop that is about to stop")
	}
	close(leave[1])
	r.stop()
	for range 3 {
		await(t, over)
	}
	for _, c := range []*peer{first, second, third, fourth, fifth} {
		c.gone()
	}
}
