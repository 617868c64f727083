package proxy

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pointsman/pointsman/pool"
)

// counter is an upstream that notes when handshakes come to it, and echoes.
type counter struct {
	*stub
	mu    sync.Mutex
	times []time.Time
}

func newCounter(t testing.TB, name string) *counter {
	t.Helper()
	c := new(counter)
	c.stub = newStub(t, func(conn *stubConn) {
		if !conn.readHead() {
			return
		}
		c.mu.Lock()
		c.times = append(c.times, time.Now())
		c.mu.Unlock()
		if conn.reply(named101(name)) {
			conn.echo("/")
		}
	})
	return c
}

// came returns when handshakes have come.
func (c *counter) came() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	times := slices.Clone(c.times)
	slices.SortFunc(times, time.Time.Compare)
	return times
}

// storm lets n clients come at once, each once. It returns how many reached each
// upstream, and how many were refused.
func (r *rig) storm(n int) (reached map[string]int, refused []*http.Response) {
	r.t.Helper()
	var mu sync.Mutex
	reached = make(map[string]int)
	open := make([]*visitor, n) // before anybody asks
	for i := range open {
		v, err := r.visit("")
		if err != nil {
			r.t.Fatal(err)
		}
		defer v.Close()
		open[i] = v
	}
	var group sync.WaitGroup
	for _, v := range open {
		group.Go(func() {
			_, err := v.Write([]byte(goodHead))
			var a *http.Response
			if err == nil {
				a, err = v.head()
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				r.t.Errorf("a client got no answer: %v", err)
			case a.StatusCode == 101:
				reached[a.Header.Get("X-Upstream")]++
			default:
				refused = append(refused, a)
			}
		})
	}
	group.Wait()
	return reached, refused
}

// checkAdmitted checks that no second saw more handshakes than the rate and its
// burst.
func (c *counter) checkAdmitted(t testing.TB, rate int, late *lag) {
	t.Helper()
	checkRate(t, c.came(), rate+burst(rate), late)
}

// checkTurn checks that a client was told so, and when its turn is, in seconds.
func checkTurn(t testing.TB, a *http.Response, most int) int {
	t.Helper()
	again, err := strconv.Atoi(a.Header.Get(retryAfter))
	if a.StatusCode != 503 || !a.Close || err != nil || again < 1 || again > most {
		t.Errorf("got %s, %s %q, want 503 and at most %d", a.Status, retryAfter, a.Header.Get(retryAfter), most)
	}
	return again
}

// TestHandshakesPerSecond: of a crowd, a listener admits a burst and as many as
// the rate allows in the next second. The others are told when their turn is.
// Nothing else is kept waiting.
func TestHandshakesPerSecond(t *testing.T) {
	t.Parallel()
	const clients, rate = 200, 40
	east := newCounter(t, "east")
	var probes atomic.Int64
	judged := new(mood).judged()
	probe := judged.Probe
	judged.Probe = func(ctx context.Context) error { probes.Add(1); return probe(ctx) }
	r := start(t, Options{Limits: Limits{HandshakesPerSecond: rate}}, member{name: "east", address: east.address(), health: judged})
	late := watchLag(t)
	began, before := time.Now(), probes.Load()
	reached, refused := r.storm(clients)
	more, sorry := r.storm(clients)
	took := time.Since(began)
	reached["east"] += more["east"]
	if most := rate + burst(rate) + int(rate*took.Seconds()); reached["east"] > most || reached["east"]+len(refused)+len(sorry) != 2*clients {
		t.Errorf("%v were admitted in %v, and %d refused; want at most %d", reached, took, len(refused)+len(sorry), most)
	}
	if len(refused) == 0 || len(sorry) == 0 {
		t.Skipf("this machine takes %v for %d handshakes", took, 2*clients)
	}
	refused = append(refused, sorry...)
	for _, a := range refused {
		checkTurn(t, a, 2+2*clients/rate)
	}
	east.checkAdmitted(t, rate, late)
	until(t, "more probes", func() bool { return probes.Load() > before })
	if s := r.upstream("east").Checker().Status(); !s.Healthy || s.LastProbe.Err != "" {
		t.Errorf("status %+v", s)
	}
	if got := r.Totals(); got.Handshakes != uint64(reached["east"]) || got.Refused != uint64(len(refused)) {
		t.Errorf("totals %+v, want %d and %d", got, reached["east"], len(refused))
	}

	// Without a limit they are all admitted.
	r.change(func(o *Options) { o.Limits.HandshakesPerSecond = 0 })
	if reached, refused := r.storm(clients); reached["east"] != clients {
		t.Errorf("reached %v, %d refused", reached, len(refused))
	}
}

