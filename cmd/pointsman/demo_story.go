package main

import (
	"context"
	"fmt"
	"time"
)

// The acts of the demo.
const (
	phaseConnect  = "connect"  // until every client is served
	phaseSteady   = "steady"   // everybody on the primary
	phaseFailover = "failover" // the primary is dead
	phaseFailback = "failback" // it runs again and is held, new sessions do not go there yet
	phaseHome     = "home"     // new sessions go to the primary
	phaseDrain    = "drain"    // the others are led there, until nobody is left behind
)

// lookEvery is how often the story looks at the router while it waits for it.
const lookEvery = 20 * time.Millisecond

// agreeWithin is how long the router's count of sessions may take to agree with
// the clients': visitors come and go all the time, so the two are compared until
// they meet.
const agreeWithin = 10 * time.Second

// demoStory is the course of events.
type demoStory struct {
	tree     *demoTree
	tally    *demoTally
	status   *routerStatus
	progress *demoProgress
	phase    time.Duration // of steady and failover once their goal is reached
}

// tell runs the story with a crowd that came when phaseConnect began. An act ends
// when its goal was seen; steady and failover play on for a while then.
func (s *demoStory) tell(ctx context.Context) error {
	s.progress.note("%s: all clients come in", phaseConnect)
	if err := s.awaitServed(ctx); err != nil {
		return err
	}
	s.compare(ctx)

	s.begin(phaseSteady, "all clients are served")
	if err := s.watch(ctx); err != nil {
		return err
	}

	s.begin(phaseFailover, demoPrimary+" is killed (SIGKILL)")
	s.tally.killed()
	s.tree.killPrimary()
	if err := s.awaitServed(ctx); err != nil {
		return err
	}
	s.progress.note("%s: all clients are served again", phaseFailover)
	if err := s.watch(ctx); err != nil {
		return err
	}
	// The router may have found out by itself only. Without that there would be
	// nothing to come back from.
	err := s.look(ctx, "the router to find "+demoPrimary+" down", func(v routerView) bool { return !v.healthy[demoPrimary] })
	if err != nil {
		return err
	}
	return s.tellReturn(ctx)
}

// tellReturn is the second half: the primary runs again, and everybody returns.
func (s *demoStory) tellReturn(ctx context.Context) error {
	s.begin(phaseFailback, demoPrimary+" is started again")
	s.tally.revived()
	if err := s.tree.revivePrimary(ctx); err != nil {
		return err
	}
	told := false
	err := s.look(ctx, "the end of the hold of "+demoPrimary, func(v routerView) bool {
		if until, held := v.held[demoPrimary]; held && !told {
			told = true
			s.progress.note("%s: it is well, and held for %.1f s", phaseFailback, time.Until(until).Seconds())
		}
		return v.takes(demoPrimary)
	})
	if err != nil {
		return err
	}

	// The way home begins within a moment, perhaps before anybody new has come.
	s.begin(phaseHome, "the hold is over, new sessions go to "+demoPrimary)
	err = s.look(ctx, "the router to lead sessions home", func(routerView) bool {
		_, begun, _ := s.homeward(ctx)
		return begun
	})
	if err != nil {
		return err
	}

	s.begin(phaseDrain, fmt.Sprintf("the others are led there, at most %d per second", s.tally.failback.rate))
	err = s.look(ctx, "everybody to be served by "+demoPrimary, func(routerView) bool {
		found, _, over := s.homeward(ctx)
		s.tally.toMove(found)
		return over && s.tally.everybodyHome()
	})
	if err != nil {
		return err
	}
	s.progress.note("%s: everybody is served by %s", phaseDrain, demoPrimary)
	s.compare(ctx)
	s.tally.end()
	return nil
}

// awaitServed returns once every client is served by an upstream that is not to
// be left.
func (s *demoStory) awaitServed(ctx context.Context) error {
	if err := s.tally.await(ctx, everybodyServed); err != nil {
		return fmt.Errorf("%w: waited for every client to be served", err)
	}
	return nil
}

// look looks at the router until seen says that the story can go on. The counts
// that agree meanwhile are booked; that others do not is no fault, as sessions
// come and go.
func (s *demoStory) look(ctx context.Context, what string, seen func(routerView) bool) error {
	for {
		clients, view, agree, err := s.counts(ctx)
		if agree {
			s.tally.compare(clients, view.sessions)
		}
		if err == nil && seen(view) {
			return nil
		}
		if !sleepContext(ctx, lookEvery) {
			return fmt.Errorf("%w: waited for %s", context.Cause(ctx), what)
		}
	}
}

// homeward asks the router how the way home from the secondary goes. Nothing has
// begun if it does not answer: it will be asked again.
func (s *demoStory) homeward(ctx context.Context) (found int, begun, over bool) {
	drains, err := s.status.drains(ctx)
	if err != nil {
		return 0, false, false
	}
	return drains.home(demoSecondary)
}

func (s *demoStory) begin(phase, what string) {
	s.tally.begin(phase)
	s.progress.note("%s: %s", phase, what)
}

// watch lets the running act play on for its length and compares the counts.
func (s *demoStory) watch(ctx context.Context) error {
	if !sleepContext(ctx, s.phase) {
		return context.Cause(ctx)
	}
	s.compare(ctx)
	return nil
}

// compare asks the router for its count of sessions until it agrees with the
// clients' or the time for it is over. The last answer is booked, none if the
// router gave none: the report shows what did not agree.
func (s *demoStory) compare(ctx context.Context) {
	deadline := time.Now().Add(agreeWithin)
	for {
		clients, view, agree, err := s.counts(ctx)
		if err == nil {
			s.tally.compare(clients, view.sessions)
		}
		if agree || time.Now().After(deadline) || !sleepContext(ctx, lookEvery) {
			return
		}
	}
}

// counts looks at both counts of open sessions. They agree if the clients' was
// the same before and after the router was asked, and the router's is too.
func (s *demoStory) counts(ctx context.Context) (clients map[string]int, view routerView, agree bool, err error) {
	before := s.tally.openSessions()
	view, err = s.status.get(ctx)
	clients = s.tally.openSessions()
	agree = err == nil && sameSessions(before, clients) && sameSessions(clients, view.sessions)
	return clients, view, agree, err
}
