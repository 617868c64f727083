package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
)

// ErrLastUsable is returned when an upstream is the last one that takes the
// sessions of some route, and the call was not forced.
var ErrLastUsable = errors.New("no other upstream would take its clients")

// UnknownUpstream is returned for a name that no upstream has.
type UnknownUpstream struct {
	Name  string
	Known []string // the names that there are
}

// Error names the upstreams that there are.
func (e *UnknownUpstream) Error() string {
	return fmt.Sprintf("unknown upstream %q; known: %s", e.Name, strings.Join(e.Known, ", "))
}

// Upstreams returns the present upstreams in their order.
func (p *Proxy) Upstreams() []*pool.Upstream {
	return append([]*pool.Upstream(nil), p.world.Load().options.Upstreams...)
}

// Leaving returns the upstreams that Apply removed and that still have sessions.
func (p *Proxy) Leaving() []*pool.Upstream { return p.leaving.get() }

// Drains returns the engine, to look at drains and to pause, resume and cancel
// them. Drains of sessions are begun by [Proxy.Drain].
func (p *Proxy) Drains() *drain.Engine { return p.drains }

// find returns the upstream with that name, and the world that it is in.
func (p *Proxy) find(name string) (*pool.Upstream, *world, error) {
	w := p.world.Load()
	if u := w.named(name); u != nil {
		return u, w, nil
	}
	unknown := &UnknownUpstream{Name: name}
	for _, u := range w.options.Upstreams {
		unknown.Known = append(unknown.Known, u.Name())
	}
	return nil, nil, unknown
}

// spare reports whether u can be done without, as far as its routes go.
func (w *world) spare(u *pool.Upstream) error {
	if u.Usable() && w.setsOf(u, func(s *pool.Set) bool { return !s.Elsewhere(u) }) {
		return fmt.Errorf("upstream %q: %w", u.Name(), ErrLastUsable)
	}
	return nil
}

// Disable lets an upstream take no new sessions until [Proxy.Enable]. It is
// still probed, and its sessions go on. why is shown to operators. Unless
// forced, the last usable upstream of a route is not disabled: [ErrLastUsable].
// The error may be an *[UnknownUpstream].
func (p *Proxy) Disable(name, why string, force bool) error {
	u, w, err := p.find(name)
	if err != nil {
		return err
	}
	if err := w.spare(u); err != nil && !force {
		return err
	}
	if _, already := u.Disabled(); !already {
		p.logger.Info("upstream disabled", "upstream", name, "why", why)
	}
	u.Disable(why)
	return nil
}

// Enable lets an upstream take new sessions again: after Disable, after a drain
// or during one, which ends, and during a drill, which ends too. The error may
// be an *[UnknownUpstream].
func (p *Proxy) Enable(name string) error {
	u, _, err := p.find(name)
	if err != nil {
		return err
	}
	p.drains.Cancel("the upstream was enabled", func(s drain.Status) bool {
		return s.Upstream == name && (s.Cause == drain.Operator || s.Cause == drain.Drill)
	})
	if _, disabled := u.Disabled(); disabled {
		p.logger.Info("upstream enabled", "upstream", name)
	}
	u.Enable()
	u.Checker().Resume()
	return nil
}

// Defaults of what an operator asks for.
const (
	operatorRate   = 50
	operatorReason = "moved by operator"
)

// Drain begins a drain for an operator: plan.Selection.Upstream must name an
// upstream. Rate defaults to 50 per second and Reason to "moved by operator";
// Cause is set. A drain of all its sessions also disables the upstream, which
// stays so when the drain is done. Clients of any other selection go where new
// ones go, perhaps to the same upstream.
//
// A drain with the same selection that has not ended is the same drain, and
// existed is true. Unless forced, the last usable upstream of a route is not
// drained: [ErrLastUsable]. The error may also be an *[UnknownUpstream], or name
// the mistakes in the plan.
func (p *Proxy) Drain(plan drain.Plan) (d *drain.Drain, existed bool, err error) {
	name := plan.Selection.Upstream
	u, w, err := p.find(name)
	if err != nil {
		return nil, false, err
	}
	plan.Cause = drain.Operator
	if plan.Selection.Share == 1 {
		plan.Selection.Share = 0 // all
	}
	plan.Rate = cmp.Or(plan.Rate, operatorRate)
	plan.Reason = cmp.Or(plan.Reason, operatorReason)
	if !plan.Selection.Whole() {
		return p.drains.Start(plan)
	}
	if err := w.spare(u); err != nil && !plan.Force {
		return nil, false, err
	}
	_, already := u.Disabled()
	if !already {
		u.Disable("drain") // before it begins, or the first clients would come back
	}
	d, existed, err = p.drains.Start(plan)
	switch {
	case already:
	case err != nil:
		u.Enable()
	default:
		p.logger.Info("upstream disabled", "upstream", name, "why", drained(d))
		u.Disable(drained(d))
	}
	return d, existed, err
}

// drained is why the upstream of a drain takes no sessions.
func drained(d *drain.Drain) string { return "drain " + d.ID() }

// CancelDrain ends a drain. If it had disabled its upstream, that takes new
// sessions again. The error wraps [drain.ErrUnknown].
func (p *Proxy) CancelDrain(id string) (*drain.Drain, error) {
	d, err := p.drains.Get(id)
	if err != nil {
		return nil, err
	}
	if ended(d) {
		return d, nil
	}
	d.Cancel("cancelled by operator")
	if u := p.world.Load().named(d.Status().Upstream); u != nil {
		if why, _ := u.Disabled(); why == drained(d) {
			p.logger.Info("upstream enabled", "upstream", u.Name())
			u.Enable()
		}
	}
	return d, nil
}

// Drill practises a failover: for the time the upstream is treated as if it was
// down, and its sessions are drained at the rate (default 200 per second).
// Then it is treated as recovered, with its hold. Unless forced, the last usable
// upstream of a route is not touched: [ErrLastUsable]. The error may be an
// *[UnknownUpstream], or name a mistake in lasting or rate.
func (p *Proxy) Drill(name string, lasting time.Duration, rate int, force bool) (*drain.Drain, error) {
	u, w, err := p.find(name)
	if err != nil {
		return nil, err
	}
	if lasting <= 0 {
		return nil, fmt.Errorf("drill of upstream %q: %v is no time", name, lasting)
	}
	if err := w.spare(u); err != nil && !force {
		return nil, err
	}
	d, _, err := p.drains.Start(drain.Plan{
		Cause: drain.Drill, Selection: drain.Selection{Upstream: name},
		Rate: cmp.Or(rate, w.options.Down.Rate), Reason: "failover drill", Deadline: lasting, Force: force,
	})
	if err != nil {
		return nil, err
	}
	u.Checker().Suspend(lasting, fmt.Sprintf("failover drill for %v", lasting))
	return d, nil
}
