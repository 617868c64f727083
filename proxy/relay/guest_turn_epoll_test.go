//go:build linux && !portable

package relay

import (
	"sync/atomic"
	"testing"
	"time"
)

// wantsPassed holds a loop up until a session's message has passed, which must not wait
// for so many others.
func wantsPassed(t testing.TB, passed <-chan struct{}, others string) {
	select {
	case <-passed:
	case <-time.After(patience):
		t.Errorf("a session has waited for many %s", others)
	}
}

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
					wantsPassed(t, passed, "guests")
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
					wantsPassed(t, passed, "clients")
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
				wantsPassed(t, passed, "guests that were late")
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

// A guest that resets its connection while it waits for its turn, behind what it has
// said, is gone: its upstream is not asked in its name.
func TestGuestGoesBeforeItsTurn(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	const many = guestBudget + 2
	come, gone := make(chan bool, many), make(chan bool, many)
	first, goOn := make(chan bool), make(chan bool)
	heard := 0
	door := r.receive(t, Reception{
		Come: func() time.Duration { come <- true; return patience },
		Heard: func(g *Guest) {
			if heard++; heard == 1 {
				close(first)
				<-goOn
			}
			if _, err := g.Read(make([]byte, 64)); err != nil && heard < many {
				t.Errorf("read: %v", err)
			}
			if heard < many {
				g.Close()
				return
			}
			r.askFrom(t, g, r.upstream())
		},
		Gone:   func(g *Guest) { gone <- true; g.Close() },
		Failed: func(g *Guest, _ bool, err error) { t.Errorf("waited in vain: %v", err); gone <- false; g.Close() },
	})
	clients := make([]*peer, many)
	for i := range clients {
		clients[i] = visit(t, door)
		await(t, come)
	}
	move := r.stall(0)
	for _, c := range clients {
		c.send([]byte("hello"))
	}
	move()
	await(t, first)
	clients[many-1].reset()
	close(goOn)
	await(t, gone)
}

// However many guests are late that have said nothing, an upstream that is late is not
// waited for any longer than before.
func TestLateAnswersDoNotWait(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	const many, allowed = 16 * guestBudget, time.Second
	come, over, asked := make(chan bool, many+1), make(chan bool, many), make(chan bool, 1)
	failed := make(chan int, 1)
	late, away := 0, deaf(t)
	door := r.receive(t, Reception{
		Come: func() time.Duration { come <- true; return allowed },
		Heard: func(g *Guest) {
			if _, err := takeAll(g.Read, 64); err != nil {
				t.Errorf("read: %v", err)
			}
			if err := g.Ask(&Question{away, []byte("well?"), allowed, allowed}); err != nil {
				t.Errorf("ask: %v", err)
			}
			asked <- true
		},
		Late:   func(*Guest) { late++ },
		Failed: func(g *Guest, _ bool, _ error) { failed <- late; g.Close() },
		Over:   func(*Guest) { over <- true },
	})
	for range many {
		visit(t, door)
		await(t, come)
	}
	c := visit(t, door)
	await(t, come)
	c.send([]byte("hello"))
	await(t, asked)
	r.stall(allowed)()
	if n := await(t, failed); n > 2*guestBudget {
		t.Errorf("it has waited for %d guests that were late", n)
	}
	for range many {
		await(t, over)
	}
}

// What a loop does for others before a guest gets its turn is not taken from the time
// that its upstream has.
func TestAskTakesItsTime(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	const allowed = 300 * time.Millisecond
	type question struct {
		guest int
		at    time.Time
	}
	come, took := make(chan bool, 2), make(chan time.Duration, 2)
	away, heard := deaf(t), 0
	door := r.receive(t, Reception{
		Come: func() time.Duration { come <- true; return patience },
		Heard: func(g *Guest) {
			if heard++; heard == 1 {
				time.Sleep(allowed * 3 / 4) // this is what it does for others
			}
			g.Tag = question{heard, time.Now()}
			if err := g.Ask(&Question{away, []byte("well?"), allowed, allowed}); err != nil {
				t.Errorf("ask: %v", err)
			}
		},
		Failed: func(g *Guest, _ bool, _ error) { took <- time.Since(g.Tag.(question).at); g.Close() },
	})
	clients := []*peer{visit(t, door), visit(t, door)}
	await(t, come)
	await(t, come)
	move := r.stall(0)
	for _, c := range clients {
		c.send([]byte("hello"))
	}
	move()
	for range clients {
		if d := await(t, took); d < allowed {
			t.Errorf("given up after %v of %v", d, allowed)
		}
	}
}
