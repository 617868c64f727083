package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/fanout"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// TestServiceReload: what a route has learned goes on after a reload: connections
// are found again, and hints that were given out are understood.
func TestServiceReload(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary), west.member(t, pool.Primary))
	first := r.own("ann")
	g := r.enter(first, reliableProtocol)
	exists := "/api/hubs/chat/connections/" + g.id + "?api-version=2024-01-01"
	if a := r.call(ownKey, "HEAD", exists, "", ""); a.status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	d := r.world.Load().routes[0].desk
	if _, known := d.fanout.Directory().Find(g.id); !known {
		t.Fatal("the call has told nothing")
	}
	hint := d.places.Issue("west")
	r.change(func(o *Options) { o.Fanout.MaxBody = 10 })
	now := r.world.Load().routes[0].desk
	if now == d {
		t.Fatal("there was no reload")
	}
	if _, known := now.fanout.Directory().Find(g.id); !known {
		t.Error("the connection is forgotten")
	}
	if _, at, found := now.places.Find(hint, now.names); !found || at != "west" {
		t.Error("the hint is not understood")
	}
	g.CloseNow()
	if again := r.enter(g.back(first), reliableProtocol); again.id != g.id {
		t.Error("the token is forgotten")
	}
	if a := r.call(ownKey, "POST", "/api/hubs/chat/:send?api-version=2024-01-01", "text/plain", "longer than ten"); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("with the new limit: %+v", a)
	}
	r.change(func(o *Options) {
		other := *o.Routes[0].Service
		other.AccessKeys = []azure.Key{accessKey(t, eastKey)}
		o.Routes[0].Service = &other
	})
	if a := r.call(ownKey, "HEAD", exists, "", ""); a.status != http.StatusUnauthorized {
		t.Errorf("with the old key: %+v", a)
	}
}

// TestServiceHash: clients of one user, or with one value of a header field or
// parameter, are on one upstream.
func TestServiceHash(t *testing.T) {
	for name, by := range map[string]Affinity{
		"user": {By: AffinityByUser}, "query": {By: AffinityByQuery, Name: "room"}, "header": {By: AffinityByHeader, Name: "user-agent"},
		"client": {By: AffinityByClient},
	} {
		t.Run(name, func(t *testing.T) {
			east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
			r := serveRegions(t, azure.WebPubSub, func(r *Route) {
				r.Affinity = by
				hashed, err := pool.NewSet(pool.Hash, r.Set.Upstreams())
				if err != nil {
					t.Fatal(err)
				}
				r.Set = hashed
			}, east.member(t, pool.Primary), west.member(t, pool.Primary))
			const users, each = 10, 2
			for i := range users {
				before := r.upstream("east").Sessions()
				for range each {
					ctx, cancel := context.WithTimeout(context.Background(), patience)
					conn, _, err := websocket.Dial(ctx, r.own(fmt.Sprint("user-", i))+"&room="+fmt.Sprint("room-", i), &websocket.DialOptions{
						HTTPHeader: http.Header{"User-Agent": {fmt.Sprint("agent-", i)}},
					})
					cancel()
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { conn.CloseNow() })
				}
				if n := r.upstream("east").Sessions() - before; n != 0 && n != each {
					t.Errorf("%d of %d sessions of client %d are on east", n, each, i)
				}
			}
			east0 := r.upstream("east").Sessions()
			if all := east0 == 0 || east0 == users*each; all != (name == "client") {
				t.Errorf("%d of %d sessions are on east", east0, users*each)
			}
		})
	}
}

