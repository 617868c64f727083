package negotiate

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pointsman/pointsman/internal/azure"
)

// listOf reads the negotiation form.
func listOf(t testing.TB, a Answer) []listed {
	t.Helper()
	var body map[string][]listed
	if err := json.Unmarshal(a.Body, &body); err != nil || a.Status != 200 || len(body) != 1 {
		t.Fatalf("answered %d %s, %v", a.Status, a.Body, err)
	}
	return body["endpoints"]
}

func TestListEndpoints(t *testing.T) {
	r := newRig(t, azure.SignalR, func(o *Options) { o.Via = ViaDirect })
	ask := func() string { return string(r.n.List(r.request("GET", "/api/upstreams?form=endpoints")).Body) }
	want := `[{"endpointType":"Primary","name":"east","endpoint":"https://east.example:8443","online":true},` +
		`{"endpointType":"Secondary","name":"west","endpoint":"http://west.example","online":true}]`
	if got := ask(); got != want {
		t.Errorf("got %s", got)
	}
	down(r.east)
	if got, want := ask(), strings.Replace(want, `"online":true`, `"online":false`, 1); got != want {
		t.Errorf("east is down: %s", got)
	}
	r.west.Disable("maintenance")
	if got, want := ask(), strings.ReplaceAll(want, `"online":true`, `"online":false`); got != want {
		t.Errorf("west is disabled too: %s", got)
	}
}

func TestListDirect(t *testing.T) {
	r := newRig(t, azure.SignalR, func(o *Options) { o.Via = ViaDirect })
	down(r.east)
	list := listOf(t, r.n.List(r.request("GET", "/api/upstreams?hub=Chat&userId=u")))
	hub := client(t, azure.SignalR, "chat")
	for i, want := range []struct{ url, endpoint, secret string }{
		{"https://near.east.example/client/?hub=chat", "https://east.example:8443", eastText},
		{"http://west.example/client/?hub=chat", "http://west.example", westText},
	} {
		if list[i].Endpoint != want.endpoint || list[i].Connection.URL != want.url || list[i].Connection.BaseURL != "" {
			t.Errorf("%d: %+v", i, list[i])
		}
		if token := says(t, list[i].Connection.Token, want.secret, want.endpoint, hub); token.Claims().User(azure.SignalR) != "u" {
			t.Errorf("%d: claims %v", i, token.Claims())
		}
	}
}

func TestListByProxy(t *testing.T) {
	steer, err := NewAffinity(AffinityOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []azure.Service{azure.SignalR, azure.WebPubSub} {
		for _, with := range []*Affinity{nil, steer} {
			r := newRig(t, s, func(o *Options) { o.Steer = with })
			for i, e := range listOf(t, r.n.List(r.request("GET", "/api/upstreams?hub=chat"))) {
				u, err := url.Parse(e.Connection.URL)
				if err != nil || u.Host != "pointsman.example" || e.Endpoint != here {
					t.Fatalf("%+v, %v", e, err)
				}
				q := u.Query()
				if _, to, found := steer.Find(q.Get(SteerParameter), []string{"west", "east"}); found != (with != nil) || found &&
					to != []string{"east", "west"}[i] {
					t.Errorf("%v: %s leads to %q", s, e.Connection.URL, to)
				}
				q.Del(SteerParameter)
				u.RawQuery = q.Encode()
				want := "https://pointsman.example/client/?hub=chat"
				if s == azure.WebPubSub {
					want = "wss://pointsman.example/client/hubs/chat?access_token=" + e.Connection.Token
					if base, _, _ := strings.Cut(e.Connection.BaseURL, "?"); base != "wss://pointsman.example/client/hubs/chat" {
						t.Errorf("base URL %s", e.Connection.BaseURL)
					}
				}
				if u.String() != want {
					t.Errorf("%v: %s, want %s", s, u, want)
				}
				says(t, e.Connection.Token, ownText, here, client(t, s, "chat"))
			}
		}
	}
}

func TestListRefuses(t *testing.T) {
	r := newRig(t, azure.SignalR, nil)
	got := make(map[string]int)
	for _, target := range []string{
		"/api/upstreams", "/api/upstreams?hub=1", "/api/upstreams?hub=a&hub=b", "/api/upstreams?hub=a&form=x",
		"/api/upstreams?hub=a&form=endpoints&form=",
		"/api/upstreams?hub=a&userId=%ff", "/api/upstreams?hub=%", "/api/upstreams?hub=a&userId=" + strings.Repeat("a", 4000),
	} {
		got[target[:min(len(target), 50)]] = r.n.List(r.request("GET", target)).Status
	}
	want := map[string]int{
		"/api/upstreams": 400, "/api/upstreams?hub=1": 400, "/api/upstreams?hub=a&hub=b": 400, "/api/upstreams?hub=a&form=x": 400,
		"/api/upstreams?hub=a&form=endpoints&form=": 400, "/api/upstreams?hub=a&userId=%ff": 400, "/api/upstreams?hub=%": 400,
		"/api/upstreams?hub=a&userId=" + strings.Repeat("a", 22): 413,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if a := r.n.List(r.request("POST", "/api/upstreams?hub=a")); a.Status != 405 || a.field("Allow") != "GET" {
		t.Errorf("POST: answered %d", a.Status)
	}
	request := r.request("GET", "/api/upstreams?hub=a")
	request.Base = azure.Base{}
	if a := r.n.List(request); a.Status != 401 { // a token for nowhere
		t.Errorf("no host: answered %d", a.Status)
	}
}
