//go:build linux && !portable

package relay

import (
	"sync/atomic"
	"testing"
	"time"
)

// In a rush of guests, and of clients who want to become guests, a session does not
// wait for all of them, although they were there before it.
func TestSessionsComeFirst(t *testing.T) {
	t.Run("guests", func(t *testing.T) {
		r := startGuests(t, Options{Loops: 1})
		const many = 2 * eventBatch
		come, passed := make(chan bool, many), make(chan struct{})
		gone, heard := make(chan bool, many), 0
		door := r.receive(t, Reception{
			Come: func() time.Duration { come <- true; return time.Hour },
			Heard: func(g *Guest) {
				if heard++; heard == 3*guestBudget {
					select {
					case <-passed:
					case <-time.After(patience):
						t.Errorf("a session has waited for %d guests", heard)
					}
				}
				g.Close()
				gone <- true
			},
		})
		l := r.join(t)
		guests := make([]*peer, many)
		for i := range guests {
			guests[i] = visit(t, door)
			await(t, come)
		}
		goOn := r.stall(0)
		for _, g := range guests {
			g.send([]byte("hello"))
		}
		l.client.send(masked(textFrame, "between them"))
		goOn()
		l.upstream.wants(textFrame, "between them")
		close(passed)
		for range guests {
			await(t, gone)
		}
	})
	t.Run("clients at the door", func(t *testing.T) {
		r := startGuests(t, Options{Loops: 1})
		const many = 8 * acceptBudget
		passed, over := make(chan struct{}), make(chan bool, many)
		var come atomic.Int32
		door := r.receive(t, Reception{
			Come: func() time.Duration {
				if come.Add(1) == 3*acceptBudget {
					select {
					case <-passed:
					case <-time.After(patience):
						t.Errorf("a session has waited for %d clients", come.Load())
					}
				}
				return time.Millisecond
			},
			Over: func(*Guest) { over <- true },
		})
		l := r.join(t)
		goOn := r.stall(0)
		for range many {
			visit(t, door)
		}
		l.client.send(masked(textFrame, "between them"))
		goOn()
		l.upstream.wants(textFrame, "between them")
		close(passed)
		for range many {
			await(t, over)
		}
	})
}

// When many guests are late at once, all are told, and a session that has something to
// say meanwhile does not wait for the last of them.
func TestLateGuestsTakeTurns(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	const many, allowed = 8 * guestBudget, time.Second
	come, over, passed := make(chan bool, many), make(chan bool, many), make(chan struct{})
	late := 0
	door := r.receive(t, Reception{
		Come: func() time.Duration { come <- true; return allowed },
		Late: func(*Guest) {
			if late++; late == 3*guestBudget {
				select {
				case <-passed:
				case <-time.After(patience):
					t.Errorf("a session has waited for %d guests that were late", late)
				}
			}
		},
		Over: func(*Guest) { over <- true },
	})
	l := r.join(t)
	for range many {
		visit(t, door)
		await(t, come)
	}
	goOn := r.stall(allowed)
	l.client.send(masked(textFrame, "between them"))
	goOn()
	l.upstream.wants(textFrame, "between them")
	close(passed)
	for range many {
		await(t, over)
	}
}
