package proxy

import (
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"time"

	"github.com/pointsman/pointsman/proxy/drain"
	"github.com/pointsman/pointsman/proxy/wsframe"
)

// shutdownTail is the part of the deadline that is kept for closing what is
// left, in percent, but at least shutdownTailLeast.
const (
	shutdownTail      = 5
	shutdownTailLeast = 100 * time.Millisecond
)

// shutDown ends what the gates have let in: it says that the proxy is not
// ready, closes the gates after the lead, and closes the sessions at a pace. It
// returns when all have ended, or shortly before the deadline.
func (p *Proxy) shutDown(gates []net.Listener) {
	began := time.Now()
	o := p.world.Load().options.Shutdown
	p.unready.Store(true)
	p.logger.Info("shutting down", "sessions", p.Sessions(), "lead", o.Lead, "deadline", o.Deadline)
	p.drains.Cancel("the router ends", func(drain.Status) bool { return true })
	time.Sleep(min(o.Lead, o.Deadline))
	p.stopping.Store(true)
	close(p.ending)
	p.exchanges.hangUp()
	for _, ln := range gates {
		ln.Close()
	}
	p.shut.Store(true)
	tail := min(max(o.Deadline*shutdownTail/100, shutdownTailLeast), o.Deadline/2)
	cut, stop := context.WithDeadline(context.Background(), began.Add(o.Deadline-tail))
	defer stop()
	p.closeSessions(cut, o)
	if err := p.server.ShutdownWithContext(cut); err != nil && cut.Err() == nil && !errors.Is(err, net.ErrClosed) {
		p.logger.Error("shutdown", "error", err)
	}
	if p.counters.atGate.Load() > 0 { // who has only just connected is answered, too
		p.vacated.await(cut)
	}
}

// closeSessions closes all sessions and waits for their end, or that of cut.
func (p *Proxy) closeSessions(cut context.Context, o Shutdown) {
	p.sessionsGone()
	if p.drained.told() {
		return
	}
	o.Rate = p.shutdownRate(cut, o)
	d, _, err := p.drains.Start(o.plan())
	if err != nil { // newWorld has checked it
		p.logger.Error("shutdown", "error", err)
		p.relay.CloseAll(wsframe.CodeGoingAway, "shutting down")
	} else {
		defer func() {
			d.Cancel("all sessions have ended")
			<-d.Done()
		}()
	}
	if !p.drained.await(cut) {
		p.logger.Warn("sessions cut at the shutdown deadline", "sessions", p.Sessions())
	}
}

// plan is that for the end of all.
func (s *Shutdown) plan() drain.Plan {
	return drain.Plan{
		Cause: drain.Shutdown, Rate: s.Rate, Code: wsframe.CodeGoingAway, Reason: "shutting down",
		Force: true, Standing: true, // handshakes under way may still join
	}
}

// shutdownRate is the configured rate, or more if the deadline demands it: four
// fifths of the time are for the Close frames, if the last closing handshake has
// its own time then, and half of it otherwise.
func (p *Proxy) shutdownRate(cut context.Context, o Shutdown) int {
	deadline, _ := cut.Deadline()
	left := time.Until(deadline)
	budget := max((left-p.relay.Options().CloseWait)*4/5, left/2, time.Millisecond)
	needed := math.Ceil(float64(p.Sessions()) / budget.Seconds() * 1.1)
	rate := max(o.Rate, int(min(needed, drain.MaxRate)))
	if rate > o.Rate {
		p.logger.Info("shutdown is faster than configured: the deadline demands it", "rate", rate, "configured", o.Rate)
	}
	return min(rate, drain.MaxRate)
}

// sessionsGone notes that no session is open, once the proxy is stopping.
func (p *Proxy) sessionsGone() {
	if p.stopping.Load() && p.counters.open.Load() == 0 {
		p.drained.tell()
	}
}

// leftGate counts a client out that was at a gate.
func (p *Proxy) leftGate() {
	if p.counters.atGate.Add(-1) == 0 && p.shut.Load() {
		p.vacated.tell()
	}
	p.clients.Done()
}

// vacancy is the word, given once, that nobody is left.
type vacancy struct {
	once sync.Once
	word chan struct{} // closed
}

func newVacancy() vacancy { return vacancy{word: make(chan struct{})} }

func (v *vacancy) tell() { v.once.Do(func() { close(v.word) }) }

func (v *vacancy) told() bool {
	select {
	case <-v.word:
		return true
	default:
		return false
	}
}

// await waits for the word, and reports false if the end of ctx comes first.
func (v *vacancy) await(ctx context.Context) bool {
	select {
	case <-v.word:
		return true
	case <-ctx.Done():
		return false
	}
}
