package proxy

import (
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pointsman/pointsman/pool"
)

// TestSparesFollowHealth: an upstream that takes no sessions, for whatever reason,
// has no spare connections, and nobody connects to it for that.
func TestSparesFollowHealth(t *testing.T) {
	balanced(t)
	m := new(mood)
	u := newUpward(t, false, 3, 0)
	u.health = m.judged()
	r := start(t, Options{}, u.member)
	east := r.upstream("east")
	for name, out := range map[string]struct{ leave, back func() }{
		"down":     {func() { m.falls(t, east) }, func() { m.rises(t, east) }},
		"disabled": {func() { east.Disable("test") }, east.Enable},
		"suspended": {func() { east.Checker().Suspend(time.Hour, "test") }, func() {
			east.Checker().Resume()
		}},
	} {
		r.wantSpares("east", 3)
		out.leave()
		r.wantSpares("east", 0)
		until(t, "those that were being opened", func() bool { return r.counters.spares.Load() == 0 })
		before := u.accepted.Load()
		// A look or two later there are still none.
		began := time.Now()
		until(t, "some looks", func() bool { return time.Since(began) > 2*spareLook })
		if n := u.accepted.Load(); n != before || east.SparesReady() != 0 {
			t.Errorf("%s: %d new connections, %d ready", name, n-before, east.SparesReady())
		}
		out.back()
	}
	r.wantSpares("east", 3)
}

// TestSparesFollowReload: what is the same keeps its spares, what has other
// settings gets new ones, and what has gone has none.
func TestSparesFollowReload(t *testing.T) {
	balanced(t)
	u := newUpward(t, true, 2, 0)
	r := start(t, Options{}, u.member)
	r.wantSpares("east", 2)
	before := u.wantAccepted(t, 2)
	east := r.upstream("east")
	r.change(func(o *Options) { o.Limits.Sessions = 100 })
	r.only(east)
	r.echoes().Close()
	if got := east.Totals(); got.SparesUsed != 1 || got.SparesWasted != 0 {
		t.Errorf("a reload that changes nothing: totals %+v", got)
	}
	r.wantSpares("east", 2)
	u.wantAccepted(t, int(before)+1)

	// Other settings of TLS: the old connections were opened without them.
	other := &tls.Config{RootCAs: u.tls.RootCAs, MinVersion: tls.VersionTLS13}
	next := become(t, east, func(o *pool.Options) { o.TLS = other })
	r.only(next)
	until(t, "the old ones to be closed", func() bool { return next.Totals().SparesWasted == 2 })
	r.wantSpares("east", 2)
	r.echoes().Close()
	until(t, "the use of a new one", func() bool { return next.Totals().SparesUsed == 2 })

	// Fewer, and none.
	r.only(become(t, next, func(o *pool.Options) { o.Spares = 1 }))
	r.wantSpares("east", 1)
	r.only(become(t, r.upstream("east"), func(o *pool.Options) { o.Spares = 0 }))
	r.wantSpares("east", 0)
	r.echoes().Close()

	// Again some, and then the upstream goes.
	r.only(become(t, r.upstream("east"), func(o *pool.Options) { o.Spares = 3 }))
	r.wantSpares("east", 3)
	gone := r.upstream("east")
	r.only(member{name: "west", address: newEchoer(t, "west").address()}.build(t))
	until(t, "those of who has gone to be closed", func() bool { return gone.SparesReady() == 0 })
}

