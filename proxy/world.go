package proxy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
)

// world is everything that Apply can change, as one thing: a handshake sees one
// world from the end of its head on. It is not changed after it was made.
type world struct {
	options Options
	routes  []Route // with their homes
	targets map[*pool.Upstream]*target
	sets    map[home]*pool.Set // of each route
}

// home is a route as its sessions remember it, from one world to the next:
// equal for routes with the same host and path.
type home struct {
	proxy      *Proxy
	host, path string
}

// newWorld checks o. What is the same as in old, which may be nil, is taken
// from there. The error names every mistake.
func newWorld(p *Proxy, o Options, old *world) (*world, error) {
	w := &world{options: o.withDefaults()}
	var err error
	if w.routes, w.targets, err = w.options.check(); err != nil {
		return nil, err
	}
	w.options.Upstreams = slices.Clone(o.Upstreams)
	w.sets = make(map[home]*pool.Set, len(w.routes))
	for i := range w.routes {
		r := &w.routes[i]
		r.home = &home{proxy: p, host: r.Host, path: r.Path}
		if r.Service != nil {
			if r.desk, err = newDesk(r, &w.options, old.deskAt(*r.home)); err != nil {
				return nil, fmt.Errorf("route %d: %w", i+1, err)
			}
		}
		if r.pins, err = newPins(r, old.pinsAt(*r.home)); err != nil {
			return nil, fmt.Errorf("route %d: http: %w", i+1, err)
		}
		if w.sets[*r.home] == nil { // a second route like it takes nothing
			w.sets[*r.home] = r.Set
		}
	}
	for u, t := range w.targets {
		before := old.current(u)
		if before != nil {
			t.inherit(old.targets[before])
		}
		if before == u {
			t.spares = old.targets[u].spares
		} else { // what was opened with other settings is of no use
			t.spares = newKeeper(p, u, t)
		}
	}
	return w, nil
}

// check returns the routes and how to reach each upstream. The defaults have to
// be filled in.
func (o *Options) check() ([]Route, map[*pool.Upstream]*target, error) {
	var errs []error
	targets := make(map[*pool.Upstream]*target, len(o.Upstreams))
	if len(o.Upstreams) == 0 {
		errs = append(errs, errors.New("no upstream"))
	}
	for i, u := range o.Upstreams {
		t, err := newTarget(u)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if slices.ContainsFunc(o.Upstreams[:i], func(v *pool.Upstream) bool { return v.Name() == u.Name() }) {
			errs = append(errs, fmt.Errorf("two upstreams are called %q", u.Name()))
		}
		targets[u] = t
	}
	routes := append([]Route(nil), o.Routes...)
	if len(routes) == 0 {
		errs = append(errs, errors.New("no route"))
	}
	for i := range routes {
		if err := routes[i].check(targets); err != nil {
			errs = append(errs, fmt.Errorf("route %d: %w", i+1, err))
		}
	}
	if err := o.Forwarded.check(); err != nil {
		errs = append(errs, fmt.Errorf("forwarded: %w", err))
	}
	for _, p := range [...]struct {
		what string
		plan drain.Plan
	}{{"failback", o.Failback.plan("")}, {"down", o.Down.plan("")}, {"scale", o.Scale.plan("")}, {"shutdown", o.Shutdown.plan()}} {
		if err := p.plan.Check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.what, err))
		}
	}
	return routes, targets, errors.Join(errs...)
}

// deskAt returns the desk of the route with this home, nil if there is none.
func (w *world) deskAt(h home) *desk {
	if w == nil {
		return nil
	}
	for i := range w.routes {
		if r := &w.routes[i]; *r.home == h {
			return r.desk
		}
	}
	return nil
}

// closeDesks lets go of what the desks of a world that has been replaced, or ends,
// keep open. Calls under way go on.
func (w *world) closeDesks() {
	for i := range w.routes {
		if d := w.routes[i].desk; d != nil && d.fanout != nil {
			d.fanout.Close()
		}
	}
}

// current returns what u has become in this world, nil if it is not there.
func (w *world) current(u *pool.Upstream) *pool.Upstream {
	if w != nil {
		for _, v := range w.options.Upstreams {
			if v.Same(u) {
				return v
			}
		}
	}
	return nil
}

// named returns the upstream with this name, or nil.
func (w *world) named(name string) *pool.Upstream {
	for _, u := range w.options.Upstreams {
		if u.Name() == name {
			return u
		}
	}
	return nil
}

// setsOf calls visit for the set of each route that u belongs to, until it
// returns true, and reports whether it did.
func (w *world) setsOf(u *pool.Upstream, visit func(*pool.Set) bool) bool {
	for i := range w.routes {
		if s := w.routes[i].Set; s.Contains(u) && visit(s) {
			return true
		}
	}
	return false
}
