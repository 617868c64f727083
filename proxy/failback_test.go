package proxy

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
)

const movedToPrimary = "moved to primary"

// TestFailback is the way home, fault 9: a recovered primary is held, then gets
// the new sessions, and then those that were opened on the secondary, at the
// rate and each once.
func TestFailback(t *testing.T) {
	t.Parallel()
	const sessions, rate = 150, 100
	east, _, members := eastAndWest(t)
	members[0].health = probed(t, east)
	members[0].health.Hold, members[0].health.Jitter = time.Second, -1
	if err := east.Refuse(false); err != nil {
		t.Fatal(err)
	}
	r := start(t, Options{Failback: Failback{Rate: rate}}, members...)
	u := r.upstream("east")
	until(t, "east to be down", func() bool { return u.Checker().Status().State == health.Open })
	f := r.gather(sessions, "/chat")
	f.wantAt("west")

	if err := east.Restore(); err != nil {
		t.Fatal(err)
	}
	until(t, "east to be up", u.Healthy)
	home := u.Checker().Status().HeldUntil
	for range 10 {
		if c, name := r.reached(); u.Checker().Held() && name != "west" {
			t.Errorf("a new session went to %q during the hold", name)
		} else {
			c.Close()
		}
	}
	until(t, "the end of the hold", func() bool { return !u.Checker().Held() })
	c, name := r.reached()
	if name != "east" {
		t.Errorf("after the hold a new session went to %q", name)
	}
	c.Close()

	d := r.drainOf(drain.Failback)
	s := endsAs(t, d, drain.Done)
	f.moved("east", movedToPrimary)
	f.checkRate(rate)
	if first := f.farewells()[0].at; first.Before(home) {
		t.Errorf("a session was closed %v before the end of the hold", home.Sub(first))
	}
	// Sessions of the hold may have been open still.
	if s.Upstream != "west" || s.Rate != rate || s.Asked < sessions || s.Asked != s.Gone || s.Left != 0 || s.Found < sessions {
		t.Errorf("status %+v", s)
	}
	until(t, "west to be empty", func() bool { return r.upstream("west").Sessions() == 0 })
}

// TestFailbackOrder: who goes first is as configured. When the first of the
// later group is asked, all of the earlier one have been.
func TestFailbackOrder(t *testing.T) {
	t.Parallel()
	for _, order := range []drain.Order{drain.IdleFirst, drain.OldestFirst, drain.Random} {
		t.Run(order.String(), func(t *testing.T) {
			t.Parallel()
			const each = 15
			r := newPair(t, Options{Failback: Failback{Order: order, Rate: 150, Code: 4001, Reason: "go"}}, nil)
			r.falls()
			old := r.gather(each, "/old")
			apart()
			young := r.gather(each, "/young")
			apart()
			old.echo() // the old are the active ones
			r.rises()
			d := r.drainOf(drain.Failback)
			s := endsAs(t, d, drain.Done)
			if s.Order != order || s.Code != 4001 || s.Reason != "go" || s.Asked != 2*each {
				t.Errorf("status %+v", s)
			}
			until(t, "all to be back", func() bool { return old.at("east") == each && young.at("east") == each })
			for _, bye := range append(old.farewells(), young.farewells()...) {
				if bye.code != 4001 || bye.reason != "go" {
					t.Errorf("farewell %+v", bye)
				}
			}
			late := young
			switch order {
			case drain.Random:
				return
			case drain.IdleFirst:
				late = old
			}
			for _, bye := range late.farewells() {
				if bye.asked <= each {
					t.Fatalf("one of the later group was closed when only %d had been asked", bye.asked)
				}
			}
		})
	}
}

// apart lets pass so much time that ages and idle times tell.
func apart() { within(50*time.Millisecond, func() bool { return false }) }

