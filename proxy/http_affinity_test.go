package proxy

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
)

// namedSite is an upstream that answers in the manner of the protocols and says
// its name. asked is the last request.
type namedSite struct {
	name    string
	address string
	asked   atomic.Pointer[http.Request]
}

func newNamedSite(t testing.TB, name string) *namedSite {
	s := &namedSite{name: name}
	s.address = site(t, func(w http.ResponseWriter, r *http.Request) {
		s.asked.Store(r.Clone(r.Context()))
		q := r.URL.Query()
		w.Header().Set("X-Name", name)
		switch {
		case strings.HasSuffix(r.URL.Path, "/negotiate"):
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Etag", `"x"`)
			switch q.Get("case") {
			case "gzip":
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				fmt.Fprintf(z, `{"negotiateVersion":1,"connectionToken":"token-%s"}`, name)
				z.Close()
			case "brotli":
				w.Header().Set("Content-Encoding", "br")
				fmt.Fprint(w, "opaque")
			case "broken":
				fmt.Fprint(w, `{"negotiateVersion":1,`)
			case "long":
				fmt.Fprintf(w, `{"x":"%s"}`, strings.Repeat("x", 100<<10))
			case "error":
				w.WriteHeader(http.StatusUnauthorized)
			default:
				fmt.Fprintf(w, `{"negotiateVersion":1,"connectionId":"id","connectionToken":"token-%s"}`, name)
			}
		case q.Get("EIO") != "" && q.Get("sid") == "":
			w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
			packet := fmt.Sprintf(`0{"sid":"sid-%s","upgrades":["websocket"]}`, name)
			if q.Get("EIO") == "3" {
				packet = fmt.Sprintf("%d:%s2:40", len(packet), packet)
			}
			fmt.Fprint(w, packet)
		default:
			fmt.Fprintf(w, "%s %s%s", name, q.Get("id"), q.Get("sid"))
		}
	})
	return s
}

// passingPair is two upstreams of equal rank behind a route.
func passingPair(t testing.TB, h HTTP) (r *rig, east, west *namedSite) {
	east, west = newNamedSite(t, "east"), newNamedSite(t, "west")
	r = passing(t, Options{}, h, member{name: "east", address: east.address}, member{name: "west", address: west.address})
	return r, east, west
}

// tries is how often a client comes back: without affinity it would not find the
// same upstream each time, but once in a million.
const tries = 20

// TestHTTPSignalRAffinity checks that what follows a negotiation goes to the same
// upstream, which never sees the hint, and that another router with the same key
// knows as well.
func TestHTTPSignalRAffinity(t *testing.T) {
	balanced(t)
	key, err := azure.ParseKey("a key that both routers have")
	if err != nil {
		t.Fatal(err)
	}
	r, _, _ := passingPair(t, HTTP{Keys: []azure.Key{key}})
	other := passing(t, Options{}, HTTP{Keys: []azure.Key{key}}, member{name: "west", address: r.upstream("west").URL().Host}, member{name: "east", address: r.upstream("east").URL().Host})
	client := r.browser()
	for range 4 {
		got := r.fetch(client, "POST", "/hub/negotiate?negotiateVersion=1", nil)
		var answer struct{ ConnectionToken, ConnectionID string }
		if err := json.Unmarshal([]byte(got.text), &answer); err != nil || got.StatusCode != 200 {
			t.Fatalf("got %s %q, %v", got.Status, got.text, err)
		}
		name := got.Header.Get("X-Name")
		bare := "token-" + name
		if !strings.HasPrefix(answer.ConnectionToken, bare+".pm") || answer.ConnectionID != "id" || got.Header.Get("Etag") != "" {
			t.Fatalf("got %q, %v", got.text, got.Header)
		}
		for i := range tries {
			at := r
			if i%2 == 1 {
				at = other
			}
			got := at.fetch(client, "GET", "/hub?x=1&id="+url.QueryEscape(answer.ConnectionToken)+"&_=2", nil)
			if got.text != name+" "+bare {
				t.Fatalf("came to %q, not to %s", got.text, name)
			}
		}
	}
}

