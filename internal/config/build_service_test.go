package config_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

const (
	keyA = "a-key-of-thirty-two-characters-a"
	keyB = "b-key-of-thirty-two-characters-b"

	// regions are two instances, on the first three lines of a file.
	regions = "upstreams:\n" +
		"- {name: east, connection_string: \"Endpoint=https://east.webpubsub.azure.com;AccessKey=" + keyA + ";Version=1.0;\"}\n" +
		"- {name: \"west:secondary\", connection_string: \"Endpoint=https://west.webpubsub.azure.com;AccessKey=" + keyA + ";Version=1.0;\"}\n"
)

// keysAndPlaces lets cmp compare what it cannot look into.
var keysAndPlaces = cmp.Options{
	cmp.Comparer(func(a, b azure.Key) bool { return a.Equal(b) }), cmpopts.EquateComparable(azure.Base{}),
}

func key(t *testing.T, text string) azure.Key {
	t.Helper()
	k, err := azure.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestBuildServices(t *testing.T) {
	o := build(t, regions+`routes:
- {match: {path: /hub}, protocol: webpubsub, access_keys: [`+keyA+`, `+keyB+`], hubs: [chat], public_url: "https://p.example/hub", close_at_expiry: true, router: hash, hash: {by: header, name: X-Tenant},
   negotiate: {via: direct, roles: [r], groups: [g], user_from_query: false, open: true, lifetime: 1m}, http: pass, pass: {affinity: none, cookie: c, answer_timeout: 1s, idle_timeout: 2s, body_timeout: 3s}}
- {protocol: signalr, access_keys: [`+keyB+`], router: query, query: {name: region, strict: true}}
fanout: {timeout: 2s, max_body: 2KiB, backlog: 3, retry: 1}
health: {on_demand: true, max_age: 1500ms}
`)
	base, err := azure.ParseBase("https://p.example/hub")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ got, want any }{
		{o.Fanout, proxy.Fanout{Deadline: 2 * time.Second, MaxBody: 2 << 10, Backlog: 3, Retries: 1}},
		{*o.Routes[0].Service, proxy.Service{
			Kind: azure.WebPubSub, AccessKeys: []azure.Key{key(t, keyA), key(t, keyB)}, Hubs: []string{"chat"}, Public: base, Open: true, CloseAtExpiry: true,
			Negotiate: proxy.Negotiate{
				Via: negotiate.ViaDirect, User: negotiate.UserFromToken, Roles: []string{"r"}, Groups: []string{"g"},
				Lifetime: time.Minute, MaxAge: 1500 * time.Millisecond,
			},
		}},
		{o.Routes[0].Affinity, proxy.Affinity{By: proxy.AffinityByHeader, Name: "X-Tenant"}},
		{o.Routes[0].HTTP, proxy.HTTP{
			Pass: true, Affinity: proxy.WithoutAffinity, Keys: []azure.Key{key(t, keyA), key(t, keyB)}, Cookie: "c",
			AnswerTimeout: time.Second, IdleTimeout: 2 * time.Second, BodyTimeout: 3 * time.Second,
		}},
		{o.Routes[0].RequireQuery, ""},
		{o.Routes[1].Service.Kind, azure.SignalR},
		{o.Routes[1].Service.Negotiate.User, negotiate.UserFromQuery},
		{o.Routes[1].Service.Negotiate.Lifetime, time.Hour},
		{o.Routes[1].Affinity, proxy.Affinity{}},
		{o.Routes[1].HTTP, proxy.HTTP{}},
		{o.Routes[1].RequireQuery, "region"},
	} {
		if diff := cmp.Diff(row.want, row.got, keysAndPlaces); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	east := o.Upstreams[0]
	if c, ok := east.Connection(); !ok || c.Endpoint.String() != "https://east.webpubsub.azure.com" || !c.Key.Equal(key(t, keyA)) || east.URL().String() != "wss://east.webpubsub.azure.com" {
		t.Errorf("east at %v: %v", east.URL(), c)
	}
	plain := build(t, pair)
	if _, ok := plain.Upstreams[0].Connection(); ok || plain.Routes[0].Service != nil {
		t.Error("a route of plain WebSockets has a service")
	}
}

// TestBuildHash: what keeps a client where it is.
func TestBuildHash(t *testing.T) {
	for text, want := range map[string]proxy.Affinity{
		"":                             {By: proxy.AffinityByClient},
		", hash: {by: client}":         {By: proxy.AffinityByClient},
		", hash: {by: user}":           {By: proxy.AffinityByUser},
		", hash: {by: query, name: q}": {By: proxy.AffinityByQuery, Name: "q"},
	} {
		o := build(t, regions+"routes: [{protocol: webpubsub, access_keys: ["+keyA+"], router: hash"+text+"}]")
		if got := o.Routes[0].Affinity; got != want {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// TestBuildPolicy: rules for groups are tried in the order of the file.
func TestBuildPolicy(t *testing.T) {
	o := build(t, regions+"routes: [{protocol: webpubsub, access_keys: ["+keyA+"], group_prefix: [{prefix: w-east, upstreams: [east]}, {prefix: w, upstreams: [west]}]}]")
	r := o.Routes[0]
	names := func(upstreams []*pool.Upstream) string {
		var all []string
		for _, u := range upstreams {
			all = append(all, u.Name())
		}
		return strings.Join(all, " ")
	}
	for group, want := range map[string]string{"w-east-1": "east", "west": "west", "other": "east west"} {
		if got := names(r.Policy.Group(group, o.Upstreams)); got != want {
			t.Errorf("group %s is on %q, want %q", group, got, want)
		}
	}
	if got := names(r.Policy.Broadcast(o.Upstreams)); got != "east west" {
		t.Errorf("a broadcast goes to %q", got)
	}
}

// TestBuildQueryRouter: a client gets whom it names.
func TestBuildQueryRouter(t *testing.T) {
	o := build(t, regions+"health: {initial: up}\nroutes: [{protocol: webpubsub, access_keys: ["+keyA+"], router: query}]")
	for query, want := range map[string]string{"endpoint=west": "west", "endpoint=West": "east", "": "east"} {
		lease, err := o.Routes[0].Set.Pick(pool.Request{Query: query, Client: netip.MustParseAddr("10.0.0.1")}, pool.Tried{})
		if err != nil {
			t.Fatal(err)
		}
		if got := lease.Upstream().Name(); got != want {
			t.Errorf("query %q: %s, want %s", query, got, want)
		}
		lease.Release()
	}
	if o.Routes[0].RequireQuery != "" {
		t.Error("the parameter is required")
	}
}

// TestBuildServiceProbes: instances are asked for their health where their REST
// API is, whatever other upstreams are asked.
func TestBuildServiceProbes(t *testing.T) {
	var mu sync.Mutex
	var asked string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = r.URL.Path
		if r.Header.Get("Authorization") != "" || r.Header.Get("Upgrade") != "" {
			asked = "with a token or an upgrade"
		}
	}))
	defer server.Close()
	f := func(health, where, want string) {
		t.Helper()
		mu.Lock()
		asked = ""
		mu.Unlock()
		o := build(t, "upstreams: [{name: a, connection_string: \""+where+";AccessKey="+keyA+"\"}]\naccess_keys: ["+keyA+"]\nroutes: [{protocol: signalr}]\nhealth: {interval: 1m, timeout: 1m, "+health+"}\n")
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { o.Upstreams[0].Checker().Run(ctx) })
		defer running.Wait()
		defer stop()
		probed, done := context.WithTimeout(t.Context(), time.Minute)
		defer done()
		if err := o.Upstreams[0].Checker().Fresh(probed, time.Hour); err != nil {
			t.Errorf("health %s of %s: %v", health, where, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if asked != want {
			t.Errorf("health %s of %s: asked for %q, want %q", health, where, asked, want)
		}
	}
	f("probe: http", "Endpoint="+server.URL, "/api/health")
	f("probe: http, path: /live", "Endpoint="+server.URL, "/live")
	f("probe: websocket", "Endpoint="+server.URL, "/api/health")
	f("probe: websocket, path: /echo", "Endpoint="+server.URL, "/api/health")
	f("probe: http", "Endpoint=http://127.0.0.1:1;ServerEndpoint="+server.URL+"/gate", "/gate/api/health")
	f("probe: tcp", "Endpoint="+server.URL, "")
}

// TestRebuildKeepsInstances has a row for each kind of change of a connection
// string: what it leaves of east, and of west.
func TestRebuildKeepsInstances(t *testing.T) {
	const rest = "routes: [{protocol: webpubsub, access_keys: [" + keyA + "]}]\n"
	east := func(before, after string) string { return strings.Replace(regions, before, after, 1) + rest }
	for _, row := range []struct {
		name       string
		file       string
		east, west kept
	}{
		{"nothing", regions + rest, all, all},
		{"the keys of a route", regions + strings.Replace(rest, keyA, keyB, 1), all, all},
		{"all else about a route", regions + strings.Replace(rest, "}]", ", hubs: [a], negotiate: {open: true}, router: hash}]", 1), all, all},
		{"fan-out", regions + rest + "fanout: {retry: 1}\n", all, all},
		{"on demand", regions + rest + "health: {on_demand: true, max_age: 1500ms}\n", all, all},
		{"the access key", east(keyA, keyB), checker, all},
		{"what means nothing", east(";Version=1.0;", ""), checker, all},
		{"where the REST API is", east("azure.com;", "azure.com;ServerEndpoint=https://gate.example;"), instance, all},
		{"where clients connect", east("azure.com;", "azure.com;ClientEndpoint=https://gate.example;"), nothing, all},
		{"the endpoint", east("https://east", "https://north"), nothing, all},
	} {
		t.Run(row.name, func(t *testing.T) {
			old, running := parse(t, regions+rest), build(t, regions+rest)
			for _, u := range running.Upstreams {
				mark(u)
			}
			o := rebuild(t, parse(t, row.file), old, running)
			for i, want := range []kept{row.east, row.west} {
				if got := find(t, running.Upstreams[i], o.Upstreams[i]); got != want {
					t.Errorf("%s: kept %d, want %d", o.Upstreams[i].Name(), got, want)
				}
			}
		})
	}
}

// TestRebuildRotatesKeys: the new keys are there at once, of instances and of
// routes.
func TestRebuildRotatesKeys(t *testing.T) {
	before := regions + "routes: [{protocol: webpubsub, access_keys: [" + keyA + "]}]\n"
	after := strings.ReplaceAll(strings.Replace(before, "["+keyA+"]", "["+keyB+", "+keyA+"]", 1), "AccessKey="+keyA, "AccessKey="+keyB)
	o := rebuild(t, parse(t, after), parse(t, before), build(t, before))
	if diff := cmp.Diff([]azure.Key{key(t, keyB), key(t, keyA)}, o.Routes[0].Service.AccessKeys, keysAndPlaces); diff != "" {
		t.Errorf("of the route: -want +got\n%s", diff)
	}
	for _, u := range o.Upstreams {
		if c, ok := u.Connection(); !ok || !c.Key.Equal(key(t, keyB)) {
			t.Errorf("%s has its old key", u.Name())
		}
	}
	if u := o.Routes[0].Set.Upstreams()[0]; u != o.Upstreams[0] {
		t.Error("the route has another upstream than the router")
	}
}
