package proxy

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
)

const upstreamDown = "upstream down"

// newTalker starts an upstream that echoes, and on the path /talk also says
// something by itself all the time. pause is the longest silence between that.
func newTalker(t testing.TB, name string) (s *stub, pause *atomic.Int64) {
	t.Helper()
	pause = new(atomic.Int64)
	s = newStub(t, func(c *stubConn) {
		if !c.reply(named101(name)) {
			return
		}
		quiet := make(chan struct{})
		defer close(quiet)
		if c.asked.URL.Path == "/talk" {
			go func() {
				tick := time.NewTicker(20 * time.Millisecond)
				defer tick.Stop()
				for last := time.Now(); ; {
					select {
					case <-tick.C:
					case <-quiet:
						return
					}
					if _, err := c.Write(plain(textFrame, "bla")); err != nil {
						return
					}
					pause.Store(max(pause.Load(), int64(time.Since(last))))
					last = time.Now()
				}
			}()
		}
		c.echo("/")
	})
	return s, pause
}

// downRig is a router whose primary east has sessions and then falls.
type downRig struct {
	pair
	pause           *atomic.Int64
	silent, talking *flock
	west            *mood
	down            time.Time // when east was found to be down
}

func newDownRig(t testing.TB, d Down, sessions int) *downRig {
	t.Helper()
	r := &downRig{west: new(mood)}
	east, pause := newTalker(t, "east")
	r.pause = pause
	r.pair.mood = new(mood)
	r.pair.rig = start(t, Options{Down: d, Failback: Failback{Stay: true}},
		member{name: "east", address: east.address(), health: r.pair.mood.judged()},
		member{name: "west", address: newEchoer(t, "west").address(), role: pool.Secondary, health: r.west.judged()})
	r.silent, r.talking = r.gather(sessions, "/silent"), r.gather(sessions, "/talk")
	r.silent.wantAt("east")
	r.talking.wantAt("east")
	return r
}

func (r *downRig) falls() {
	r.t.Helper()
	r.pair.falls()
	r.down = r.upstream("east").Checker().Status().Since
}

// notBefore checks that nobody was closed before the grace was over.
func (r *downRig) notBefore(f *flock, grace time.Duration) {
	r.t.Helper()
	for _, bye := range f.farewells() {
		if after := bye.at.Sub(r.down); after < grace {
			r.t.Errorf("closed after %v, the grace is %v", after, grace)
		}
	}
}

// TestDownKeep: of an upstream that is down, sessions that are silent are closed,
// and those that still get something are kept.
func TestDownKeep(t *testing.T) {
	t.Parallel()
	const sessions, grace = 6, 4 * soon
	r := newDownRig(t, Down{Grace: grace}, sessions)
	r.falls()
	d := r.drainOf(drain.Down)
	until(t, "the silent sessions to be elsewhere", func() bool { return r.silent.at("west") == sessions })
	r.silent.moved("west", upstreamDown)
	r.notBefore(r.silent, grace)
	s := d.Status()
	if s.Asked > sessions {
		// On a machine this slow a talker may have been silent.
		if longest := time.Duration(r.pause.Load()); longest < grace/2 {
			t.Errorf("those who talk were asked to leave, their longest pause is %v: %+v", longest, s)
		}
		return
	}
	if s.Cause != drain.Down || s.Upstream != "east" || s.Rate != 200 {
		t.Errorf("status %+v", s)
	}
	r.talking.echo()
	comesTo(t, d, drain.Waiting) // for others to fall silent
	r.rises()
	if s := endsAs(t, d, drain.Cancelled); s.Why != "the upstream is up again" || s.Asked != sessions {
		t.Errorf("status %+v", s)
	}
	r.talking.untouched()
	r.talking.wantAt("east")
}

// TestDownDrainAll: all are closed, at the rate.
func TestDownDrainAll(t *testing.T) {
	t.Parallel()
	const sessions, rate, grace = 20, 30, soon
	r := newDownRig(t, Down{Action: DrainAll, Grace: grace, Rate: rate}, sessions)
	all := &flock{r: r.rig, lag: r.silent.lag, all: append(r.silent.all, r.talking.all...)}
	r.falls()
	r.silent.moved("west", upstreamDown)
	r.talking.moved("west", upstreamDown)
	r.notBefore(r.silent, grace)
	r.notBefore(r.talking, grace)
	all.checkRate(rate)
	d := r.drainOf(drain.Down)
	comesTo(t, d, drain.Waiting)
	if s := d.Status(); s.Asked != 2*sessions || s.Gone != s.Asked {
		t.Errorf("status %+v", s)
	}
	r.rises()
	endsAs(t, d, drain.Cancelled)
}

// TestDownCloseAll: all are closed at once, which is no matter of a rate.
func TestDownCloseAll(t *testing.T) {
	t.Parallel()
	const sessions, grace = 20, soon
	r := newDownRig(t, Down{Action: CloseAll, Grace: grace, Rate: 1}, sessions)
	r.falls()
	r.silent.moved("west", upstreamDown)
	r.talking.moved("west", upstreamDown)
	r.notBefore(r.talking, grace)
	if s := r.drainOf(drain.Down).Status(); s.Rate != drain.MaxRate || s.Asked != 2*sessions {
		t.Errorf("status %+v", s)
	}
}

