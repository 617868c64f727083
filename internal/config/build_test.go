package config_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/internal/config"
	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/drain"
)

// build parses a file and builds it, which must work for every file that is
// right.
func build(t *testing.T, file string) proxy.Options {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.Build(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := proxy.Check(o); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestBuild(t *testing.T) {
	o := build(t, `
upstreams:
  - {name: east, url: "ws://127.0.0.1:9001/hub", weight: 3, max_sessions: 7}
  - {name: west, url: "ws://127.0.0.1:9002", role: secondary}
routes:
  - {match: {path: /chat, host: example.org}, upstreams: [west], router: least-sessions}
  - {upstreams: [east, west]}
failover: {attempts: 2, connect_timeout: 1s, handshake_timeout: 3s}
relay: {ping_interval: 0s, ping_timeout: 0s, max_frame: 1MiB}
limits: {header_size: 4KiB, sessions: 9}
shutdown: {deadline: 4s}
`)
	if len(o.Upstreams) != 2 {
		t.Fatalf("%d upstreams", len(o.Upstreams))
	}
	east := o.Upstreams[0]
	if east.Name() != "east" || east.URL().Path != "/hub" || east.Weight() != 3 || east.MaxSessions() != 7 ||
		east.Role().String() != "primary" || east.Healthy() {
		t.Errorf("east: %+v", east)
	}
	if west := o.Upstreams[1]; west.Role().String() != "secondary" {
		t.Errorf("west is %s", west.Role())
	}
	if len(o.Routes) != 2 || o.Routes[0].Path != "/chat" || o.Routes[0].Host != "example.org" ||
		len(o.Routes[0].Set.Upstreams()) != 1 || len(o.Routes[1].Set.Upstreams()) != 2 {
		t.Errorf("routes: %+v", o.Routes)
	}
	if o.Failover != (proxy.Failover{Attempts: 2, ConnectTimeout: time.Second, HandshakeTimeout: 3 * time.Second}) {
		t.Errorf("failover: %+v", o.Failover)
	}
	if o.Relay.PingInterval >= 0 || o.Relay.MaxFrame != 1<<20 {
		t.Errorf("relay: %+v", o.Relay)
	}
	if o.Limits.Head.Size != 4<<10 || o.Limits.Sessions != 9 || o.Shutdown.Deadline != 4*time.Second {
		t.Errorf("limits: %+v, deadline %v", o.Limits, o.Shutdown.Deadline)
	}
}

// TestBuildFailback has a value of its own in every key that the proxy's options
// have a field for.
func TestBuildFailback(t *testing.T) {
	o := build(t, `
upstreams: [{name: east, url: "ws://127.0.0.1:9001", handshakes_per_second: 12}]
failover: {on_down: drain, grace: 1s, drain_rate: 2}
failback: {drain: {enabled: false, rate: 3, order: oldest-first, close_code: 3000, reason: home, deadline: 4s, then: close}}
relay: {max_age: 5s}
limits: {handshakes_per_second: 6, memory_high: 17MiB, memory_low: 8MiB}
shutdown: {lead: 9s, drain_rate: 10, deadline: 11s}
reload: {scale_timeout: 13s, drain_rate: 14}
`)
	for _, row := range []struct{ got, want any }{
		{o.Down, proxy.Down{Action: proxy.DrainAll, Grace: time.Second, Rate: 2}},
		{o.Failback, proxy.Failback{
			Stay: true, Rate: 3, Order: drain.OldestFirst, Code: 3000, Reason: "home", Deadline: 4 * time.Second, Then: drain.CloseRest,
		}},
		{o.Relay.MaxAge, 5 * time.Second},
		{o.Limits.HandshakesPerSecond, 6},
		{o.Limits.MemoryHigh, int64(17 << 20)},
		{o.Limits.MemoryLow, int64(8 << 20)},
		{o.Shutdown, proxy.Shutdown{Lead: 9 * time.Second, Rate: 10, Deadline: 11 * time.Second}},
		{o.Scale, proxy.Scale{Timeout: 13 * time.Second, Rate: 14}},
		{o.Upstreams[0].HandshakesPerSecond(), 12},
	} {
		if diff := cmp.Diff(row.want, row.got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	o = build(t, "upstreams: [{name: a, url: \"ws://127.0.0.1:9\"}]\nfailback: {drain: {deadline: 0s}}\n")
	if o.Failback.Deadline >= 0 || o.Failback.Stay {
		t.Errorf("failback: %+v, want a drain without a deadline", o.Failback)
	}
}

func TestBuildProbes(t *testing.T) {
	var asked atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked.Store(r.URL.Path) }))
	defer server.Close()
	f := func(health, want string) {
		t.Helper()
		asked.Store("")
		o := build(t, "upstreams: [{name: a, url: \""+strings.Replace(server.URL, "http", "ws", 1)+"/hub\"}]\nhealth: {interval: 1m, timeout: 1m, "+health+"}\n")
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { o.Upstreams[0].Checker().Run(ctx) })
		defer running.Wait()
		defer stop()
		for deadline := time.Now().Add(time.Minute); o.Upstreams[0].Checker().Status().LastProbe.At.IsZero(); {
			if time.Now().After(deadline) {
				t.Fatal("no probe within a minute")
			}
			time.Sleep(time.Millisecond)
		}
		if got := asked.Load(); got != want {
			t.Errorf("health %s: asked for %q, want %q", health, got, want)
		}
	}
	f("probe: http", "/api/health")
	f("probe: http, path: /live", "/live")
	f("probe: websocket", "/hub")
	f("probe: websocket, path: /live", "/live")
	f("probe: tcp", "")
}

func TestBuildInitialUp(t *testing.T) {
	o := build(t, "upstreams: [{name: a, url: \"ws://127.0.0.1:9\"}]\nhealth: {initial: up, jitter: 0}\n")
	if !o.Upstreams[0].Healthy() {
		t.Error("an upstream with initial: up is not healthy at the start")
	}
}
