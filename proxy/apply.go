package proxy

import (
	"fmt"
	"sync"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
)

// Apply puts o in the place of the present options. It is all or nothing: an
// error, which names every mistake, leaves everything as it was.
//
// An upstream is kept if it is the same, or was made to replace the one before
// ([pool.Options.Replaces]): its sessions are not touched, and those of a kept
// route neither. One that is new gets sessions when it is healthy. One that is
// missing gets no more sessions, and those that it has are drained.
//
// Relay.Loops and the loggers stay as they are. Apply may be called before Run,
// and concurrently.
func (p *Proxy) Apply(o Options) error {
	p.applying.Lock()
	defer p.applying.Unlock()
	old := p.world.Load()
	o.Logger, o.AccessLogger = old.options.Logger, old.options.AccessLogger
	w, err := newWorld(p, o, old)
	if err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	p.relay.Configure(o.Relay)
	p.world.Store(w)
	p.memory.stir() // the marks may be others
	old.closeDesks()
	p.minders.follow(w)
	for _, u := range w.options.Upstreams {
		if old.current(u) == nil {
			p.minders.stage(p, u)
		}
	}
	for _, u := range old.options.Upstreams {
		if w.current(u) == nil {
			p.remove(u, w.options.Scale)
		}
	}
	return nil
}

// remove leads the sessions of an upstream that is no longer in the world to
// others.
func (p *Proxy) remove(u *pool.Upstream, scale Scale) {
	p.logger.Info("removed upstream", "upstream", u.Name(), "sessions", u.Sessions())
	// Also the drain of another one that had the name: the new one has its own time.
	p.drains.Cancel("the upstream was removed", func(s drain.Status) bool { return s.Upstream == u.Name() })
	if u.Sessions() == 0 {
		return
	}
	p.leaving.add(u)
	if _, _, err := p.drains.Start(scale.plan(u.Name())); err != nil { // newWorld has checked it
		p.logger.Error("drain of a removed upstream", "upstream", u.Name(), "error", err)
	}
}

// plan is that for an upstream which was removed.
func (s *Scale) plan(name string) drain.Plan {
	return drain.Plan{
		Cause: drain.Removed, Selection: drain.Selection{Upstream: name},
		Rate: s.Rate, Reason: "upstream removed", Deadline: s.Timeout, Then: drain.CloseRest,
	}
}

// leaving are the upstreams that were removed and still have sessions.
type leaving struct {
	mu   sync.Mutex
	list []*pool.Upstream
}

func (l *leaving) add(u *pool.Upstream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, u)
}

// get returns those that still have sessions, and forgets the others.
func (l *leaving) get() []*pool.Upstream {
	l.mu.Lock()
	defer l.mu.Unlock()
	var still []*pool.Upstream
	for _, u := range l.list {
		if u.Sessions() > 0 {
			still = append(still, u)
		}
	}
	l.list = still
	return append([]*pool.Upstream(nil), still...)
}