// TestFailbackStay: sessions stay where they are if that is wanted, and come home
// when it is wanted no more; switching it on again ends the drain.
func TestFailbackStay(t *testing.T) {
	t.Parallel()
	r := newPair(t, Options{Failback: Failback{Stay: true, Rate: 1}}, nil)
	r.falls()
	f := r.gather(4, "/chat")
	r.rises()
	if c, name := r.reached(); name != "east" {
		t.Errorf("a new session went to %q", name)
	} else {
		c.Close()
	}
	// As the leader does, whose next look may be a while away.
	newLeader(r.Proxy).failback(t.Context(), r.world.Load(), r.upstream("west"))
	if list := r.Drains().List(); len(list) != 0 {
		t.Fatalf("drains %+v", list)
	}
	f.untouched()

	r.change(func(o *Options) { o.Failback.Stay = false })
	d := r.drainOf(drain.Failback)
	until(t, "the first to be asked", func() bool { return d.Status().Asked > 0 })
	r.change(func(o *Options) { o.Failback.Stay = true })
	if s := endsAs(t, d, drain.Cancelled); s.Why != "failback is switched off" {
		t.Errorf("status %+v", s)
	}
	r.change(func(o *Options) { o.Failback.Stay, o.Failback.Rate = false, 50 })
	endsAs(t, r.drainOf(drain.Failback, d), drain.Done)
	f.moved("east", movedToPrimary)
}

// TestFailbackInFrame: a message that is half delivered is delivered, and the
// Close stands behind it.
func TestFailbackInFrame(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 64<<10)
	m, west := new(mood), newAccepter(t)
	r := start(t, Options{},
		member{name: "east", address: newEchoer(t, "east").address(), health: m.judged()},
		member{name: "west", address: west.address(), role: pool.Secondary})
	m.falls(t, r.upstream("east"))
	c, u := r.open(west)
	whole := plain(binaryFrame, long)
	u.send(whole[:len(whole)/2])
	c.skip(len(whole) / 2)
	m.rises(t, r.upstream("east"))
	d := r.drainOf(drain.Failback)
	until(t, "the session to be asked", func() bool { return d.Status().Asked == 1 })
	u.send(whole[len(whole)/2:], plain(textFrame, "and more"))
	c.skip(len(whole) - len(whole)/2)
	f := c.frame()
	if f.first == textFrame { // it may have been on its way
		f = c.frame()
	}
	if f.first != closeFrame || f.payload != status(1012, movedToPrimary) {
		t.Errorf("got %v", f)
	}
	c.send(masked(closeFrame, status(1012, "")))
	for f := u.frame(); f.first != closeFrame; f = u.frame() {
		t.Errorf("the upstream got %v", f)
	}
	u.Close()
	c.Close()
	endsAs(t, d, drain.Done)
}

// TestFailbackDeadline: the rest is left, or closed at once.
func TestFailbackDeadline(t *testing.T) {
	t.Parallel()
	for then, name := range map[drain.Then]string{drain.Leave: "leave", drain.CloseRest: "close"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const sessions = 8
			r := newPair(t, Options{Failback: Failback{Rate: 1, Deadline: soon, Then: then}}, nil)
			r.falls()
			f := r.gather(sessions, "/chat")
			r.rises()
			d := r.drainOf(drain.Failback)
			s := endsAs(t, d, drain.Expired)
			if then == drain.CloseRest {
				if s.Asked != sessions || s.Left != 0 {
					t.Errorf("status %+v", s)
				}
				f.moved("east", movedToPrimary)
				return
			}
			if s.Asked > 1 || s.Left < sessions-1 {
				t.Errorf("status %+v", s)
			}
			f.echo()
			if n := len(f.farewells()); n > 1 {
				t.Errorf("%d were closed", n)
			}
			if list := r.Drains().List(); len(list) != 1 {
				t.Errorf("what was left is not left alone: %+v", list)
			}
		})
	}
}

