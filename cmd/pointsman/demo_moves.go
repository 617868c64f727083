package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coder/websocket"
)

// demoCut is the end of a session by the other side.
type demoCut struct {
	code     websocket.StatusCode // 1006 if TCP ended without a Close frame
	reason   string
	at       time.Time // when the client saw it
	inFlight bool      // a message was unanswered
}

// newDemoCut reads the end of a session from the error of its last read.
func newDemoCut(err error, at time.Time, inFlight bool) demoCut {
	c := demoCut{code: websocket.StatusAbnormalClosure, at: at, inFlight: inFlight}
	if said := new(websocket.CloseError); errors.As(err, said) {
		c.code, c.reason = said.Code, said.Reason
	}
	return c
}

// moved reports whether the client was asked to move.
func (c demoCut) moved() bool {
	return c.code == websocket.StatusServiceRestart && c.reason == demoMoveReason
}

// demoMoves is what clients see of the way home. It belongs to a tally, which
// guards it.
type demoMoves struct {
	since time.Time        // when the primary was started again; zero before
	asked []time.Time      // when clients saw that they are to move
	cuts  map[string]int64 // all ends by the other side since then, by close code
	lost  int64            // of these, not asked to move

	home, astray        int64 // where clients landed that were asked to move
	firstHome, lastHome time.Time
	slowest             time.Duration // echo since sessions go home
	found               int           // how many are to move, as the router counts
}

// cut books the end of a session.
func (m *demoMoves) cut(c demoCut) {
	if m.since.IsZero() || c.at.Before(m.since) {
		return // of the upstream that was killed
	}
	m.cuts[fmt.Sprint(int(c.code))]++
	if !c.moved() {
		m.lost++
		return
	}
	m.asked = append(m.asked, c.at)
}

// landed books where a client went that had been asked to move.
func (m *demoMoves) landed(upstream string, now time.Time) {
	if upstream != demoPrimary {
		m.astray++
		return
	}
	m.home++
	if m.firstHome.IsZero() {
		m.firstHome = now
	}
	m.lastHome = now
}

// closeDelay is how long a Close frame may take to its client on any machine.
const closeDelay = 50 * time.Millisecond

// mostAsked returns the most sessions that were asked to move in any one second,
// as clients saw it, and whether that is more than the rate.
//
// Clients see a Close frame a little after the router sent it, one later than
// another, so that they may see more of them in a second than were sent. They
// are not delayed by more than a message took there and back: what clients see
// within a second less that delay was sent within a second.
func (m *demoMoves) mostAsked(rate int) (most int, tooMany bool) {
	delay := max(closeDelay, m.slowest)
	return mostWithin(m.asked, time.Second), mostWithin(m.asked, time.Second-delay) > rate
}

// mostWithin returns the largest number of moments that lie within a time of one
// another: the first counts, one that is exactly that much later does not.
func mostWithin(moments []time.Time, within time.Duration) int {
	sorted := slices.SortedFunc(slices.Values(moments), time.Time.Compare)
	most, first := 0, 0
	for i, at := range sorted {
		for first < i && at.Sub(sorted[first]) >= within {
			first++
		}
		if within > 0 {
			most = max(most, i-first+1)
		}
	}
	return most
}