// TestSparesAreGivenUp: clients get the descriptors of spare connections, all of
// them, and when they leave the spares come back.
func TestSparesAreGivenUp(t *testing.T) {
	balanced(t)
	u := newUpward(t, false, 8, 0)
	r := prepare(t, Options{Relay: quickClose}, u.member)
	const limit = 80
	r.files = files{limit: limit, most: limit + 8}
	r.begin()
	r.wantSpares("east", 8)
	var open []*peer
	east := r.upstream("east")
	for range limit/2 - 1 { // who comes takes up a third until it is in
		open = append(open, r.echoes())
		if r.files.short(r.filesUsed(), limit/sparesOpenAt) { // no more will be opened
			// One that is just being opened cannot be given up.
			until(t, "none to be opened", func() bool { return int(r.counters.spares.Load()) == east.SparesReady() })
		}
	}
	r.ask(goodHead).refusedBy(t, 503)
	if n := r.counters.spares.Load(); n != 0 {
		t.Errorf("%d spare connections while clients are turned away", n)
	}
	if got := east.Totals(); got.HandshakeFailures != 0 || !east.Healthy() {
		t.Errorf("totals %+v", got)
	}
	for _, c := range open {
		c.Close()
	}
	r.wantSpares("east", 8)
}

// TestSparesNeedMemory: from the low mark on there are none.
func TestSparesNeedMemory(t *testing.T) {
	balanced(t)
	u := newUpward(t, false, 2, 0)
	r := start(t, Options{}, u.member)
	r.wantSpares("east", 2)
	if residentMemory() == 0 {
		t.Skip("the system does not tell how much memory is in use")
	}
	r.change(func(o *Options) { o.Limits.MemoryHigh, o.Limits.MemoryLow = 1<<50, 1 })
	r.wantSpares("east", 0)
	r.echoes().Close() // sessions are taken
	r.change(func(o *Options) { o.Limits.MemoryHigh, o.Limits.MemoryLow = -1, 0 })
	r.wantSpares("east", 2)
}

// TestSparesOfFull: spares and sessions together are not more than an upstream
// takes.
func TestSparesOfFull(t *testing.T) {
	balanced(t)
	u := newUpward(t, false, 3, 0)
	u.max = 4
	r := start(t, Options{Relay: quickClose}, u.member)
	var open []*peer
	for i, want := range []int{3, 3, 2, 1, 0} {
		r.wantSpares("east", want)
		if n := u.wantAccepted(t, min(i+want, 4)); n > 4 {
			t.Errorf("%d connections with %d sessions", n, i)
		}
		if want > 0 {
			open = append(open, r.echoes())
		}
	}
	for _, c := range open {
		c.Close()
	}
	r.wantSpares("east", 3)
}

// TestSparesOfHalfOpen: an upstream that accepts and then says nothing gets few
// connections, and holds nobody up at the end.
func TestSparesOfHalfOpen(t *testing.T) {
	balanced(t)
	s := newStub(t, hold)
	var l log
	began := time.Now()
	r := start(t, Options{Failover: Failover{HandshakeTimeout: soon}, Logger: l.at(slog.LevelInfo)},
		member{address: s.address(), tls: &tls.Config{}, spares: 10})
	until(t, "the first to be given up", func() bool { return strings.Contains(l.String(), "spare connections are not kept") })
	until(t, "another one than the first", func() bool { return s.conns.Load() > sparesAtOnce })
	if took := time.Since(began); took < soon+sparePauseLeast/2 {
		t.Errorf("another one after %v", took)
	}
	if got := l.String(); !strings.Contains(got, "tls handshake with "+s.address()) || strings.Count(got, "spare connections") != 1 {
		t.Errorf("logged:\n%s", got)
	}
	u := r.upstream("east")
	if got := u.Totals(); got.HandshakeFailures != 0 || !u.Healthy() || u.SparesReady() != 0 {
		t.Errorf("totals %+v", got)
	}

	patiently := start(t, Options{}, member{address: s.address(), tls: &tls.Config{}, spares: 2})
	until(t, "handshakes of TLS to be under way", func() bool { return patiently.counters.spares.Load() == 2 })
	patiently.stop() // it would take the time-out of a handshake, which is longer than a test waits
}