// TestHandshakesPerListener: each listener has a queue of its own.
func TestHandshakesPerListener(t *testing.T) {
	t.Parallel()
	const rate = 20
	var a, b gate
	p := prepare(t, Options{Limits: Limits{HandshakesPerSecond: rate}}, member{address: "127.0.0.1:1"})
	admit := func(g *gate) error {
		err := p.admit(&clientConn{proxy: p.Proxy, world: p.world.Load(), gate: g})
		if err == nil {
			p.Proxy.leave(place{})
		}
		return err
	}
	var refused atomic.Int64
	crowd(10*rate, 1, func(int) {
		if admit(&a) != nil {
			refused.Add(1)
		}
	})
	if refused.Load() == 0 {
		t.Error("all of a crowd are admitted")
	}
	if err := admit(&b); err != nil {
		t.Errorf("at the other listener: %v", err)
	}
}

// TestHandshakesPerUpstream: an upstream that has had enough for now is passed
// over; where there is nobody else, clients are told when it is their turn.
func TestHandshakesPerUpstream(t *testing.T) {
	t.Parallel()
	const clients, rate, slower = 80, 20, 4
	east, west := newCounter(t, "east"), newCounter(t, "west")
	r := start(t, stay,
		member{name: "east", address: east.address()},
		member{name: "west", address: west.address(), role: pool.Secondary})
	slow := become(t, r.upstream("east"), func(o *pool.Options) { o.HandshakesPerSecond = rate })
	r.only(slow, r.upstream("west"))
	late := watchLag(t)
	began := time.Now()
	reached, refused := r.storm(clients)
	took := time.Since(began)
	if most := rate + burst(rate) + int(rate*took.Seconds()); reached["east"] > most || reached["west"] != clients-reached["east"] || len(refused) > 0 {
		t.Errorf("reached %v, %d refused in %v; want at most %d at east", reached, len(refused), took, most)
	}
	if n := slow.Totals().HandshakeFailures; n != 0 || !slow.Healthy() {
		t.Errorf("%d handshakes count as failed", n)
	}

	// A reload does not begin the queue anew.
	queue := r.world.Load().targets[slow].admission
	heavy := become(t, slow, func(o *pool.Options) { o.HandshakesPerSecond = slower })
	r.only(heavy)
	if r.world.Load().targets[heavy].admission != queue {
		t.Error("a reload has begun another queue")
	}
	reached, refused = r.storm(clients)
	if len(refused) == 0 {
		t.Skipf("this machine takes %v for %d handshakes", took, clients)
	}
	last := 0
	for _, a := range refused {
		last = max(last, checkTurn(t, a, 2+clients/slower))
	}
	if n := reached["east"] + len(refused); n != clients {
		t.Errorf("reached %v, %d refused", reached, len(refused))
	}
	if took := time.Since(began); last < (len(refused)-1)/slower-int(took.Seconds()) {
		t.Errorf("the last of %d is asked to come again in %d s", len(refused), last)
	}
	east.checkAdmitted(t, rate, late)
}

// TestReconnectStorm is fault 16 in small: all sessions are lost in one moment
// and all clients come back at once. They are let in at the rate, those who wait
// for their turn get in, and nobody has to do anything.
func TestReconnectStorm(t *testing.T) {
	t.Parallel()
	const clients, rate = 150, 60
	east, west := newCounter(t, "east"), newCounter(t, "west")
	m := new(mood)
	r := start(t, Options{Failback: Failback{Stay: true}, Relay: quickClose},
		member{name: "east", address: east.address(), health: m.judged()},
		member{name: "west", address: west.address(), role: pool.Secondary})
	open := r.greetAll(clients)
	r.change(func(o *Options) { o.Limits.HandshakesPerSecond = rate })
	late := watchLag(t)
	m.down.Store(true)
	east.stop() // everything is cut
	var visits, most atomic.Int64
	crowd(clients, 1, func(i int) {
		v := open[i]
		if err := v.frame(closeFrame); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
		for n := int64(1); ; n++ {
			v.Close()
			visits.Add(1)
			var err error
			if v, err = r.visit(goodHead); err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			a, err := v.head()
			if err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			if a.StatusCode == 101 {
				open[i] = v
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				return
			}
			again, err := strconv.Atoi(a.Header.Get(retryAfter))
			if err != nil || a.StatusCode != 503 {
				t.Errorf("client %d got %s, %s", i, a.Status, a.Header.Get(retryAfter))
				return
			}
			<-time.After(time.Duration(again) * time.Second) // as it was asked
		}
	})
	west.checkAdmitted(t, rate, late)
	for i, v := range open {
		_, err := v.Write(masked(textFrame, "back"))
		if err == nil {
			err = v.frame(textFrame)
		}
		if err != nil {
			t.Errorf("client %d: %v", i, err)
		}
		v.Close()
	}
	// Nobody is sent away again and again.
	if most.Load() > 15 {
		t.Errorf("%d visits of %d clients, up to %d of one", visits.Load(), clients, most.Load())
	}
}
