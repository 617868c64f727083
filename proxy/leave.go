package proxy

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
	"github.com/pointsman/pointsman/proxy/relay"
)

// census is the sessions of a proxy as drains see them.
type census struct{ proxy *Proxy }

// Sessions implements [drain.Source].
func (c census) Sessions(ctx context.Context, plan *drain.Plan) ([]drain.Candidate, error) {
	w := c.proxy.world.Load()
	sights, err := c.proxy.relay.Survey(ctx, func(tag any) bool { return w.selects(plan, tag.(*session)) })
	if err != nil {
		return nil, err
	}
	s := &plan.Selection
	list := c.proxy.exchanges.candidates(make([]drain.Candidate, 0, len(sights)), w, plan)
	for _, sight := range sights {
		if sight.Age >= s.OlderThan && sight.Silent >= s.SilentFor {
			list = append(list, drain.Candidate{
				Session: leaver{sight.Tag.(*session), sight.Session},
				Age:     sight.Age, Idle: sight.Idle,
			})
		}
	}
	return list, nil
}

// After implements [drain.Source].
func (c census) After(d time.Duration, f func()) { c.proxy.relay.After(d, f) }

// Expects implements [drain.Source]. An upstream that takes no new sessions may
// still get those whose handshakes it has begun.
func (c census) Expects(plan *drain.Plan) bool {
	name := plan.Selection.Upstream
	switch {
	case plan.Cause == drain.Removed:
		return slices.ContainsFunc(c.proxy.leaving.get(), func(u *pool.Upstream) bool { return u.Name() == name })
	case (plan.Cause == drain.Operator || plan.Cause == drain.Drill) && plan.Selection.Whole():
		u := c.proxy.world.Load().named(name)
		return u != nil && u.Sessions() > 0
	default:
		return false
	}
}

// selects reports whether a plan means s, as far as that does not change with
// time. A loop waits for it.
func (w *world) selects(plan *drain.Plan, s *session) bool {
	sel := &plan.Selection
	u := s.lease.Upstream()
	switch {
	case sel.Upstream != "" && u.Name() != sel.Upstream,
		sel.Path != "" && !strings.HasPrefix(s.path.Value(), sel.Path),
		sel.Client.IsValid() && !sel.Client.Contains(s.client):
		return false
	}
	if sel.Upstream == "" {
		return true
	}
	// Another upstream may have had the name before.
	now := w.current(u)
	switch plan.Cause {
	case drain.Removed:
		return now == nil
	case drain.Failback:
		set := w.sets[*s.home]
		return now != nil && set != nil && set.HasBetter(now) && !s.bound // who was told to come here would come again
	default:
		return now != nil
	}
}

// leaver is a session as a drain sees it.
type leaver struct {
	*session
	handle relay.Session
}

// MayLeave implements [drain.Session].
func (l leaver) MayLeave(cause drain.Cause) bool {
	w := l.home.proxy.world.Load()
	set, u := w.sets[*l.home], w.current(l.lease.Upstream())
	switch {
	case cause == drain.Shutdown:
		return true
	case set == nil: // its route is gone; another may match
		for i := range w.routes {
			if w.routes[i].Set.Elsewhere(u) {
				return true
			}
		}
		return false
	case u == nil:
		return set.Elsewhere(l.lease.Upstream())
	}
	switch cause {
	case drain.Failback:
		return set.Home(u)
	case drain.Down, drain.Drill:
		return !u.Healthy() && set.Elsewhere(u)
	default:
		return set.Elsewhere(u) || u.Available()
	}
}

// Leave implements [drain.Session].
func (l leaver) Leave(d *drain.Drain, code uint16, reason string) bool {
	if !l.drain.CompareAndSwap(nil, d) {
		return false
	}
	if d.Cause() != drain.Shutdown { // then it may find its connection again
		code = l.manner.code(code)
	}
	l.handle.CloseThen(code, reason, d.Said)
	return true
}
