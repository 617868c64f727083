//go:build linux && !portable

package relay

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"testing"
	"time"
)

// stall has the only loop stand still until what is done meanwhile has been done, and
// d has passed. It returns when the loop stands.
func (r *rig) stall(d time.Duration) (goOn func()) {
	standing, done := make(chan bool), make(chan bool)
	r.relay.After(0, func() {
		close(standing)
		<-done
		time.Sleep(d)
	})
	<-standing
	return func() { close(done) }
}

// A loop that has stood still for longer than a time-out takes what has come
// meanwhile, of all that wait, before it sends anybody away.
func TestStalledLoopHearsGuests(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	const many = 2 * eventBatch
	come, heard := make(chan bool, many), make(chan bool, many)
	door := r.receive(t, Reception{
		Come: func() time.Duration { come <- true; return time.Second },
		Heard: func(g *Guest) {
			_, _, err := takeLine(g.Read)
			heard <- err == nil
			g.Close()
		},
		Over: func(*Guest) { heard <- false },
	})
	clients := make([]*peer, many)
	for i := range clients {
		clients[i] = visit(t, door)
		await(t, come)
	}
	goOn := r.stall(1100 * time.Millisecond)
	for _, c := range clients {
		c.send([]byte("hello\n"))
	}
	goOn()
	for range clients {
		if !await(t, heard) {
			t.Fatal("who has said something in time was not heard")
		}
	}
}

// The same with answers, and with upstreams that are connected meanwhile.
func TestStalledLoopHearsAnswers(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	const many = 2 * eventBatch
	answered := make(chan error, many)
	door := r.receive(t, Reception{
		Heard: func(g *Guest) {
			if err := g.Ask(&Question{r.upstream(), []byte("well?"), time.Second, time.Second}); err != nil {
				t.Errorf("ask: %v", err)
			}
		},
		Answered: func(g *Guest) {
			_, _, err := takeLine(g.ReadAnswer)
			answered <- err
			g.Close()
		},
		Failed: func(g *Guest, _ bool, err error) { answered <- err; g.Close() },
	})
	clients := make([]*peer, many)
	for i := range clients {
		clients[i] = visit(t, door)
	}
	asked := make([]*peer, many)
	for i, c := range clients {
		c.send([]byte("hello\n"))
		asked[i] = r.wantsQuestion(t, "well?")
	}
	goOn := r.stall(1100 * time.Millisecond)
	for _, u := range asked {
		u.send([]byte(answerLine))
	}
	goOn()
	late := 0
	for range clients {
		switch err := await(t, answered); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			late++ // before the loop stood
		case err != nil && err != io.EOF:
			t.Errorf("answered: %v", err)
		}
	}
	if late == many {
		t.Error("no answer that came in time was heard")
	}
}

// A guest that asks again when it is told that its loop ends gets an error.
func TestAskAtTheEnd(t *testing.T) {
	r := startGuests(t, Options{Loops: 1})
	asked, again := make(chan bool, 1), make(chan error, 8)
	door := r.receive(t, Reception{
		Heard: func(g *Guest) { r.askFrom(t, g, r.upstream()); asked <- true },
		Failed: func(g *Guest, _ bool, err error) {
			again <- g.Ask(&Question{netip.MustParseAddrPort("192.0.2.1:9"), []byte("and you?"), time.Hour, time.Hour})
			g.Close()
		},
	})
	c := visit(t, door)
	c.send([]byte("hello\n"))
	await(t, asked)
	r.stop()
	if err := await(t, again); err == nil || len(again) > 0 {
		t.Errorf("asked at the end: %v, and %d times more", err, len(again))
	}
}
