package proxy

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
)

// TestApplyUnderLoad is fault 25: a hundred reloads in a row, each of which
// changes everything that can be changed in place, while 300 sessions echo. None
// of them ends, no new one is refused, and nothing is left behind.
func TestApplyUnderLoad(t *testing.T) {
	balanced(t)
	const sessions, reloads = 300, 100
	echoer := newEchoer(t, "east")
	r := start(t, stay,
		member{name: "east", address: echoer.address(), health: new(mood).judged()},
		member{name: "west", address: echoer.address(), role: pool.Secondary, health: new(mood).judged()})
	open := make([]*visitor, sessions)
	for i := range open {
		v, err := r.greet("/chat")
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		open[i] = v
	}
	working := goroutines()
	totals := r.upstream("east").Totals()

	stop := make(chan struct{})
	stopped := func() bool {
		select {
		case <-stop:
			return true
		default:
			return false
		}
	}
	var echoed, came atomic.Int64
	var load sync.WaitGroup
	const busy = 6
	for i := range busy {
		load.Go(func() { // each echoes over its own part of the sessions in turn
			for !stopped() {
				for n := i; n < sessions; n += busy {
					_, err := open[n].Write(masked(textFrame, "still there"))
					if err = errors.Join(err, open[n].frame(textFrame)); err != nil {
						t.Errorf("session %d: %v", n, err)
						return
					}
					echoed.Add(1)
				}
			}
		})
	}
	load.Go(func() { // new ones come and go
		for !stopped() {
			v, err := r.greet("/chat")
			if err != nil {
				t.Errorf("a new session: %v", err)
				return
			}
			v.Close()
			came.Add(1)
		}
	})

	for i := range reloads {
		r.reloadAll(t, i)
		if i%10 == 9 { // no faster than the load
			seen := echoed.Load()
			until(t, "the load to go on", func() bool { return echoed.Load() >= seen+busy || t.Failed() })
		}
	}
	close(stop)
	load.Wait()
	for n, v := range open {
		_, err := v.Write(masked(textFrame, "and at the end"))
		if err = errors.Join(err, v.frame(textFrame)); err != nil {
			t.Fatalf("session %d: %v", n, err)
		}
	}
	until(t, "those who came and went to have ended", func() bool { return r.Sessions() == sessions })
	if len(r.Drains().List())+len(r.Leaving()) != 0 {
		t.Errorf("drains %+v, leaving %v", r.Drains().List(), names(r.Leaving()))
	}
	if now := r.upstream("east").Totals().Sessions; now < totals.Sessions || r.Totals().Refused != 0 {
		t.Errorf("%d sessions counted, %d before; %+v", now, totals.Sessions, r.Totals())
	}
	if !within(patience, func() bool { return goroutines() <= working }) {
		t.Errorf("%d goroutines work after %d reloads, %d before", goroutines(), reloads, working)
	}
}

// goroutines counts those of this process, but for those of the HTTP server that
// have nothing to do and wait for their end.
func goroutines() int {
	stacks := make([]byte, 1<<20)
	for n := len(stacks); n == len(stacks); {
		stacks = make([]byte, 2*len(stacks))
		n = runtime.Stack(stacks, true)
	}
	count := 0
	for one := range bytes.SplitSeq(bytes.TrimRight(stacks, "\x00"), []byte("\n\n")) {
		if !bytes.Contains(one, []byte("fasthttp.(*workerPool)")) {
			count++
		}
	}
	return count
}

// reloadAll replaces every upstream and its checker, turns the routes around and
// changes limits and time-outs.
func (r *rig) reloadAll(t testing.TB, i int) {
	t.Helper()
	var next []*pool.Upstream
	for _, u := range r.Upstreams() {
		judged := new(mood).judged()
		judged.Replaces, judged.Hold = u.Checker(), time.Duration(i)*time.Millisecond
		checker, err := health.New(u.Name(), judged)
		if err != nil {
			t.Fatal(err)
		}
		next = append(next, become(t, u, func(o *pool.Options) {
			o.Checker, o.Weight, o.MaxSessions = checker, 1+i%3, 1000+i
		}))
	}
	if i%2 == 0 {
		slices.Reverse(next)
	}
	routes := []Route{{Path: "/chat", Set: set(t, next...)}, {Set: set(t, next[:1]...)}}
	if i%3 == 0 {
		routes = append([]Route{{Path: "/other", Set: set(t, next[1:]...)}}, routes...)
	}
	r.change(func(o *Options) {
		o.Upstreams, o.Routes = next, routes
		o.Limits.Sessions, o.Limits.HandshakesPerSecond = 1000+i, 100_000*(i%2)
		o.Limits.HeaderTimeout += time.Millisecond
		o.Relay.MaxFrame = int64(1<<20 + i)
	})
}

// TestApplyConcurrently: reloads that come together are done one after the other.
func TestApplyConcurrently(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	f := r.gather(5, "/chat")
	crowd(8, 10, func(i int) {
		o := r.options()
		o.Limits.Sessions = 100 + i
		if err := r.Apply(o); err != nil {
			t.Error(err)
		}
		_ = r.Upstreams()
		_ = r.Leaving()
		_ = r.Ready()
	})
	f.untouched()
}

