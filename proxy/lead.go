package proxy

import (
	"context"
	"time"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
)

// leadEvery is how often the leader looks at the upstreams.
const leadEvery = 500 * time.Millisecond

// leader begins the drains that nobody has to ask for: failback, and the
// reaction to an upstream that is down. It is for one goroutine.
type leader struct {
	proxy     *Proxy
	failbacks map[string]*episode // by upstream
	downs     map[string]*episode
}

// episode is the time in which there is a reason to drain an upstream.
type episode struct {
	upstream *pool.Upstream
	drain    *drain.Drain
	plan     drain.Plan // of the drain
	seen     uint64     // sessions the upstream had taken when it was last looked through
}

func newLeader(p *Proxy) *leader {
	return &leader{proxy: p, failbacks: make(map[string]*episode), downs: make(map[string]*episode)}
}

// run looks until ctx is done.
func (l *leader) run(ctx context.Context) {
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		w := l.proxy.world.Load()
		for _, u := range w.options.Upstreams {
			l.failback(ctx, w, u)
			l.down(ctx, w, u)
		}
	}
}

// failback leads sessions home that a better upstream would take.
func (l *leader) failback(ctx context.Context, w *world, u *pool.Upstream) {
	f := &w.options.Failback
	if f.Stay || !w.setsOf(u, func(s *pool.Set) bool { return s.Home(u) }) {
		// A drain under way waits, and goes on when home is back. What it left
		// behind is for the next time.
		if e := l.failbacks[u.Name()]; e != nil && (f.Stay || ended(e.drain)) {
			e.end("failback is switched off")
			delete(l.failbacks, u.Name())
		}
		return
	}
	l.begin(ctx, l.failbacks, u, f.plan(u.Name()))
}

// down reacts to an upstream that has been down for the grace.
func (l *leader) down(ctx context.Context, w *world, u *pool.Upstream) {
	d := &w.options.Down
	if u.Healthy() {
		l.downs[u.Name()].end("the upstream is up again")
		delete(l.downs, u.Name())
		return
	}
	health := u.Checker().Status()
	if time.Since(health.Since) < d.Grace || !health.SuspendedUntil.IsZero() {
		return
	}
	l.begin(ctx, l.downs, u, d.plan(u.Name()))
}

// plan is that of a failback from an upstream.
func (f *Failback) plan(name string) drain.Plan {
	return drain.Plan{
		Cause: drain.Failback, Selection: drain.Selection{Upstream: name},
		Order: f.Order, Rate: f.Rate, Code: f.Code, Reason: f.Reason, Deadline: f.Deadline, Then: f.Then,
	}
}

// plan is that for an upstream which is down.
func (d *Down) plan(name string) drain.Plan {
	plan := drain.Plan{
		Cause: drain.Down, Selection: drain.Selection{Upstream: name},
		Rate: d.Rate, Reason: "upstream down", Standing: true,
	}
	switch d.Action {
	case Keep:
		plan.Selection.SilentFor = d.Grace
	case CloseAll:
		plan.Rate = drain.MaxRate
	}
	return plan
}

// begin starts a drain unless it is under way, or its end was meant to last, or
// there is nothing for it to do.
func (l *leader) begin(ctx context.Context, episodes map[string]*episode, u *pool.Upstream, plan drain.Plan) {
	e := episodes[u.Name()]
	if e == nil || !e.upstream.Same(u) { // or another one had the name
		e = &episode{upstream: u}
		episodes[u.Name()] = e
	}
	if e.drain != nil && e.plan != plan { // a reload has other wishes
		if faster := e.plan; !ended(e.drain) {
			if faster.Rate = plan.Rate; faster != plan {
				e.drain.Cancel("the configuration was changed")
			}
			l.start(e, plan) // the same drain with another rate, or a new one
			return
		}
		e.plan = plan
	}
	if e.drain != nil && (!ended(e.drain) || e.drain.Status().State != drain.Done) {
		return
	}
	taken := u.Totals().Sessions
	if u.Sessions() == 0 || e.seen == taken && !plan.Standing {
		return
	}
	found, err := census{l.proxy}.Sessions(ctx, &plan)
	if err != nil {
		return
	}
	if e.seen = taken; len(found) == 0 {
		return
	}
	l.start(e, plan)
}

// start starts the drain of an episode.
func (l *leader) start(e *episode, plan drain.Plan) {
	d, _, err := l.proxy.drains.Start(plan)
	if err != nil { // newWorld has checked it
		l.proxy.logger.Error("drain", "upstream", e.upstream.Name(), "error", err)
		return
	}
	e.drain, e.plan = d, plan
}

// end cancels the drain of an episode.
func (e *episode) end(why string) {
	if e != nil && e.drain != nil {
		e.drain.Cancel(why)
	}
}

func ended(d *drain.Drain) bool {
	if d == nil {
		return true
	}
	select {
	case <-d.Done():
		return true
	default:
		return false
	}
}
