package proxy

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
)

const upstreamRemoved = "upstream removed"

// TestApplyUntouched: upstreams that stay what they were, or only get other
// settings, keep their sessions and their counters.
func TestApplyUntouched(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	f := r.gather(5, "/chat")
	east, west := r.upstream("east"), r.upstream("west")
	r.falls()
	g := r.gather(3, "/chat")
	g.wantAt("west")
	r.rises()
	totals := east.Totals()

	r.change(func(*Options) {}) // the same
	f.untouched()
	r.change(func(o *Options) { o.Limits.Sessions = 100 })
	f.untouched()

	heavier := become(t, east, func(o *pool.Options) { o.Weight, o.MaxSessions = 7, 5 })
	r.only(heavier, west)
	if got := r.upstream("east"); got != heavier || got.Sessions() != 5 || got.Totals() != totals {
		t.Errorf("%d sessions, totals %+v, want 5, %+v", got.Sessions(), got.Totals(), totals)
	}
	r.wantNew("west") // east is full now
	f.untouched()
	g.untouched()

	// Both change their roles, and back.
	r.only(become(t, heavier, func(o *pool.Options) { o.Role, o.MaxSessions = pool.Secondary, 0 }),
		become(t, west, func(o *pool.Options) { o.Role = pool.Primary }))
	r.wantNew("west")
	f.untouched()
	f.wantAt("east")
	g.untouched()
	r.only(east, west)
	r.wantNew("east")
	f.untouched()
	g.untouched()
	f.leave()
	until(t, "the places to be given back", func() bool { return east.Sessions() == 0 && heavier.Sessions() == 0 })
	if list := r.Leaving(); len(list) != 0 {
		t.Errorf("leaving %v", names(list))
	}
	if list := r.Drains().List(); len(list) != 0 {
		t.Errorf("drains %+v", list)
	}
}

// TestApplyRoles: sessions of an upstream that has become the worse one are led
// to the better one, if sessions are led at all.
func TestApplyRoles(t *testing.T) {
	t.Parallel()
	r := newPair(t, Options{}, nil)
	f := r.gather(4, "/chat")
	r.only(become(t, r.upstream("east"), func(o *pool.Options) { o.Role = pool.Secondary }),
		become(t, r.upstream("west"), func(o *pool.Options) { o.Role = pool.Primary }))
	s := endsAs(t, r.drainOf(drain.Failback), drain.Done)
	f.moved("west", movedToPrimary)
	if s.Upstream != "east" || s.Asked != 4 {
		t.Errorf("status %+v", s)
	}
}

// TestApplyAdds: an upstream that is added gets sessions when it is healthy, and
// both that, and that it takes too long, is logged.
func TestApplyAdds(t *testing.T) {
	t.Parallel()
	var l log
	o := stay
	o.Logger, o.Scale.Timeout = l.at(slog.LevelInfo), soon
	west := member{name: "west", address: newEchoer(t, "west").address(), role: pool.Secondary}
	r := start(t, o, west)
	f := r.gather(3, "/chat")
	m := new(mood)
	m.down.Store(true)
	judged := m.judged()
	judged.InitialUp = false
	east := member{name: "east", address: newEchoer(t, "east").address(), health: judged}.build(t)
	r.only(east, r.upstream("west"))
	r.wantNew("west")
	until(t, "the error about it", func() bool { return strings.Contains(l.String(), `level=ERROR msg="added upstream is not healthy"`) })
	if got := l.String(); !strings.Contains(got, "upstream=east after=250ms reason=\"first probe failed: gone\"") || strings.Contains(got, `msg="added upstream" `) {
		t.Errorf("logged:\n%s", got)
	}
	m.rises(t, east)
	r.wantNew("east")
	until(t, "the word about it", func() bool {
		return strings.Contains(l.String(), `level=INFO msg="added upstream" upstream=east after=`)
	})
	if got := l.String(); strings.Count(got, "added upstream") != 2 {
		t.Errorf("logged:\n%s", got)
	}
	f.untouched()

	// What is healthy at once is told at once; what is removed again is not told of.
	south := member{name: "south", address: newEchoer(t, "south").address()}.build(t)
	never := member{name: "never", address: refusingAddress(t), health: judged}.build(t)
	r.only(east, r.upstream("west"), south, never)
	until(t, "south to be told of", func() bool { return strings.Contains(l.String(), "upstream=south after=") })
	r.only(east, r.upstream("west"), south)
	if got := l.String(); !strings.Contains(got, `msg="removed upstream" upstream=never sessions=0`) {
		t.Errorf("logged:\n%s", got)
	}
}

// TestApplyTakesBack: an upstream that was removed and comes back is probed again.
func TestApplyTakesBack(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	east, west := r.upstream("east"), r.upstream("west")
	for range 2 {
		r.only(west)
		r.wantNew("west")
		r.only(east, west)
		r.falls()
		r.wantNew("west")
		r.rises()
		r.wantNew("east")
	}
}