// TestHTTPNegotiations checks which answers are changed: those that can be read.
func TestHTTPNegotiations(t *testing.T) {
	balanced(t)
	r, _, _ := passingPair(t, HTTP{})
	client := r.browser()
	for _, row := range []struct {
		name, path, method string
		status             int
		has                string
		encoding           string
	}{
		{"adapted", "/hub/negotiate", "POST", 200, ".pm", ""},
		{"unpacked", "/hub/negotiate?case=gzip", "POST", 200, ".pm", ""},
		{"opaque", "/hub/negotiate?case=brotli", "POST", 200, "opaque", "br"},
		{"no JSON", "/hub/negotiate?case=broken", "POST", 502, "bad_upstream_answer", ""},
		{"too long", "/hub/negotiate?case=long", "POST", 502, "bad_upstream_answer", ""},
		{"an error", "/hub/negotiate?case=error", "POST", 401, "", ""},
		{"no negotiation", "/hub/negotiate?case=broken", "GET", 200, `{"negotiateVersion":1,`, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := r.fetch(client, row.method, row.path, nil)
			if got.StatusCode != row.status || !strings.Contains(got.text, row.has) || got.Header.Get("Content-Encoding") != row.encoding {
				t.Errorf("got %s %v %q", got.Status, got.Header, got.text)
			}
		})
	}
}

// TestHTTPEngineAffinity checks the same for Engine.IO, in both versions, and that
// a WebSocket goes where its session was opened by polling.
func TestHTTPEngineAffinity(t *testing.T) {
	balanced(t)
	r, east, west := passingPair(t, HTTP{})
	client := r.browser()
	for _, version := range []string{"4", "3"} {
		got := r.fetch(client, "GET", "/engine.io/?EIO="+version+"&transport=polling", nil)
		name := got.Header.Get("X-Name")
		at := map[string]*namedSite{"east": east, "west": west}[name]
		if at.asked.Load().Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("the upstream was asked for %q", at.asked.Load().Header.Get("Accept-Encoding"))
		}
		bare := "sid-" + name
		sid := bare
		if version == "4" {
			_, rest, _ := strings.Cut(got.text, `"sid":"`)
			sid, _, _ = strings.Cut(rest, `"`)
			if !strings.HasPrefix(sid, bare+".pm") || !strings.HasSuffix(got.text, `","upgrades":["websocket"]}`) {
				t.Fatalf("got %q", got.text)
			}
		} else if want := fmt.Sprintf(`44:0{"sid":"%s","upgrades":["websocket"]}2:40`, bare); got.text != want {
			t.Fatalf("got %q, want %q", got.text, want)
		}
		for range tries {
			if got := r.fetch(client, "POST", "/engine.io/?EIO="+version+"&transport=polling&sid="+sid, strings.NewReader("x")); got.text != name+" "+bare {
				t.Fatalf("came to %q, not to %s", got.text, name)
			}
		}
		for range tries {
			c := r.ask(strings.Replace(goodHead, "/chat?room=1", "/engine.io/?EIO="+version+"&transport=websocket&sid="+sid, 1))
			if a := c.answer(); a.body != name+" "+bare { // it is no WebSocket server and says so
				t.Fatalf("the handshake came to %q, not to %s", a.body, name)
			}
		}
	}
}