// TestApplyBeforeRun: a router that does not run yet runs with what it was given
// last.
func TestApplyBeforeRun(t *testing.T) {
	balanced(t)
	m := new(mood)
	judged := m.judged()
	judged.InitialUp = false
	r := prepare(t, stay, member{name: "east", address: refusingAddress(t)})
	r.only(member{name: "west", address: newEchoer(t, "west").address(), health: judged}.build(t))
	if list := r.Leaving(); len(list) != 0 {
		t.Errorf("leaving %v", names(list))
	}
	r.begin()
	until(t, "west to be probed", r.upstream("west").Healthy)
	r.wantNew("west")
	r.stop()
}

// TestApplyDuringEnd: reloads go on while the router ends, and after it, and
// neither disturbs the other.
func TestApplyDuringEnd(t *testing.T) {
	balanced(t)
	rounds := 10
	if raceEnabled || testing.Short() {
		rounds = 6
	}
	for range rounds {
		r := start(t, stay, member{name: "east", address: newEchoer(t, "east").address(), health: new(mood).judged()})
		v, err := r.greet("/chat")
		if err != nil {
			t.Fatal(err)
		}
		east := r.upstream("east")
		done := make(chan struct{})
		var group sync.WaitGroup
		group.Go(func() {
			defer v.Close()
			if err := v.frame(closeFrame); err != nil {
				t.Error(err)
			}
		})
		for range 2 {
			group.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-done:
						return
					default:
					}
					added := member{name: "added", address: east.URL().Host, health: new(mood).judged()}.build(t)
					o := stay
					o.Upstreams, o.Routes = []*pool.Upstream{east, added}, []Route{{Set: set(t, east, added)}}
					if err := r.Apply(o); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		r.stop()
		close(done)
		group.Wait()
	}
}

// TestApplyLimits: limits and time-outs hold for those who come from then on, and
// the relay's for all.
func TestApplyLimits(t *testing.T) {
	t.Parallel()
	s := newStub(t, func(c *stubConn) {
		if c.accept() {
			c.pong()
		}
	})
	r := start(t, Options{}, member{address: s.address()})
	c := r.ask(goodHead)
	c.upgraded()

	r.change(func(o *Options) {
		o.Limits.Sessions = 1
		o.Relay.PingInterval, o.Relay.PingTimeout = soon, patience
	})
	r.ask(goodHead).refusedBy(t, 503)
	r.change(func(o *Options) { o.Limits.HeaderTimeout = soon })
	r.ask(goodHead[:30]).refused(goodHead[:30], 408)
	f := c.frame() // the session was opened without pings
	if f.first != pingFrame {
		t.Errorf("got %v", f)
	}
	c.send(masked(pongFrame, f.payload))

	r.change(func(o *Options) {
		o.Limits.Sessions = 0
		o.Relay.PingInterval, o.Relay.PingTimeout = -1, 0
		o.Relay.IdleTimeout = soon
	})
	for f = c.frame(); f.first == pingFrame; f = c.frame() {
		c.send(masked(pongFrame, f.payload))
	}
	if f.first != closeFrame || f.payload != status(1001, "idle") {
		t.Errorf("got %v", f)
	}
	c.Close()
}

// TestApplySlowHead: a client that was slow with its head while a reload came is
// served by the upstreams that there are by then.
func TestApplySlowHead(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	east, west := r.upstream("east"), r.upstream("west")
	r.change(func(o *Options) { o.Routes = []Route{{Path: "/other", Set: set(t, east, west)}} })
	slow := r.ask(goodHead[:30])
	until(t, "the slow client to be accepted", func() bool { return r.counters.atGate.Load() == 1 })
	apart() // it is being read by then
	r.only(west)
	slow.say(goodHead[30:])
	if got := slow.upgraded().Header.Get("X-Upstream"); got != "west" {
		t.Errorf("reached %q, which had been removed", got)
	}
	slow.Close()
	until(t, "east to be empty", func() bool { return east.Sessions() == 0 })
}

// TestApplyBelated: a handshake under way with an upstream that is removed ends
// there. Its session must not stay.
func TestApplyBelated(t *testing.T) {
	t.Parallel()
	b := newBelated(t, stay)
	east := b.upstream("east")
	late := b.begins()
	b.only(b.upstream("west"))
	// The drain, if there is one, has looked.
	within(2*soon, func() bool {
		list := b.Drains().List()
		return len(list) > 0 && list[0].State == drain.Done
	})
	b.goesOn()
	_ = late.SetDeadline(time.Now().Add(leeway))
	late.upgraded()
	late.wants(closeFrame, status(1012, upstreamRemoved))
	late.send(masked(closeFrame, status(1012, "")))
	late.Close()
	until(t, "nobody to be leaving", func() bool { return east.Sessions() == 0 && len(b.Leaving()) == 0 })
}

// TestNewChecksAll: what cannot work is found before anything runs.
func TestNewChecksAll(t *testing.T) {
	t.Parallel()
	u := member{address: "127.0.0.1:1"}.build(t)
	good := Options{Upstreams: []*pool.Upstream{u}, Routes: []Route{{Set: set(t, u)}}}
	if err := Check(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"close code 1005":      func(o *Options) { o.Failback.Code = 1005 },
		"order 9":              func(o *Options) { o.Failback.Order = 9 },
		"then 9":               func(o *Options) { o.Failback.Then = 9 },
		"reason has 124 bytes": func(o *Options) { o.Failback.Reason = string(make([]byte, 124)) },
		"rate 100001":          func(o *Options) { o.Failback.Rate = drain.MaxRate + 1 },
		"rate 100002":          func(o *Options) { o.Down.Rate = drain.MaxRate + 2 },
		"rate 100003":          func(o *Options) { o.Scale.Rate = drain.MaxRate + 3 },
	} {
		o := good
		change(&o)
		if err := Check(o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
