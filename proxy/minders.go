package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/pointsman/pointsman/pool"
)

// minders are the goroutines that work for upstreams: one that runs the checker,
// one that refreshes addresses, and one that keeps spare connections.
type minders struct {
	mu    sync.Mutex
	ctx   context.Context // nil before begin and from wait on
	group sync.WaitGroup
	stops map[any]context.CancelFunc // by what is run
}

// begin starts the minders of w. They end with ctx.
func (m *minders) begin(ctx context.Context, w *world) {
	m.mu.Lock()
	m.ctx, m.stops = ctx, make(map[any]context.CancelFunc)
	m.mu.Unlock()
	m.follow(w)
}

// follow starts the minders that w needs, and stops those that it does not.
func (m *minders) follow(w *world) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx == nil {
		return
	}
	wanted := make(map[any]func(context.Context))
	for u, t := range w.targets {
		wanted[u.Checker()] = u.Checker().Run
		wanted[t.addresses] = t.addresses.run
		if t.spares != nil {
			wanted[t.spares] = t.spares.run
		}
	}
	for what, stop := range m.stops {
		if wanted[what] == nil {
			stop()
			delete(m.stops, what)
		}
	}
	for what, run := range wanted {
		if m.stops[what] == nil {
			ctx, stop := context.WithCancel(m.ctx)
			m.stops[what] = stop
			m.group.Go(func() { run(ctx) })
		}
	}
}

// stageLook is how often an added upstream is looked at.
const stageLook = 200 * time.Millisecond

// stage tells when an added upstream takes sessions, or that it takes too long.
func (m *minders) stage(p *Proxy, u *pool.Upstream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx == nil {
		return
	}
	ctx, began := m.ctx, time.Now()
	m.group.Go(func() {
		look := time.NewTicker(stageLook)
		defer look.Stop()
		for late := false; ; {
			w := p.world.Load()
			v := w.current(u)
			switch {
			case v == nil:
				return // removed again
			case v.Healthy():
				p.logger.Info("added upstream", "upstream", v.Name(), "after", time.Since(began).Round(time.Millisecond))
				return
			case !late && time.Since(began) > w.options.Scale.Timeout:
				late = true
				p.logger.Error("added upstream is not healthy", "upstream", v.Name(),
					"after", w.options.Scale.Timeout, "reason", v.Checker().Status().Reason)
			}
			select {
			case <-look.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// wait returns when all minders have ended. It begins no more, although Apply may
// still be called.
func (m *minders) wait() {
	m.mu.Lock()
	m.ctx = nil
	m.mu.Unlock()
	m.group.Wait()
}