// TestDownRecovers: an upstream that is up again keeps the sessions that it has
// left.
func TestDownRecovers(t *testing.T) {
	t.Parallel()
	const sessions = 4
	r := newDownRig(t, Down{Action: DrainAll, Grace: soon, Rate: 1}, sessions)
	r.falls()
	d := r.drainOf(drain.Down)
	until(t, "the first to be asked", func() bool { return d.Status().Asked > 0 })
	r.rises()
	s := endsAs(t, d, drain.Cancelled)
	if s.Asked == 2*sessions || s.Why != "the upstream is up again" {
		t.Errorf("status %+v", s)
	}
	until(t, "those who were asked to be back", func() bool {
		return len(r.silent.farewells())+len(r.talking.farewells()) == s.Asked
	})
	r.silent.echo()
	r.talking.echo()
}

// TestDownShortly: within the grace nothing happens.
func TestDownShortly(t *testing.T) {
	t.Parallel()
	r := newDownRig(t, Down{Action: CloseAll, Grace: patience}, 2)
	r.falls()
	l := newLeader(r.Proxy)
	l.down(t.Context(), r.world.Load(), r.upstream("east"))
	if list := r.Drains().List(); len(list) != 0 {
		t.Errorf("drains %+v", list)
	}
	r.rises()
	r.silent.untouched()
	r.talking.untouched()
}

// TestDownWithoutRefuge: where there is no other place, nobody is sent away. It
// happens as soon as there is one.
func TestDownWithoutRefuge(t *testing.T) {
	t.Parallel()
	const sessions = 4
	r := newDownRig(t, Down{Action: CloseAll, Grace: soon}, sessions)
	r.west.falls(t, r.upstream("west"))
	r.falls()
	d := r.drainOf(drain.Down)
	comesTo(t, d, drain.Waiting)
	r.silent.untouched()
	r.talking.untouched()
	if s := d.Status(); s.Asked != 0 || s.Left != 2*sessions {
		t.Errorf("status %+v", s)
	}
	r.west.rises(t, r.upstream("west"))
	r.silent.moved("west", upstreamDown)
	r.talking.moved("west", upstreamDown)
}

// TestDownChanged: what shall happen is changed while it happens.
func TestDownChanged(t *testing.T) {
	t.Parallel()
	const sessions = 6
	r := newDownRig(t, Down{Action: DrainAll, Grace: soon, Rate: 1}, sessions)
	r.falls()
	d := r.drainOf(drain.Down)
	until(t, "the first to be asked", func() bool { return d.Status().Asked > 0 })
	r.change(func(o *Options) { o.Down.Rate = 500 })
	if !within(leeway, func() bool { return d.Status().Rate == 500 }) {
		t.Fatalf("the new rate is not heard of: %+v", d.Status())
	}
	until(t, "all to be elsewhere", func() bool { return r.silent.at("west")+r.talking.at("west") == 2*sessions })
}

// TestDownActionChanged: sessions that were to be kept are to be closed now.
func TestDownActionChanged(t *testing.T) {
	t.Parallel()
	const sessions = 3
	r := newDownRig(t, Down{Grace: 4 * soon}, sessions)
	r.falls()
	r.silent.moved("west", upstreamDown)
	r.change(func(o *Options) { o.Down.Action = CloseAll })
	if !within(leeway, func() bool { return r.talking.at("west") == sessions }) {
		t.Errorf("%d of %d are still with the upstream that is down: %+v", sessions-r.talking.at("west"), sessions, r.Drains().List())
	}
}

// TestBothDown is fault 10: who comes is told so at once, and asked to come back
// at different times. It passes by itself.
func TestBothDown(t *testing.T) {
	t.Parallel()
	r := newPair(t, Options{}, nil)
	u := r.upstream("west")
	u.Checker().Suspend(time.Hour, "")
	r.falls()
	if r.Ready() {
		t.Error("ready")
	}
	for range 20 {
		began := time.Now()
		r.ask(goodHead).refusedBy(t, 503)
		if took := time.Since(began); took > leeway {
			t.Errorf("a refusal took %v", took)
		}
	}
	failures := r.upstream("east").Totals().HandshakeFailures + u.Totals().HandshakeFailures
	if failures != 0 {
		t.Errorf("%d handshakes with upstreams that are down", failures)
	}
	u.Checker().Resume()
	c, name := r.reached()
	if name != "west" || !r.Ready() {
		t.Errorf("reached %q, ready %v", name, r.Ready())
	}
	c.Close()
}

// TestHeldAndNobodyElse: nobody is turned away because of a hold.
func TestHeldAndNobodyElse(t *testing.T) {
	t.Parallel()
	r := newPair(t, Options{}, func(h *health.Options) { h.Hold = time.Hour })
	east, west := r.upstream("east"), r.upstream("west")
	r.falls()
	r.rises()
	wants := func(why, want string) {
		t.Helper()
		c, name := r.reached()
		defer c.Close()
		if name != want {
			t.Errorf("%s: reached %q, want %q", why, name, want)
		}
	}
	if !east.Checker().Held() {
		t.Fatal("east is not held")
	}
	wants("a held primary beside a good secondary", "west")
	west.Checker().Suspend(time.Hour, "")
	if !r.Ready() {
		t.Error("not ready, although a held upstream would take sessions")
	}
	wants("a held primary alone", "east")
	west.Checker().Resume()
	wants("a held primary again", "west")
	r.falls()
	wants("a secondary alone", "west")
}
