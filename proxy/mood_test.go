package proxy

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// mood says how an upstream of a test feels. Its sessions go on whatever it is.
type mood struct{ down atomic.Bool }

// judged is how an upstream with this mood is judged: by one probe, quickly.
func (m *mood) judged() health.Options {
	return health.Options{
		Probe: func(context.Context) error {
			if m.down.Load() {
				return errGone
			}
			return nil
		},
		Interval: 10 * time.Millisecond, Recheck: 10 * time.Millisecond, Timeout: patience,
		Jitter: -1, Rise: 1, Fall: 1, InitialUp: true,
	}
}

// falls makes an upstream unwell, and waits until the router believes it.
func (m *mood) falls(t testing.TB, u *pool.Upstream) {
	t.Helper()
	m.down.Store(true)
	until(t, u.Name()+" to be down", func() bool { return !u.Healthy() })
}

// rises is the end of it.
func (m *mood) rises(t testing.TB, u *pool.Upstream) {
	t.Helper()
	m.down.Store(false)
	until(t, u.Name()+" to be up", u.Healthy)
}

// pair is a router with a primary called east, which has a mood, and a secondary
// called west; both echo.
type pair struct {
	*rig
	mood *mood
}

// newPair runs a pair. change, if not nil, changes how east is judged.
func newPair(t testing.TB, o Options, change func(*health.Options)) pair {
	t.Helper()
	p := pair{mood: new(mood)}
	judged := p.mood.judged()
	if change != nil {
		change(&judged)
	}
	p.rig = start(t, o,
		member{name: "east", address: newEchoer(t, "east").address(), health: judged},
		member{name: "west", address: newEchoer(t, "west").address(), role: pool.Secondary})
	return p
}

// falls lets east fall.
func (p pair) falls() { p.t.Helper(); p.mood.falls(p.t, p.upstream("east")) }

// rises lets east recover.
func (p pair) rises() { p.t.Helper(); p.mood.rises(p.t, p.upstream("east")) }

// options are the present ones, to change and apply them.
func (r *rig) options() Options { return r.world.Load().options }

// change applies the present options with a change.
func (r *rig) change(f func(*Options)) {
	r.t.Helper()
	o := r.options()
	f(&o)
	if err := r.Apply(o); err != nil {
		r.t.Fatal(err)
	}
}

// only makes a list of upstreams, and one route to all of them, what the router
// has.
func (r *rig) only(upstreams ...*pool.Upstream) {
	r.t.Helper()
	r.change(func(o *Options) {
		o.Upstreams = upstreams
		o.Routes = []Route{{Set: set(r.t, upstreams...)}}
	})
}

// become makes what can take the place of u, with other settings.
func become(t testing.TB, u *pool.Upstream, change func(*pool.Options)) *pool.Upstream {
	t.Helper()
	o := pool.Options{
		Name: u.Name(), URL: u.URL(), Role: u.Role(), Weight: u.Weight(), MaxSessions: u.MaxSessions(),
		HandshakesPerSecond: u.HandshakesPerSecond(), Checker: u.Checker(), Replaces: u,
		TLS: u.TLS(), ProxyHeader: u.ProxyHeader(), Spares: u.Spares(), SpareAge: u.SpareAge(),
	}
	if change != nil {
		change(&o)
	}
	v, err := pool.NewUpstream(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// joined opens a session and has it echo: a client has its answer before the
// relay knows it.
func (r *rig) joined() *peer {
	r.t.Helper()
	c, _ := r.reached()
	c.send(masked(textFrame, "there"))
	c.wants(textFrame, "there")
	return c
}