// TestServiceFailback: who was told to go to the secondary stays there when the
// primary is back; the others come home.
func TestServiceFailback(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	var m mood
	primary := east.member(t, pool.Primary)
	primary.health = m.judged()
	r := serveRegions(t, azure.WebPubSub, nil, primary, west.member(t, pool.Secondary))
	told := r.enter(r.clientURL(westKey, west.base(t), "told"), jsonProtocol)
	m.falls(t, r.upstream("east"))
	other := r.enter(r.own("other"), reliableProtocol)
	if n := r.upstream("west").Sessions(); n != 2 {
		t.Fatalf("west has %d sessions", n)
	}
	m.rises(t, r.upstream("east"))
	if code := other.closed(); code != websocket.StatusPolicyViolation {
		t.Errorf("sent home with %v", code)
	}
	until(t, "the drain to end", func() bool {
		list := r.Drains().List()
		return len(list) > 0 && list[0].State.Final()
	})
	told.says(`{"type":"ping"}`)
	if f := told.next(); f["type"] != "pong" {
		t.Errorf("got %v", f)
	}
}

// TestServiceOnDemand: before it is negotiated where a client goes, upstreams are
// probed, and one that has just died is not picked, though nobody has noticed yet.
func TestServiceOnDemand(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	var probes, dead atomic.Int64
	primary := east.member(t, pool.Primary)
	primary.health = health.Options{InitialUp: true, Interval: time.Hour, Recheck: time.Hour, Timeout: patience, Jitter: -1, Fall: 1 << 20,
		Probe: func(context.Context) error {
			probes.Add(1)
			if dead.Load() > 0 {
				return errGone
			}
			return nil
		}}
	secondary := west.member(t, pool.Secondary)
	secondary.health = health.Options{InitialUp: true, Interval: time.Hour, Timeout: patience, Jitter: -1,
		Probe: func(context.Context) error { return nil }}
	r := serveRegions(t, azure.WebPubSub, func(r *Route) {
		r.Service.Open, r.Service.Negotiate = true, Negotiate{Via: negotiate.ViaDirect, MaxAge: time.Nanosecond}
	}, primary, secondary)
	where := func() string {
		var got struct{ URL string }
		r.call("", "GET", "/negotiate?hub=chat", "", "").read(t, &got)
		return got.URL
	}
	if at := where(); !strings.Contains(at, east.Addr()) {
		t.Errorf("led to %s", at)
	}
	dead.Add(1)
	before := probes.Load()
	if at := where(); !strings.Contains(at, west.Addr()) {
		t.Errorf("led to %s", at)
	}
	if probes.Load() == before || !r.upstream("east").Healthy() {
		t.Errorf("%d probes, healthy %v", probes.Load()-before, r.upstream("east").Healthy())
	}
}

