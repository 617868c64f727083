package main

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// maxDemoErrors is how many error texts the report keeps.
const maxDemoErrors = 5

// visitor is the client number of a connection that is not one of the demo's
// lasting clients.
const visitor = -1

// demoTally counts what clients see. It may be used concurrently.
type demoTally struct {
	changed  chan struct{} // one slot: something that await may wait for happened
	failback demoFailback  // what moves are judged by

	mu       sync.Mutex
	phases   []*demoPhase   // the last one is running
	open     map[string]int // sessions by upstream
	left     string         // the upstream that clients are to leave, "" for none
	served   []bool         // by client: has had an echo from where it is to be
	unserved int
	errors   []string // the first few, for the report

	killedAt         time.Time
	firstElsewhereAt time.Time // first session on another upstream after the kill
	allServedAt      time.Time // after the kill
	firstBackAt      time.Time // first session on the revived upstream
	moves            demoMoves

	echoed     int64
	mismatched int64
	stalled    int64            // no answer in time on a session that was open
	inFlight   int64            // unanswered when their session was cut
	cuts       map[string]int64 // sessions ended by the other side, by close code
}

// demoPhase is one act of the demo.
type demoPhase struct {
	name         string
	began, ended time.Time
	tried        int64
	failed       int64
	opened       map[string]int // new sessions by upstream
	open         map[string]int // at its end, as clients count
	router       map[string]int // at its end, as the router counts; nil if it did not say
}

func newDemoTally(clients int, failback demoFailback) *demoTally {
	return &demoTally{
		changed:  make(chan struct{}, 1),
		failback: failback,
		open:     make(map[string]int),
		served:   make([]bool, clients),
		unserved: clients,
		cuts:     make(map[string]int64),
		moves:    demoMoves{cuts: make(map[string]int64)},
	}
}

func (t *demoTally) notify() {
	select {
	case t.changed <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// await returns nil once cond holds. cond runs with the tally locked. Only one
// goroutine may wait.
func (t *demoTally) await(ctx context.Context, cond func(*demoTally) bool) error {
	for {
		t.mu.Lock()
		ok := cond(t)
		t.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-t.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// everybodyServed is a condition for await.
func everybodyServed(t *demoTally) bool { return t.unserved == 0 }

// everybodyHome reports whether every client is served by the revived upstream
// and nobody is left elsewhere.
func (t *demoTally) everybodyHome() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.moves.since.IsZero() && t.unserved == 0 && t.open[demoSecondary] == 0
}

// begin ends the running phase, if any, and begins the next.
func (t *demoTally) begin(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.endLocked(now)
	t.phases = append(t.phases, &demoPhase{name: name, began: now, opened: make(map[string]int)})
}

// end ends the running phase; what is counted later still counts to it.
func (t *demoTally) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(time.Now())
}

func (t *demoTally) endLocked(now time.Time) {
	if len(t.phases) == 0 {
		return
	}
	p := t.phases[len(t.phases)-1]
	if !p.ended.IsZero() {
		return
	}
	p.ended = now
	if p.open == nil {
		p.open = maps.Clone(t.open)
	}
}

// compare books both counts of open sessions for the end of the running phase.
func (t *demoTally) compare(clients, router map[string]int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.phases[len(t.phases)-1]
	p.open, p.router = clients, router
}

// openSessions returns the open sessions by upstream.
func (t *demoTally) openSessions() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.open)
}

// handshake books the outcome of one handshake; err nil opens a session.
func (t *demoTally) handshake(upstream string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.phases[len(t.phases)-1]
	p.tried++
	if err != nil {
		p.failed++
		t.errorLocked(err.Error())
		return
	}
	p.opened[upstream]++
	t.open[upstream]++
	now := time.Now()
	if !t.killedAt.IsZero() && upstream != demoPrimary && t.firstElsewhereAt.IsZero() {
		t.firstElsewhereAt = now
	}
	if !t.moves.since.IsZero() && upstream == demoPrimary && t.firstBackAt.IsZero() {
		t.firstBackAt = now
	}
}

// ended books the end of a session.
func (t *demoTally) ended(upstream string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[upstream]--
}

// cut books that the other side ended a session.
func (t *demoTally) cut(c demoCut) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cuts[fmt.Sprint(int(c.code))]++
	if c.inFlight {
		t.inFlight++
	}
	t.moves.cut(c)
}

// landed books the session that a client has opened after it was asked to move.
func (t *demoTally) landed(client int, upstream string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moves.landed(upstream, time.Now())
	if upstream != demoPrimary {
		t.errorLocked(fmt.Sprintf("client %d was to move to %s and landed on %s", client, demoPrimary, upstream))
	}
}

// echo books a message that came back as it was sent, in the time that it took.
func (t *demoTally) echo(client int, upstream string, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.echoed++
	if !t.firstBackAt.IsZero() || len(t.moves.asked) > 0 {
		t.moves.slowest = max(t.moves.slowest, took)
	}
	// Echoes of the upstream that clients leave do not count: the last ones of
	// a killed one may arrive after the kill.
	if client == visitor || t.served[client] || upstream == t.left {
		return
	}
	t.served[client] = true
	t.unserved--
	if t.unserved > 0 {
		return
	}
	if !t.killedAt.IsZero() && t.allServedAt.IsZero() {
		t.allServedAt = time.Now()
	}
	t.notify()
}

// mismatch books a message that came back wrong, or that nobody had asked for.
func (t *demoTally) mismatch(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mismatched++
	t.errorLocked(what)
}

// stall books a message without an answer on a session that stayed open.
func (t *demoTally) stall(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stalled++
	t.errorLocked(what)
}

func (t *demoTally) errorLocked(what string) {
	if len(t.errors) < maxDemoErrors {
		t.errors = append(t.errors, what)
	}
}

// killed says that the primary is being killed now: from here on only an echo
// from elsewhere counts as being served.
func (t *demoTally) killed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.killedAt = time.Now()
	t.leaveLocked(demoPrimary)
}

// revived says that the primary is being started again: from here on clients are
// to leave the secondary.
func (t *demoTally) revived() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moves.since = time.Now()
	t.leaveLocked(demoSecondary)
}

func (t *demoTally) leaveLocked(upstream string) {
	t.left = upstream
	clear(t.served)
	t.unserved = len(t.served)
}

// toMove says how many sessions the router means to move, as far as is known.
func (t *demoTally) toMove(found int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moves.found = max(t.moves.found, found)
}

// line says in short how things stand; it fits a terminal of 80 columns.
func (t *demoTally) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	phase, failed := "", int64(0)
	for _, p := range t.phases {
		phase = p.name
		failed += p.failed
	}
	done := fmt.Sprintf("messages %d", t.echoed)
	if phase == phaseDrain {
		done = fmt.Sprintf("moved %d of %d", len(t.moves.asked), t.moves.found)
	}
	return fmt.Sprintf("%-8s  %s %d  %s %d  %s  failed %d",
		phase, demoPrimary, t.open[demoPrimary], demoSecondary, t.open[demoSecondary], done, failed)
}