// TestApplyRemoves: the sessions of an upstream that is removed are closed at the
// rate, while there is another place. It is leaving until the last has ended.
func TestApplyRemoves(t *testing.T) {
	t.Parallel()
	const sessions, rate = 40, 30
	o := stay
	o.Scale.Rate = rate
	r := newPair(t, o, nil)
	east, west := r.upstream("east"), r.upstream("west")
	f := r.gather(sessions, "/chat")
	r.only(west)
	if got := names(r.Upstreams()); !slices.Equal(got, []string{"west"}) {
		t.Errorf("upstreams %v", got)
	}
	if list := r.Leaving(); len(list) != 1 || list[0] != east {
		t.Errorf("leaving %v", names(list))
	}
	r.wantNew("west")
	d := r.drainOf(drain.Removed)
	s := endsAs(t, d, drain.Done)
	f.moved("west", upstreamRemoved)
	f.checkRate(rate)
	if s.Upstream != "east" || s.Asked != sessions || s.Deadline.Sub(s.Began) != 5*time.Minute {
		t.Errorf("status %+v", s)
	}
	until(t, "nobody to be leaving", func() bool { return len(r.Leaving()) == 0 })
	if n := east.Sessions(); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	var unknown *UnknownUpstream
	if err := r.Enable("east"); !errors.As(err, &unknown) {
		t.Errorf("enable: %v", err)
	}
	if _, _, err := r.Drain(drain.Plan{Selection: all("east")}); !errors.As(err, &unknown) {
		t.Errorf("drain: %v", err)
	}
}

// TestApplyRemovesTheLastRefuge: where there is no other place, sessions go on
// until the time is over.
func TestApplyRemovesTheLastRefuge(t *testing.T) {
	t.Parallel()
	o := stay
	o.Scale.Timeout = 6 * soon
	r := newPair(t, o, nil)
	c := r.joined()
	r.upstream("west").Checker().Suspend(time.Hour, "")
	removed := time.Now()
	r.only(r.upstream("west"))
	d := r.drainOf(drain.Removed)
	comesTo(t, d, drain.Waiting)
	c.send(masked(textFrame, "still there"))
	c.wants(textFrame, "still there")
	c.wants(closeFrame, status(1012, upstreamRemoved))
	if took := time.Since(removed); took < 6*soon {
		t.Errorf("closed after %v", took)
	}
	if list := r.Leaving(); len(list) != 1 {
		t.Errorf("leaving %v", names(list))
	}
	c.send(masked(closeFrame, status(1012, "")))
	c.eof()
	c.Close()
	endsAs(t, d, drain.Expired)
	until(t, "nobody to be leaving", func() bool { return len(r.Leaving()) == 0 })
}

// TestApplyRemovesDuringDrain: what an operator had asked for is overtaken.
func TestApplyRemovesDuringDrain(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	f := r.gather(4, "/chat")
	d, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.only(r.upstream("west"))
	if s := endsAs(t, d, drain.Cancelled); s.Why != "the upstream was removed" {
		t.Errorf("status %+v", s)
	}
	endsAs(t, r.drainOf(drain.Removed), drain.Done)
	until(t, "all to be elsewhere", func() bool { return f.at("west") == 4 })
	if n := f.count(func(x *follower) bool { return len(x.farewells) != 1 }); n != 0 {
		t.Errorf("%d were not asked once: %v", n, f.farewells())
	}
}

