package main

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/internal/emulator"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
)

// verbPatience bounds every wait of these tests. None waits for it to pass.
const verbPatience = 60 * time.Second

// verbRig is a running router with a primary, a secondary, and its door.
type verbRig struct {
	t          *testing.T
	proxy      *proxy.Proxy
	upstreams  []*pool.Upstream
	east, west *emulator.Emulator
	log        *lockedBuffer
	admin      string // for --admin
	data       string // host:port for clients
	stopDoor   func()
}

// verbSetup is what tests change about a rig.
type verbSetup struct {
	door   admin.Options
	proxy  proxy.Options
	health health.Options // of both upstreams
	socket bool           // the door is a socket in the file system
}

func startVerbRig(t *testing.T, change ...func(*verbSetup)) *verbRig {
	t.Helper()
	r := &verbRig{t: t, log: new(lockedBuffer)}
	logger := slog.New(slog.NewTextHandler(r.log, nil))
	s := verbSetup{}
	s.door = admin.Options{Listeners: []string{"here:80"}, Version: "v1.2.3", Logger: logger}
	for _, f := range change {
		f(&s)
	}
	r.east, r.west = r.emulate("east"), r.emulate("west")
	r.upstreams = []*pool.Upstream{
		r.upstream(r.east, pool.Options{Name: "east"}, s.health),
		r.upstream(r.west, pool.Options{Name: "west", Role: pool.Secondary}, s.health),
	}
	set, err := pool.NewSet(pool.Priority, r.upstreams)
	if err != nil {
		t.Fatal(err)
	}
	s.proxy.Upstreams, s.proxy.Routes = r.upstreams, []proxy.Route{{Set: set}}
	if r.proxy, err = proxy.New(s.proxy); err != nil {
		t.Fatal(err)
	}
	s.door.Proxy = r.proxy
	door, err := admin.New(s.door)
	if err != nil {
		t.Fatal(err)
	}
	data, _ := r.serve("tcp4", "127.0.0.1:0", func(ctx context.Context, ln net.Listener) error { return r.proxy.Run(ctx, ln) })
	r.data = data.String()
	network, address, prefix := "tcp4", "127.0.0.1:0", ""
	if s.socket {
		network, address, prefix = "unix", filepath.Join(t.TempDir(), "door"), "unix:"
	}
	at, stop := r.serve(network, address, door.Run)
	r.admin, r.stopDoor = prefix+at.String(), stop
	r.await("both upstreams to be healthy", func() bool { return r.upstreams[0].Healthy() && r.upstreams[1].Healthy() })
	return r
}

func (r *verbRig) emulate(name string) *emulator.Emulator {
	r.t.Helper()
	e, err := emulator.New(emulator.Options{Name: name})
	if err != nil {
		r.t.Fatal(err)
	}
	stop, err := e.Start()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(stop)
	return e
}

func (r *verbRig) upstream(e *emulator.Emulator, o pool.Options, belief health.Options) *pool.Upstream {
	r.t.Helper()
	location, err := url.Parse(e.URL())
	if err != nil {
		r.t.Fatal(err)
	}
	belief.Probe = health.HTTPProbe(location, health.HTTPOptions{})
	belief.Interval, belief.Recheck, belief.Timeout = 30*time.Millisecond, 10*time.Millisecond, verbPatience
	o.URL = location
	if o.Checker, err = health.New(o.Name, belief); err != nil {
		r.t.Fatal(err)
	}
	u, err := pool.NewUpstream(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return u
}

// serve runs something with a listener until stop is called or the test ends.
func (r *verbRig) serve(network, address string, run func(context.Context, net.Listener) error) (at net.Addr, stop func()) {
	r.t.Helper()
	ln, err := net.Listen(network, address)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("run: %v", err)
		}
	})
	r.t.Cleanup(stop)
	return ln.Addr(), stop
}

// await waits for a condition that nobody announces.
func (r *verbRig) await(what string, met func() bool) {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for bound := time.Now().Add(verbPatience); !met(); <-tick.C {
		if time.Now().After(bound) {
			r.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// crowd lets clients in that reconnect whenever their session ends, until stop is
// called or the test ends. It returns when all have a session.
func (r *verbRig) crowd(n int) (stop func()) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	transport := new(http.Transport)
	client := &http.Client{Transport: transport}
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			for ctx.Err() == nil {
				c, _, err := websocket.Dial(ctx, "ws://"+r.data+"/chat", &websocket.DialOptions{HTTPClient: client})
				if err != nil {
					if ctx.Err() == nil {
						r.t.Errorf("a client is refused: %v", err)
					}
					return
				}
				_, _, _ = c.Read(ctx) // until the session ends
				_ = c.CloseNow()
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		group.Wait()
		transport.CloseIdleConnections()
	})
	r.t.Cleanup(stop)
	r.await("the crowd to be in", func() bool { return r.proxy.Totals().Accepted == uint64(n) })
	r.await("the crowd to be counted", func() bool {
		return r.upstreams[0].Totals().Sessions+r.upstreams[1].Totals().Sessions == uint64(n)
	})
	return stop
}

// do runs a verb against the rig.
func (r *verbRig) do(args ...string) (code int, stdout, stderr string) {
	r.t.Helper()
	var out, err bytes.Buffer
	code = run(r.t.Context(), append(args, "--admin", r.admin, "--timeout", verbPatience.String()), &out, &err)
	return code, out.String(), err.String()
}

// running is a verb that takes a while.
type running struct {
	out, err lockedBuffer
	code     chan int // gets the exit code
}

// begin begins a verb against the rig.
func (r *verbRig) begin(ctx context.Context, args ...string) *running {
	v := &running{code: make(chan int, 1)}
	args = append(args, "--admin", r.admin, "--timeout", verbPatience.String())
	go func() { v.code <- run(ctx, args, &v.out, &v.err) }()
	return v
}

// saying waits until a verb has said something.
func (r *verbRig) saying(v *running, what string) {
	r.t.Helper()
	r.await(what, func() bool { return strings.Contains(v.out.String()+v.err.String(), what) })
}

// want runs a verb and checks its exit code, and what it says on the stream that
// this exit code is about.
func (r *verbRig) want(code int, says string, args ...string) (stdout string) {
	r.t.Helper()
	got, stdout, stderr := r.do(args...)
	said := stdout
	if code != exitOK {
		said = stderr
	}
	if got != code || !bytes.Contains([]byte(said), []byte(says)) {
		r.t.Errorf("%v: exit code %d, stdout %q, stderr %q, want %d and %q", args, got, stdout, stderr, code, says)
	}
	return stdout
}

// lockedBuffer can be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