// TestHTTPAffinityLost checks that a client whose upstream is down is led to
// another one, which does not know it, and that a stranger's hint leads nowhere.
func TestHTTPAffinityLost(t *testing.T) {
	balanced(t)
	east, west := newNamedSite(t, "east"), newNamedSite(t, "west")
	once := health.Options{Fall: 1}
	r := passing(t, Options{}, HTTP{}, member{name: "east", address: east.address, health: once, max: 1}, member{name: "west", address: west.address, health: once, max: 1})
	client := r.browser()
	got := r.fetch(client, "POST", "/hub/negotiate", nil)
	name := got.Header.Get("X-Name")
	var answer struct{ ConnectionToken string }
	if err := json.Unmarshal([]byte(got.text), &answer); err != nil {
		t.Fatal(err)
	}
	// That no new client may come does not concern it.
	r.upstream(name).Disable("test")
	if got = r.fetch(client, "GET", "/hub?id="+answer.ConnectionToken, nil); got.text != name+" token-"+name {
		t.Errorf("came to %q", got.text)
	}
	r.upstream(name).Checker().Lost(errGone)
	got = r.fetch(client, "GET", "/hub?id="+answer.ConnectionToken, nil)
	if got.Header.Get("X-Name") == name || !strings.HasSuffix(got.text, " token-"+name) {
		t.Errorf("came to %q", got.text)
	}
	forged := "unheard-of.pmAAAAAAAAAAAAAAAA"
	if got = r.fetch(client, "GET", "/hub?id="+forged, nil); !strings.HasSuffix(got.text, " "+forged) {
		t.Errorf("got %q", got.text)
	}
}

// TestHTTPCookieAffinity checks the cookie: it is set once, leads to the same
// upstream, for handshakes too, and is set anew when that has gone.
func TestHTTPCookieAffinity(t *testing.T) {
	balanced(t)
	r, _, _ := passingPair(t, HTTP{Affinity: AffinityByCookie, Cookie: "lane"})
	client := r.browser()
	client.Jar, _ = cookiejar.New(nil)
	got := r.fetch(client, "GET", "/", nil)
	name := got.Header.Get("X-Name")
	cookie := got.Header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "lane=") || !strings.HasSuffix(cookie, "; Path=/; HttpOnly; SameSite=Lax") {
		t.Fatalf("got %q", cookie)
	}
	for range tries {
		if got := r.fetch(client, "GET", "/", nil); got.Header.Get("X-Name") != name || got.Header.Get("Set-Cookie") != "" {
			t.Fatalf("came to %s, cookie %q", got.Header.Get("X-Name"), got.Header.Get("Set-Cookie"))
		}
		pair, _, _ := strings.Cut(cookie, ";")
		if a := r.ask(add("Cookie: a=b; " + pair)).answer(); a.Header.Get("X-Name") != name {
			t.Fatalf("the handshake came to %s", a.Header.Get("X-Name"))
		}
	}
	r.upstream(name).Disable("test")
	got = r.fetch(client, "GET", "/", nil)
	if next := got.Header.Get("X-Name"); next == name || got.Header.Get("Set-Cookie") == "" {
		t.Errorf("came to %s, cookie %q", next, got.Header.Get("Set-Cookie"))
	}
	r.upstream(name).Enable()
	for range tries {
		if again := r.fetch(client, "GET", "/", nil); again.Header.Get("X-Name") != got.Header.Get("X-Name") {
			t.Fatalf("came to %s", again.Header.Get("X-Name"))
		}
	}
}

// TestHTTPAffinityAcrossReloads checks that a reload forgets nothing.
func TestHTTPAffinityAcrossReloads(t *testing.T) {
	balanced(t)
	r, _, _ := passingPair(t, HTTP{})
	client := r.browser()
	got := r.fetch(client, "GET", "/engine.io/?EIO=3&transport=polling", nil)
	name := got.Header.Get("X-Name")
	w := r.world.Load()
	if err := r.Apply(w.options); err != nil {
		t.Fatal(err)
	}
	for range tries {
		if got := r.fetch(client, "GET", "/engine.io/?EIO=3&transport=polling&sid=sid-"+name, nil); got.Header.Get("X-Name") != name {
			t.Fatalf("came to %s", got.Header.Get("X-Name"))
		}
	}
}

// TestHTTPSettings checks that mistakes are named.
func TestHTTPSettings(t *testing.T) {
	east := member{address: "127.0.0.1:1"}.build(t)
	route := Route{Set: set(t, east), HTTP: HTTP{Pass: true, Affinity: 9, Cookie: "a b", Keys: []azure.Key{{}}}}
	_, err := New(Options{Upstreams: []*pool.Upstream{east}, Routes: []Route{route}})
	for _, want := range []string{"affinity 9", `cookie "a b"`, "key 1 is empty"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