// TestFailbackInterrupted: the primary fails again when the drain is on its way.
// Nobody is sent there; when it is back, and its hold is over, the drain goes on.
func TestFailbackInterrupted(t *testing.T) {
	t.Parallel()
	const sessions, rate = 50, 40
	r := newPair(t, Options{Failback: Failback{Rate: rate}}, func(h *health.Options) { h.Hold = soon })
	r.falls()
	f := r.gather(sessions, "/chat")
	r.rises()
	d := r.drainOf(drain.Failback)
	until(t, "two fifths to be asked", func() bool { return d.Status().Asked >= sessions*2/5 })
	r.falls()
	asked := d.Status().Asked
	comesTo(t, d, drain.Waiting)
	s := d.Status()
	// Between the look and the ask, the breaker may have opened.
	if s.Asked > asked+1 || s.Asked == sessions || s.Why == "" {
		t.Errorf("%d were asked when the breaker opened; %+v", asked, s)
	}
	until(t, "those who were asked to be back", func() bool { return d.Status().Gone == s.Asked && len(f.farewells()) == s.Asked })
	within(leadEvery, func() bool { return d.Status().Asked != s.Asked })
	if now := d.Status().Asked; now != s.Asked {
		t.Errorf("%d were asked while the primary was down", now-s.Asked)
	}
	r.rises()
	up := r.upstream("east").Checker().Status()
	endsAs(t, d, drain.Done)
	until(t, "all to be home", func() bool { return f.at("east") == sessions })
	f.echo()
	for _, bye := range f.farewells() {
		if bye.asked > s.Asked && bye.at.Before(up.HeldUntil) {
			t.Errorf("closed %v before the end of the second hold", up.HeldUntil.Sub(bye.at))
		}
	}
	f.checkRate(rate)
	// A client that came back while the primary was down was sent home once more.
	if n := f.count(func(x *follower) bool { return x.lost > 0 || len(x.farewells) > 2 }); n != 0 {
		t.Errorf("%d clients were sent to and fro", n)
	}
	if list := r.Drains().List(); len(list) != 1 {
		t.Errorf("drains %+v", list)
	}
}

// TestFailbackOtherRoutes: sessions of a route that has nothing better are not
// touched, although others of the same upstream go home.
func TestFailbackOtherRoutes(t *testing.T) {
	t.Parallel()
	m := new(mood)
	east := member{name: "east", address: newEchoer(t, "east").address(), health: m.judged()}.build(t)
	west := member{name: "west", address: newEchoer(t, "west").address(), role: pool.Secondary}.build(t)
	r := start(t, Options{
		Upstreams: []*pool.Upstream{east, west},
		Routes:    []Route{{Path: "/only-west", Set: set(t, west)}, {Set: set(t, east, west)}},
	})
	m.falls(t, east)
	here, there := r.gather(6, "/only-west"), r.gather(6, "/chat")
	m.rises(t, east)
	s := endsAs(t, r.drainOf(drain.Failback), drain.Done)
	there.moved("east", movedToPrimary)
	here.untouched()
	if s.Asked != 6 || s.Found != 6 {
		t.Errorf("status %+v", s)
	}
}

// TestFailbackAfterRamp: nobody is sent home before home takes everybody.
func TestFailbackAfterRamp(t *testing.T) {
	t.Parallel()
	r := newPair(t, Options{}, func(h *health.Options) { h.Ramp = time.Second })
	r.falls()
	f := r.gather(10, "/chat")
	r.rises()
	full := r.upstream("east").Checker().Status().RampUntil
	endsAs(t, r.drainOf(drain.Failback), drain.Done)
	f.moved("east", movedToPrimary)
	if first := f.farewells()[0].at; first.Before(full) {
		t.Errorf("a session was closed %v before the end of the ramp", full.Sub(first))
	}
}

// TestFailbackCancelled: what an operator has ended is not begun again, until
// the primary has failed once more.
func TestFailbackCancelled(t *testing.T) {
	t.Parallel()
	var l log
	r := newPair(t, Options{Failback: Failback{Rate: 1}, Logger: l.at(slog.LevelInfo)}, nil)
	r.falls()
	r.gather(3, "/chat")
	r.rises()
	d := r.drainOf(drain.Failback)
	if _, err := r.CancelDrain(d.ID()); err != nil {
		t.Fatal(err)
	}
	endsAs(t, d, drain.Cancelled)
	again := func() bool { return len(r.Drains().List()) > 1 }
	if within(leadEvery*3/2, again) {
		t.Fatalf("drains %+v", r.Drains().List())
	}
	for !again() { // until the leader has seen it
		r.falls()
		within(leadEvery, func() bool { return false })
		r.rises()
		within(leadEvery, again)
	}
	next := r.drainOf(drain.Failback, d)
	r.change(func(o *Options) { o.Failback.Stay = true })
	endsAs(t, next, drain.Cancelled)
	if got := l.String(); strings.Contains(got, "level=ERROR") || strings.Count(got, "drain begins") != 2 {
		t.Errorf("logged:\n%s", got)
	}
}
