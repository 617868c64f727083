package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/relay"
)

// member says what an upstream of a test is.
type member struct {
	name    string // default "east"
	address string // host:port, and a path prefix if wanted
	role    pool.Role
	max     int
	tls     *tls.Config   // wss
	spares  int           // spare connections
	age     time.Duration // of these
	rate    int           // handshakes in a second
	header  pool.ProxyHeader
	service azure.ConnectionString // zero for a plain server
	// health is how it is judged. Without a probe it is up from the start and
	// stays so: nothing trips it.
	health health.Options
}

// errGone is why tests report an upstream as lost.
var errGone = errors.New("gone")

// build makes the upstream.
func (m member) build(t testing.TB) *pool.Upstream {
	t.Helper()
	if m.name == "" {
		m.name = "east"
	}
	h := m.health
	if h.Probe == nil {
		h.InitialUp = true
		h.Probe = func(ctx context.Context) error { <-ctx.Done(); return health.ErrLocal }
		h.Interval, h.Timeout = time.Hour, time.Hour
		if h.Fall == 0 {
			h.Fall = 1 << 20
		}
	}
	checker, err := health.New(m.name, h)
	if err != nil {
		t.Fatal(err)
	}
	scheme := "ws://"
	if m.tls != nil {
		scheme = "wss://"
	}
	location, err := url.Parse(scheme + m.address)
	if err != nil {
		t.Fatal(err)
	}
	u, err := pool.NewUpstream(pool.Options{
		Name: m.name, URL: location, Role: m.role, MaxSessions: m.max, Checker: checker, TLS: m.tls,
		Spares: m.spares, SpareAge: m.age, HandshakesPerSecond: m.rate, ProxyHeader: m.header,
		Connection: m.service,
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// set makes a set of upstreams with the default router.
func set(t testing.TB, upstreams ...*pool.Upstream) *pool.Set {
	t.Helper()
	s, err := pool.NewSet(pool.Priority, upstreams)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// quickClose is for sessions whose other side does not care to close.
var quickClose = relay.Options{CloseWait: soon}

// rig is a running router.
type rig struct {
	*Proxy
	t       testing.TB
	tls     *tls.Config // with it clients speak TLS
	http2   bool        // and HTTP/2, if they like
	proxies []netip.Prefix
	answers func(host, path string) ([]byte, bool) // challenges
	address string
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // of Run, once done
	ends    chan ending
	stopped sync.Once
}

// ending is what the access log says of one session.
type ending struct {
	cause, upstream, path, client string
	code                          int64
}

// start runs a router for the members until the end of the test, which then
// checks that nothing is left in its counters. It sets the routes unless o has
// some. Pings are off, and other time-outs out of the way, unless o says when.
func start(t testing.TB, o Options, members ...member) *rig {
	t.Helper()
	r := prepare(t, o, members...)
	r.begin()
	return r
}

// prepare makes the router that start runs.
func prepare(t testing.TB, o Options, members ...member) *rig {
	t.Helper()
	for i, m := range members {
		if m.name == "" && i > 0 {
			m.name = fmt.Sprint("upstream-", i)
		}
		o.Upstreams = append(o.Upstreams, m.build(t))
	}
	if o.Routes == nil {
		o.Routes = []Route{{Set: set(t, o.Upstreams...)}}
	}
	if o.Relay.PingInterval == 0 {
		o.Relay.PingInterval = -1
	}
	for _, limit := range []*time.Duration{
		&o.Failover.ConnectTimeout, &o.Failover.HandshakeTimeout, &o.Limits.HeaderTimeout,
		&o.Relay.WriteTimeout, &o.Relay.CloseWait,
	} {
		if *limit == 0 {
			*limit = 2 * patience
		}
	}
	r := &rig{t: t, done: make(chan struct{}), ends: make(chan ending, 1<<16)}
	if o.AccessLogger == nil {
		o.AccessLogger = slog.New(r)
	}
	var err error
	if r.Proxy, err = New(o); err != nil {
		t.Fatal(err)
	}
	return r
}

// begin runs the router.
func (r *rig) begin() {
	r.t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.address = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		if r.tls != nil || r.proxies != nil || r.answers != nil {
			ln = &Listener{Listener: ln, TLS: r.tls, HTTP2: r.http2, Proxies: r.proxies, Challenge: r.answers}
		}
		r.err = r.Run(ctx, ln)
	}()
	r.t.Cleanup(r.stop)
}

// stop ends the router and checks what it has left. It may be called twice.
func (r *rig) stop() {
	r.stopped.Do(func() {
		r.cancel()
		select {
		case <-r.done:
		case <-time.After(2 * patience):
			r.t.Fatal("Run did not return")
		}
		if r.err != nil {
			r.t.Errorf("Run: %v", r.err)
		}
		r.checkIdle()
	})
}

// checkIdle checks that the router carries nothing, and that its counters add up.
func (r *rig) checkIdle() {
	r.t.Helper()
	if n := r.Sessions(); n != 0 {
		r.t.Errorf("%d sessions left", n)
	}
	for _, u := range r.Upstreams() {
		if n := u.Sessions(); n != 0 {
			r.t.Errorf("upstream %s: %d places not given back", u.Name(), n)
		}
	}
	if places, addresses, _ := r.addresses.held(); places+addresses != 0 {
		r.t.Errorf("%d places of %d client addresses not given back", places, addresses)
	}
	totals := r.Totals()
	if n := r.counters.spares.Load(); n != 0 {
		r.t.Errorf("%d spare connections left", n)
	}
	if totals.Accepted != totals.Ended {
		r.t.Errorf("accepted %d sessions, ended %d", totals.Accepted, totals.Ended)
	}
	if least := totals.Accepted; totals.Handshakes < least {
		r.t.Errorf("accepted %d of %d handshakes", least, totals.Handshakes)
	}
}

// upstream returns the upstream with this name.
func (r *rig) upstream(name string) *pool.Upstream {
	r.t.Helper()
	for _, u := range r.Upstreams() {
		if u.Name() == name {
			return u
		}
	}
	r.t.Fatalf("no upstream %q", name)
	return nil
}

// dial opens a client connection.
func (r *rig) dial() *peer {
	r.t.Helper()
	conn, err := net.Dial("tcp4", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	return newPeer(r.t, "client", false, conn)
}

// ask sends a head on a new connection.
func (r *rig) ask(head string) *peer {
	r.t.Helper()
	c := r.dial()
	c.say(head)
	return c
}

// open opens a session through the router to s, and returns both ends.
func (r *rig) open(s *stub) (client, upstream *peer) {
	r.t.Helper()
	client = r.ask(goodHead)
	client.upgraded()
	return client, s.session()
}

// ended waits for the end of the next session and returns what was logged.
func (r *rig) ended() ending {
	r.t.Helper()
	select {
	case e := <-r.ends:
		return e
	case <-time.After(patience):
		r.t.Fatal("no session has ended")
		return ending{}
	}
}

// wantEnd waits for the end of the next session, which must have this cause.
func (r *rig) wantEnd(cause string) {
	r.t.Helper()
	if e := r.ended(); e.cause != cause {
		r.t.Errorf("session ended with %+v, want %q", e, cause)
	}
}

// The rig is the handler of the router's access log.

func (r *rig) Enabled(context.Context, slog.Level) bool { return true }
func (r *rig) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *rig) WithGroup(string) slog.Handler            { return r }
func (r *rig) Handle(_ context.Context, record slog.Record) error {
	var e ending
	record.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "cause":
			e.cause = a.Value.String()
		case "upstream":
			e.upstream = a.Value.String()
		case "path":
			e.path = a.Value.String()
		case "client":
			e.client = a.Value.String()
		case "code":
			e.code = a.Value.Int64()
		}
		return true
	})
	select {
	case r.ends <- e:
	default: // more than any test counts
	}
	return nil
}

// emulate starts an emulated upstream that lives as long as the test.
func emulate(t testing.TB, name string) *emulator.Emulator {
	t.Helper()
	e, err := emulator.New(emulator.Options{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	stop, err := e.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return e
}