// TestSignalRBroadcast: one call reaches the clients of both regions.
func TestSignalRBroadcast(t *testing.T) {
	east, west := signalRService(t, "east", eastKey), signalRService(t, "west", westKey)
	r := serveRegions(t, azure.SignalR, func(r *Route) { r.Service.Open = true }, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	enter := func() *websocket.Conn {
		first := r.redirected()
		conn, _, err := r.join(first, r.connection(first))
		if err != nil {
			t.Fatal(err)
		}
		greets(t, conn)
		return conn
	}
	conns := []*websocket.Conn{enter()}
	r.down("east")
	conns = append(conns, enter())
	if e, w := r.upstream("east").Sessions(), r.upstream("west").Sessions(); e != 1 || w != 1 {
		t.Fatalf("%d and %d sessions", e, w)
	}
	const target, message = "/api/hubs/chat/:send?api-version=2022-06-01", `{"target":"news","arguments":["x"]}`
	a := r.call(ownKey, "POST", target, "application/json", message)
	if a.header.Get(fanout.PartialField) != "east" {
		t.Errorf("with east down: %+v", a)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, data, err := conns[1].Read(ctx)
	if err != nil || !strings.Contains(string(data), `"news"`) {
		t.Errorf("got %q, %v", data, err)
	}
}

// TestServiceLogs: however much is logged, no token is.
func TestServiceLogs(t *testing.T) {
	var l log
	east := webPubSub(t, "east", eastKey)
	m := east.member(t, pool.Primary)
	u := m.build(t)
	r := &office{start(t, Options{
		Upstreams: []*pool.Upstream{u}, Logger: l.at(-8), AccessLogger: l.at(-8),
		Routes: []Route{{Set: set(t, u), Service: &Service{Kind: azure.WebPubSub, AccessKeys: []azure.Key{accessKey(t, ownKey)}}}},
	}), azure.WebPubSub}
	secrets := []string{ownKey, eastKey}
	note := func(to string) string {
		_, token, _ := strings.Cut(to, "access_token=")
		secrets = append(secrets, token, token[strings.LastIndex(token, ".")+1:])
		return to
	}
	r.enter(note(r.own("ann")), jsonProtocol).CloseNow()
	if _, _, err := r.connect(note(r.clientURL(westKey, r.base(), "eve")), jsonProtocol); err == nil {
		t.Error("a forged token was taken")
	}
	r.call(ownKey, "POST", "/api/hubs/chat/:send?api-version=2024-01-01", "text/plain", "x")
	_ = east.Refuse(true)
	r.call(ownKey, "POST", "/api/hubs/chat/:send?api-version=2024-01-01", "text/plain", "x")
	if _, _, err := r.connect(note(r.own("ann")), jsonProtocol); err == nil {
		t.Error("a dead upstream has answered")
	}
	r.stop()
	text := l.String()
	if !strings.Contains(text, "client refused") {
		t.Fatalf("nothing was logged:\n%s", text)
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%q stands in the log:\n%s", secret, text)
		}
	}
}

// TestServiceOptions: what cannot work is refused before it runs.
func TestServiceOptions(t *testing.T) {
	east := webPubSub(t, "east", eastKey)
	keyed, bare := east.member(t, pool.Primary), member{name: "bare", address: "127.0.0.1:1"}
	for name, row := range map[string]struct {
		members []member
		change  func(*Route)
		want    string
	}{
		"no keys":                 {[]member{keyed}, func(r *Route) { r.Service.AccessKeys = nil }, "access keys are missing"},
		"no connection string":    {[]member{keyed, bare}, nil, `upstream "bare" has no connection string`},
		"none at all":             {[]member{bare}, nil, `upstream "bare" has no connection string`},
		"bad hub":                 {[]member{keyed}, func(r *Route) { r.Service.Hubs = []string{"1"} }, `hub "1"`},
		"many keys":               {[]member{keyed}, func(r *Route) { r.Service.AccessKeys = make([]azure.Key, 5) }, "more than 4 access keys"},
		"empty key":               {[]member{keyed}, func(r *Route) { r.Service.AccessKeys = make([]azure.Key, 1) }, "key 0 is empty"},
		"roles of SignalR":        {[]member{keyed}, func(r *Route) { r.Service.Kind, r.Service.Negotiate.Roles = azure.SignalR, []string{"x"} }, "roles"},
		"expiry of other tokens":  {[]member{bare}, func(r *Route) { r.Service.Kind, r.Service.CloseAtExpiry = azure.SignalR, true }, "close at expiry"},
		"lifetime":                {[]member{keyed}, func(r *Route) { r.Service.Negotiate.Lifetime = time.Millisecond }, "lifetime"},
		"affinity without a name": {[]member{keyed}, func(r *Route) { r.Affinity.By = AffinityByHeader }, "affinity"},
		"users without tokens":    {[]member{bare}, func(r *Route) { r.Service, r.Affinity.By = nil, AffinityByUser }, "affinity"},
		"unknown affinity":        {[]member{keyed}, func(r *Route) { r.Affinity.By = 99 }, "affinity"},
		"unknown service":         {[]member{keyed}, func(r *Route) { r.Service.Kind = 9 }, "service 9"},
	} {
		var o Options
		for _, m := range row.members {
			o.Upstreams = append(o.Upstreams, m.build(t))
		}
		route := Route{Set: set(t, o.Upstreams...), Service: &Service{Kind: azure.WebPubSub, AccessKeys: []azure.Key{accessKey(t, ownKey)}}}
		if row.change != nil {
			row.change(&route)
		}
		o.Routes = []Route{route}
		for by, err := range map[string]error{"Check": Check(o), "New": func() error { _, err := New(o); return err }()} {
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%s: %s says %v", name, by, err)
			}
		}
	}
}