// TestApplyNameAgain: another instance takes the name of one that is still
// leaving. They are two.
func TestApplyNameAgain(t *testing.T) {
	t.Parallel()
	o := stay
	o.Scale.Rate = 1
	r := newPair(t, o, nil)
	old, west := r.upstream("east"), r.upstream("west")
	f := r.gather(3, "/chat")
	other := newEchoer(t, "the other east")
	east := member{name: "east", address: other.address()}.build(t)
	r.only(east, west)
	r.wantNew("the other east")
	g := r.gather(3, "/other")
	g.wantAt("the other east")
	if list := r.Leaving(); len(list) != 1 || list[0] != old || east.Same(old) {
		t.Errorf("leaving %v", names(list))
	}
	d := r.drainOf(drain.Removed)
	until(t, "the first to be asked", func() bool { return d.Status().Asked > 0 })

	// An operator means the one that there is.
	if err := r.Disable("east", "test", false); err != nil {
		t.Fatal(err)
	}
	if _, disabled := old.Disabled(); disabled {
		t.Error("the one that is leaving was disabled")
	}
	if err := r.Enable("east"); err != nil {
		t.Fatal(err)
	}
	some, _, err := r.Drain(drain.Plan{Selection: drain.Selection{Upstream: "east", Path: "/other", Count: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if s := endsAs(t, some, drain.Done); s.Asked != 1 {
		t.Errorf("status %+v", s)
	}
	until(t, "who was asked to be back", func() bool { return len(g.farewells()) == 1 && g.at("") == 0 })

	endsAs(t, d, drain.Done)
	f.moved("the other east", upstreamRemoved)
	g.wantAt("the other east")
	if n := len(g.farewells()); n != 1 {
		t.Errorf("%d of the new one's sessions were closed", n)
	}
	if n := len(r.Leaving()); n != 0 {
		t.Errorf("%d are leaving", n)
	}
}

// TestApplyBadOptions: everything is as it was, and the error names all.
func TestApplyBadOptions(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	f := r.gather(3, "/chat")
	before, east, west := r.world.Load(), r.upstream("east"), r.upstream("west")
	twin := member{name: "east", address: refusingAddress(t)}.build(t)
	for name, row := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"nothing": {func(o *Options) { *o = Options{} }, []string{"no upstream", "no route"}},
		"two mistakes": {func(o *Options) {
			o.Upstreams = []*pool.Upstream{east, west, twin}
			o.Routes = []Route{{Path: "chat", Set: set(t, east)}, {}}
		}, []string{`two upstreams are called "east"`, `route 1: path "chat"`, "route 2: no upstream set"}},
		"a stranger":  {func(o *Options) { o.Routes = []Route{{Set: set(t, twin)}} }, []string{`route 1: upstream "east" is not among`}},
		"one removed": {func(o *Options) { o.Upstreams = []*pool.Upstream{west} }, []string{`upstream "east" is not among`}},
	} {
		o := r.options()
		o.Limits.Sessions, o.Relay.PingInterval, o.Failback.Stay = 1, time.Millisecond, false
		row.change(&o)
		err := r.Apply(o)
		if err == nil {
			t.Fatalf("%s: applied", name)
		}
		for _, want := range row.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in %v", name, want, err)
			}
		}
		if r.world.Load() != before {
			t.Fatalf("%s: the world has changed", name)
		}
	}
	if o := r.relay.Options(); o.PingInterval != 0 {
		t.Errorf("the relay has changed: %+v", o)
	}
	f.untouched()
	r.wantNew("east")
	if len(r.Drains().List())+len(r.Leaving()) != 0 {
		t.Error("something has begun")
	}
}

// TestApplyRoutes: routes come, go and change places, and sessions of theirs go
// on.
func TestApplyRoutes(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	east, west := r.upstream("east"), r.upstream("west")
	route := func(path string, upstreams ...*pool.Upstream) Route {
		return Route{Path: path, Set: set(t, upstreams...)}
	}
	apply := func(routes ...Route) { r.change(func(o *Options) { o.Routes = routes }) }
	wants := func(path, want string) {
		t.Helper()
		c := r.ask(asking(path))
		defer c.Close()
		if a := c.answer(); a.Header.Get("X-Upstream") != want {
			t.Errorf("%s: got %s from %q, want %q", path, a.Status, a.Header.Get("X-Upstream"), want)
		}
	}
	apply(route("/a", east, west), route("/b", west))
	a, b := r.gather(3, "/a"), r.gather(3, "/b")
	a.wantAt("east")
	b.wantAt("west")
	wants("/c", "")

	apply(route("/c", east), route("/b", west), route("/a", west)) // more, reordered, another set
	wants("/a", "west")
	wants("/b", "west")
	wants("/c", "east")
	apply(route("/b", west)) // fewer
	wants("/a", "")
	wants("/b", "west")
	wants("/c", "")
	a.untouched()
	b.untouched()
	apply(route("/b", east, west), route("/", west), route("/b", west))
	wants("/a", "west")
	wants("/b", "east")
	a.untouched()
	b.untouched()

	// Their sessions are led home by the routes that there are.
	r.change(func(o *Options) { o.Failback.Stay = false })
	endsAs(t, r.drainOf(drain.Failback), drain.Done)
	b.moved("east", movedToPrimary)
	a.untouched()
}

// TestApplyRouteAgain: a route that was away for a while is still the route of
// the sessions that it has opened.
func TestApplyRouteAgain(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	r.falls()
	f := r.gather(2, "/a")
	f.wantAt("west")
	routes := r.options().Routes
	r.change(func(o *Options) { o.Routes = []Route{{Path: "/b", Set: routes[0].Set}} })
	r.change(func(o *Options) { o.Routes = routes })
	f.untouched()
	r.rises()
	r.change(func(o *Options) { o.Failback.Stay = false })
	if !within(leeway, func() bool { return f.at("east") == 2 }) {
		t.Fatalf("%d of 2 are still at west, where a drain does not see them: %+v", f.at("west"), r.Drains().List())
	}
	f.moved("east", movedToPrimary)
}

// TestApplyRouteGone: sessions of a route that is gone find their places by the
// others.
func TestApplyRouteGone(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	west := r.upstream("west")
	r.change(func(o *Options) { o.Routes = append([]Route{{Path: "/a", Set: set(t, o.Upstreams...)}}, o.Routes...) })
	f := r.gather(3, "/a")
	f.wantAt("east")
	r.only(west)
	endsAs(t, r.drainOf(drain.Removed), drain.Done)
	f.moved("west", upstreamRemoved)
}