// TestSparesEndAtOnce: as soon as the router takes no more sessions there are none,
// while the sessions take their time.
func TestSparesEndAtOnce(t *testing.T) {
	balanced(t)
	u := newUpward(t, false, 4, 0)
	r := start(t, Options{}, u.member)
	c := r.echoes()
	r.wantSpares("east", 4)
	r.cancel()
	r.wantSpares("east", 0)
	until(t, "none to be opened", func() bool { return r.counters.spares.Load() == 0 })
	select {
	case <-r.done:
		t.Error("the router ended before its session")
	default:
	}
	c.wantsClose(1001)
	c.Close()
}

// TestSparesWakeTheProbe: when spare connections end, a probe is asked for at once,
// which finds out what is the matter before a client does.
func TestSparesWakeTheProbe(t *testing.T) {
	balanced(t)
	m := new(mood)
	s := newAccepter(t)
	judged := m.judged()
	var probes atomic.Int64
	probe := judged.Probe
	judged.Probe = func(ctx context.Context) error {
		defer probes.Add(1)
		return probe(ctx)
	}
	judged.Interval = time.Hour // nobody probes unasked
	r := start(t, Options{}, member{address: s.address(), spares: 2, health: judged})
	r.wantSpares("east", 2)
	until(t, "the first probe", func() bool { return probes.Load() == 1 })
	m.down.Store(true)
	s.stop()
	until(t, "the upstream to be down", func() bool { return !r.upstream("east").Healthy() })
	r.wantSpares("east", 0)
}

// Pauses become longer and longer, up to a limit, and failures within one do not
// count. What happens when nobody wants spares any more is no failure.
func TestSparePauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prepare(t, Options{}, member{address: "127.0.0.1:1", spares: 1})
		k := r.world.Load().targets[r.upstream("east")].spares
		k.failed(context.Canceled)
		if !k.resume.IsZero() {
			t.Error("a pause after what was called off")
		}
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			want *= time.Second
			k.failed(errSpareLost)
			k.failed(errSpareLost)
			if left := time.Until(k.resume); k.pause != want || left < want/2 || left >= want {
				t.Errorf("pause %v, %v of it left, want %v", k.pause, left, want)
			}
			if k.wants() {
				t.Error("one is wanted in a pause")
			}
			time.Sleep(want)
			if !k.wants() {
				t.Error("none is wanted after the pause")
			}
		}
		r.stopping.Store(true)
		k.failed(errSpareLost)
		if time.Now().Before(k.resume) || k.wants() {
			t.Error("the end is taken for a failure, or not seen")
		}
	})
}

// Opening spares takes from the handshakes that an upstream admits only what
// clients leave.
func TestSparesLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a admission
		if !a.leftOver(0) {
			t.Error("no room where there is no limit")
		}
		const perSecond = 20
		asked, spares := 0, 0
		for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
			busy := time.Since(began) > 5*time.Second
			if busy { // a storm: twice as many as are admitted
				if _, ok := a.enter(perSecond); ok {
					asked++
				}
			}
			for a.leftOver(perSecond) {
				if spares++; busy && asked > 1 {
					t.Fatal("a spare took the place of a client")
				}
			}
		}
		if spares < 5*perSecond || spares > 5*perSecond+2 {
			t.Errorf("%d spares in 5 s of peace at %d/s", spares, perSecond)
		}
		if asked < 5*perSecond || asked > 6*perSecond+2 { // one second's worth waits
			t.Errorf("%d clients in 5 s at %d/s", asked, perSecond)
		}
	})
}

// TestSparesKeepTheRate: so do the connections that are really opened.
func TestSparesKeepTheRate(t *testing.T) {
	balanced(t)
	u := newUpward(t, false, 50, 0)
	u.rate = 20
	began := time.Now()
	r := start(t, Options{}, u.member)
	until(t, "some spares", func() bool { return r.upstream("east").SparesReady() >= 10 })
	n := u.accepted.Load()
	if most := 1 + 20*time.Since(began).Seconds(); float64(n) > most {
		t.Errorf("%d connections in %v at 20/s", n, time.Since(began))
	}
}
