package negotiate

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
)

func decode(t testing.TB, a Answer) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.Body, &m); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	if a.Status != 200 || a.ContentType != typeJSON || a.field("Cache-Control") != "no-store" {
		t.Errorf("answer %d, %s, %v", a.Status, a.ContentType, a.Fields)
	}
	return m
}

func TestWebPubSub(t *testing.T) {
	for _, row := range []struct {
		name             string
		via              Via
		public, target   string
		eastDown         bool
		url, endpoint    string
		secret, upstream string
	}{
		{"by proxy", ViaProxy, "", "/negotiate?hub=chat", false, "wss://pointsman.example/client/hubs/chat", here, ownText, "east"},
		{"by proxy, public URL", ViaProxy, "http://p.example:8080/ws", "/negotiate?hub=chat", false,
			"ws://p.example:8080/ws/client/hubs/chat",
			"http://p.example:8080", ownText, "east"},
		{"direct", ViaDirect, "", "/negotiate?hub=Chat", false, "wss://near.east.example/client/hubs/Chat",
			"https://east.example:8443", eastText, "east"},
		{"direct, primary down", ViaDirect, "", "/negotiate?hub=chat", true, "ws://west.example/client/hubs/chat",
			"http://west.example", westText, "west"},
	} {
		for _, method := range []string{"GET", "POST"} {
			t.Run(row.name+" "+method, func(t *testing.T) {
				r := newRig(t, azure.WebPubSub, func(o *Options) {
					o.Via, o.Open = row.via, true
					o.Roles, o.Groups, o.Lifetime = []string{"webpubsub.sendToGroup"}, []string{"g1", "g2"}, 5*time.Minute
					if row.public != "" {
						o.Public = []azure.Base{base(t, row.public), base(t, here)}
					}
				})
				if row.eastDown {
					down(r.east)
				}
				request := r.request(method, row.target+"&userId=al%20ice")
				request.Authorization = ""
				before := time.Now()
				a := r.n.Negotiate(request)
				m := decode(t, a)
				got, err := url.Parse(m["url"].(string))
				if err != nil || len(m) != 1 {
					t.Fatalf("%v, %v", m, err)
				}
				token := got.Query().Get("access_token")
				if got.RawQuery = ""; got.String() != row.url || a.Upstream != row.upstream {
					t.Errorf("led to %s, upstream %s", got, a.Upstream)
				}
				claims := says(t, token, row.secret, row.endpoint, client(t, azure.WebPubSub, "chat"))
				if claims.Claims().User(azure.WebPubSub) != "al ice" || !slices.Equal(claims.Claims().Strings("role"),
					[]string{"webpubsub.sendToGroup"}) ||
					!slices.Equal(claims.Claims().Strings("webpubsub.group"), []string{"g1", "g2"}) {
					t.Errorf("claims %v", claims.Claims())
				}
				if left := claims.Expires().Sub(before); left < 4*time.Minute || left > 6*time.Minute {
					t.Errorf("lifetime %v", left)
				}
			})
		}
	}
}

func TestSignalR(t *testing.T) {
	for _, row := range []struct {
		name, query     string
		via             Via
		version         any
		url, endpoint   string
		secret, asrsUID string
	}{
		{"version 0", "hub=Chat", ViaProxy, nil, "https://pointsman.example/client/?hub=chat", here, ownText, ""},
		{"version 1", "hub=chat&negotiateVersion=1", ViaProxy, 1.0, "https://pointsman.example/client/?hub=chat", here, ownText, ""},
		{"version 99", "hub=chat&negotiateVersion=99", ViaProxy, 1.0, "https://pointsman.example/client/?hub=chat", here, ownText, ""},
		{"huge version", "hub=chat&negotiateVersion=99999999999999999999", ViaProxy, 1.0,
			"https://pointsman.example/client/?hub=chat", here, ownText, ""},
		{"direct", "negotiateVersion=1&hub=chat&userId=u", ViaDirect, 1.0, "https://near.east.example/client/?hub=chat",
			"https://east.example:8443", eastText, "u"},
		{"the rest stays", "a=%2fb&hub=chat&&negotiateVersion=1&access_token=x&id=3&useStatefulReconnect=true&endpoint=east&UserID=u&c&pointsman_to=x&HUB%20=1",
			ViaProxy, 1.0, "https://pointsman.example/client/?hub=chat&a=%2fb&endpoint=east&c&HUB%20=1", here, ownText, "u"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, azure.SignalR, func(o *Options) { o.Via, o.Open = row.via, true })
			request := r.request("POST", "/negotiate?"+row.query)
			a := r.n.Negotiate(request)
			m := decode(t, a)
			token := m["accessToken"].(string)
			want := map[string]any{"url": row.url, "accessToken": token, "availableTransports": []any{}}
			if row.version != nil {
				want["negotiateVersion"] = row.version
			}
			if diff := cmp.Diff(want, m); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(string(a.Body), `\u0026`) {
				t.Errorf("the URL is escaped: %s", a.Body)
			}
			claims := says(t, token, row.secret, row.endpoint, client(t, azure.SignalR, "chat"))
			if got := claims.Claims().String(azure.ClaimSignalRUser); got != row.asrsUID {
				t.Errorf("user %q", got)
			}
		})
	}
}

func TestSignalRVersions(t *testing.T) {
	r := newRig(t, azure.SignalR, func(o *Options) { o.Open = true })
	for query, say := range map[string]string{
		"negotiateVersion=abc": "not a number", "negotiateVersion=1.5": "not a number", "negotiateVersion=-1": "not supported",
		"negotiateVersion=-99999999999999999999": "not supported", "negotiateVersion=1&negotiateVersion=0": "more than once",
	} {
		m := decode(t, r.n.Negotiate(r.request("POST", "/negotiate?hub=chat&"+query)))
		if text, _ := m["error"].(string); !strings.Contains(text, say) || len(m) != 1 {
			t.Errorf("%s: %v", query, m)
		}
	}
}

func TestNegotiateRefuses(t *testing.T) {
	strict := func(o *Options) {
		o.Pick = func(pool.Request) (*pool.Upstream, error) { return nil, &Refusal{400, "Invalid request"} }
	}
	for _, row := range []struct {
		name, method, target string
		s                    azure.Service
		change               func(*Options)
		status               int
		say                  string
	}{
		{"SignalR by GET", "GET", "/negotiate?hub=a", azure.SignalR, nil, 405, ""},
		{"SignalR by PUT", "PUT", "/negotiate?hub=a", azure.SignalR, nil, 405, ""},
		{"HEAD", "HEAD", "/negotiate?hub=a", azure.WebPubSub, nil, 405, ""},
		{"small letters", "post", "/negotiate?hub=a", azure.WebPubSub, nil, 405, ""},
		{"OPTIONS without an origin", "OPTIONS", "/negotiate?hub=a", azure.WebPubSub, nil, 405, ""},
		{"no hub", "POST", "/negotiate", azure.SignalR, nil, 400, "Invalid value of 'hub'"},
		{"empty hub", "POST", "/negotiate?hub=", azure.SignalR, nil, 400, "Invalid value of 'hub'"},
		{"bad hub", "POST", "/negotiate?hub=a%2Fb", azure.WebPubSub, nil, 400, "Invalid value of 'hub'"},
		{"hub with NUL", "POST", "/negotiate?hub=a%00", azure.WebPubSub, nil, 400, "Invalid value of 'hub'"},
		{"two hubs", "POST", "/negotiate?hub=a&Hub=a", azure.WebPubSub, nil, 400, "more than one hub"},
		{"another hub than the route's", "POST", "/negotiate?hub=a", azure.WebPubSub, func(o *Options) { o.Hubs = []string{"chat"} }, 400,
			"Invalid value of 'hub'"},
		{"two users", "POST", "/negotiate?hub=a&userId=a&userId=b", azure.WebPubSub, nil, 400, "more than one userId"},
		{"user is no UTF-8", "POST", "/negotiate?hub=a&userId=%ff", azure.WebPubSub, nil, 400, "userId is not UTF-8"},
		{"bad escape", "POST", "/negotiate?hub=a&x=%zz", azure.WebPubSub, nil, 400, "bad escape"},
		{"bad escape in a name", "POST", "/negotiate?hub=a&%=1", azure.WebPubSub, nil, 400, "bad escape"},
		{"long query", "POST", "/negotiate?hub=a&x=" + strings.Repeat("a", maxQuery), azure.WebPubSub, nil, 414, "too long"},
		{"long user", "POST", "/negotiate?hub=a&userId=" + strings.Repeat("a", azure.MaxClientToken), azure.SignalR, nil, 413,
			"too long"},
		{"very long user", "POST", "/negotiate?hub=a&userId=" + strings.Repeat("a", 10<<10), azure.WebPubSub, nil, 413, "too long"},
		{"the router says no", "POST", "/negotiate?hub=a", azure.SignalR, strict, 400, "Invalid request"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, row.s, row.change)
			a := r.n.Negotiate(r.request(row.method, row.target))
			if a.Status != row.status || !strings.Contains(string(a.Body), row.say) || a.Upstream != "" {
				t.Errorf("answered %d %s", a.Status, a.Body)
			}
			if a.Status == 405 && (a.field("Allow") == "" || strings.Contains(a.field("Allow"), "GET") != (row.s == azure.WebPubSub)) {
				t.Errorf("allowed is %q", a.field("Allow"))
			}
		})
	}
}

func TestNegotiateHubOfTheRoute(t *testing.T) {
	r := newRig(t, azure.WebPubSub, func(o *Options) { o.Hubs = []string{"Chat"} })
	for _, target := range []string{"/negotiate", "/negotiate?hub=chat", "/negotiate?hub="} {
		if m := decode(t, r.n.Negotiate(r.request("GET", target))); !strings.HasPrefix(m["url"].(string),
			"wss://pointsman.example/client/hubs/Chat?") {
			t.Errorf("%s: %v", target, m)
		}
	}
}

func TestNegotiateNobodyThere(t *testing.T) {
	for _, via := range []Via{ViaProxy, ViaDirect} {
		r := newRig(t, azure.SignalR, func(o *Options) { o.Via = via })
		down(r.east)
		down(r.west)
		waits := make(map[string]bool)
		for range 200 {
			a := r.n.Negotiate(r.request("POST", "/negotiate?hub=a"))
			if a.Status != 503 {
				t.Fatalf("via %v: answered %d %s", via, a.Status, a.Body)
			}
			waits[a.field("Retry-After")] = true
		}
		// Of 5 equally likely numbers, 200 draws miss one with a chance of 2e-19.
		if want := map[string]bool{"1": true, "2": true, "3": true, "4": true, "5": true}; !cmp.Equal(waits, want) {
			t.Errorf("via %v: Retry-After is one of %v", via, waits)
		}
	}
	r := newRig(t, azure.SignalR, func(o *Options) {
		o.Pick = func(pool.Request) (*pool.Upstream, error) { return nil, nil }
	})
	if a := r.n.Negotiate(r.request("POST", "/negotiate?hub=a")); a.Status != 503 {
		t.Errorf("a pick of nobody: %d", a.Status)
	}
	stranger := upstream(t, "stranger", "Endpoint=https://x;AccessKey=a", pool.Primary)
	r = newRig(t, azure.SignalR, func(o *Options) {
		o.Pick = func(pool.Request) (*pool.Upstream, error) { return stranger.Upstream, nil }
	})
	if a := r.n.Negotiate(r.request("POST", "/negotiate?hub=a")); a.Status != 503 {
		t.Errorf("a pick of a stranger: %d", a.Status)
	}
}

func TestNegotiateAsksTheRouter(t *testing.T) {
	var asked pool.Request
	r := newRig(t, azure.SignalR, nil)
	r.n.o.Pick = func(q pool.Request) (*pool.Upstream, error) {
		asked = q
		return r.west.Upstream, nil
	}
	a := r.n.Negotiate(r.request("POST", "/negotiate?hub=a&endpoint=west"))
	if want := (pool.Request{Host: "pointsman.example", Path: "/negotiate", Query: "hub=a&endpoint=west"}); asked != want ||
		a.Upstream != "west" {
		t.Errorf("asked %+v, upstream %s", asked, a.Upstream)
	}
}

func TestNegotiateWithoutHost(t *testing.T) {
	r := newRig(t, azure.SignalR, func(o *Options) { o.Open = true })
	request := r.request("POST", "/negotiate?hub=a")
	request.Base = azure.Base{}
	if a := r.n.Negotiate(request); a.Status != 400 {
		t.Errorf("answered %d %s", a.Status, a.Body)
	}
}

// TestCallers checks all doors with all kinds of tokens: the same 401 for all that are wrong.
func TestCallers(t *testing.T) {
	const path = "/negotiate"
	r := newRig(t, azure.WebPubSub, nil)
	open := newRig(t, azure.WebPubSub, func(o *Options) { o.Open = true })
	sign := func(secret, audience string, life time.Duration) string {
		token, err := azure.Mint(key(t, secret), azure.NewClaims(audience, time.Now(), life))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	long := strings.Repeat("a", azure.MaxToken+1)
	for _, row := range []struct {
		name, header, query string
		status              int
	}{
		{"first key", "Bearer " + sign(ownText, here+path, time.Minute), "", 200},
		{"second key", "Bearer " + sign(newText, here+path+"?hub=chat", time.Minute), "", 200},
		{"in the query", "", "&access_token=" + sign(ownText, here+path, time.Minute), 200},
		{"none", "", "", 401},
		{"rubbish", "Bearer x", "", 401},
		{"basic", "Basic " + sign(ownText, here+path, time.Minute), "", 401},
		{"other key", "Bearer " + sign(eastText, here+path, time.Minute), "", 401},
		{"expired", "Bearer " + sign(ownText, here+path, -time.Hour), "", 401},
		{"other host", "Bearer " + sign(ownText, "https://east.example"+path, time.Minute), "", 401},
		{"other path", "Bearer " + sign(ownText, here+"/client/hubs/chat", time.Minute), "", 401},
		{"none as algorithm", "Bearer eyJhbGciOiJub25lIn0.eyJleHAiOjk5OTk5OTk5OTl9.", "", 401},
		{"two tokens", "Bearer " + sign(ownText, here+path, time.Minute), "&access_token=x", 401},
		{"too long", "Bearer " + long, "", 431},
	} {
		t.Run(row.name, func(t *testing.T) {
			request := r.request("POST", path+"?hub=chat"+row.query)
			request.Authorization = row.header
			a := r.n.Negotiate(request)
			if a.Status != row.status {
				t.Errorf("negotiate: answered %d %s", a.Status, a.Body)
			}
			if row.status == 401 {
				if diff := cmp.Diff(unauthorized(), a); diff != "" {
					t.Error(diff)
				}
			}
			if a := open.n.Negotiate(request); a.Status != 200 {
				t.Errorf("open route: answered %d %s", a.Status, a.Body)
			}
			request.Method = "GET"
			if a := open.n.List(request); a.Status != row.status {
				t.Errorf("list: answered %d %s", a.Status, a.Body)
			}
			request.Method = "POST"
			request.Query = "api-version=2024-01-01" + row.query
			if a := open.n.GenerateToken(request, "chat"); a.Status != row.status {
				t.Errorf("generate: answered %d %s", a.Status, a.Body)
			}
		})
	}
	if n := r.n.verifier.Cached(); n > 3 { // two of the good ones may be the same
		t.Errorf("%d tokens are remembered, 3 were good", n)
	}
	request := r.request("POST", path+"?access_token="+long)
	if a := r.n.List(func() Request { request.Method = "GET"; return request }()); a.Status != 414 {
		t.Errorf("a long token in the query: answered %d", a.Status)
	}
}

func TestUsers(t *testing.T) {
	for _, row := range []struct {
		user               User
		query, token, want string
	}{
		{UserFromQuery, "&userId=q", "t", "q"}, {UserFromQuery, "", "t", "t"}, {UserFromQuery, "&userId=", "", ""},
		{UserFromToken, "&userId=q", "t", "t"}, {UserFromToken, "&userId=q", "", ""}, {NoUser, "&userId=q", "t", ""},
	} {
		r := newRig(t, azure.WebPubSub, func(o *Options) { o.User = row.user })
		request := r.request("GET", "/negotiate?hub=chat"+row.query)
		request.Authorization = "Bearer " + r.token("/negotiate", ownText, row.token)
		u, err := url.Parse(decode(t, r.n.Negotiate(request))["url"].(string))
		if err != nil {
			t.Fatal(err)
		}
		got := says(t, u.Query().Get("access_token"), ownText, here, client(t, azure.WebPubSub, "chat"))
		if user := got.Claims().User(azure.WebPubSub); user != row.want {
			t.Errorf("%+v: user %q", row, user)
		}
	}
}

// TestNegotiateHubs has a route with several hubs: one has to be named, and is written as the route writes it.
func TestNegotiateHubs(t *testing.T) {
	r := newRig(t, azure.WebPubSub, func(o *Options) { o.Hubs, o.Open = []string{"Chat", "news"}, true })
	for query, want := range map[string]string{"?hub=CHAT": "/client/hubs/Chat", "?hub=news": "/client/hubs/news", "?hub=other": "", "": ""} {
		request := Request{Request: pool.Request{Path: "/negotiate", Query: strings.TrimPrefix(query, "?")}, Method: "GET", Base: base(t, here)}
		a := r.n.Negotiate(request)
		if want == "" {
			if a.Status != 400 {
				t.Errorf("%s: %d %s", query, a.Status, a.Body)
			}
			continue
		}
		if a.Status != 200 || !strings.Contains(string(a.Body), want+"?") {
			t.Errorf("%s: %d %s", query, a.Status, a.Body)
		}
	}
}

// TestOriginsAdmits has a list in another form.
func TestOriginsAdmits(t *testing.T) {
	r := newRig(t, azure.WebPubSub, func(o *Options) {
		o.Open, o.Origins = true, []string{"https://*.app.example"}
		o.Admits = func(origin string) bool { return origin == "https://a.app.example" }
	})
	for origin, status := range map[string]int{"https://a.app.example": 200, "https://*.app.example": 403, "": 200} {
		request := Request{Request: pool.Request{Path: "/negotiate", Query: "hub=chat"}, Method: "GET", Base: base(t, here), Origin: origin}
		if a := r.n.Negotiate(request); a.Status != status {
			t.Errorf("%q: %d", origin, a.Status)
		}
	}
}

func TestOrigins(t *testing.T) {
	some := func(o *Options) { o.Origins = []string{"https://app.example", "https://b.example"} }
	every := func(o *Options) { o.Origins = []string{"*"} }
	for _, row := range []struct {
		name, method, origin, asked string
		change                      func(*Options)
		status                      int
		allow, methods              string
	}{
		{"preflight", "OPTIONS", "https://app.example", "POST", some, 204, "https://app.example", "POST"},
		{"preflight of any", "OPTIONS", "https://x.example", "POST", every, 204, "https://x.example", "POST"},
		{"preflight of another", "OPTIONS", "https://x.example", "POST", some, 403, "", ""},
		{"preflight without a list", "OPTIONS", "https://app.example", "POST", nil, 405, "", ""},
		{"no preflight", "OPTIONS", "https://app.example", "", some, 405, "https://app.example", ""},
		{"admitted", "POST", "https://b.example", "", some, 200, "https://b.example", ""},
		{"refused but readable", "GET", "https://b.example", "", some, 405, "https://b.example", ""},
		{"another", "POST", "https://x.example", "", some, 403, "", ""},
		{"another case", "POST", "https://APP.example", "", some, 403, "", ""},
		{"null", "POST", "null", "", some, 403, "", ""},
		{"no origin", "POST", "", "", some, 200, "", ""},
		{"no list", "POST", "https://x.example", "", nil, 200, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, azure.SignalR, row.change)
			request := r.request(row.method, "/negotiate?hub=chat")
			request.Origin, request.AskedMethod = row.origin, row.asked
			a := r.n.Negotiate(request)
			if a.Status != row.status || a.field("Access-Control-Allow-Origin") != row.allow ||
				a.field("Access-Control-Allow-Methods") != row.methods {
				t.Errorf("answered %d %s %v", a.Status, a.Body, a.Fields)
			}
			if (a.field("Access-Control-Allow-Credentials") == "true") != (row.allow != "") ||
				(a.field("Vary") == "Origin") != (row.change != nil) {
				t.Errorf("fields %v", a.Fields)
			}
			if row.status == 204 && !strings.Contains(a.field("Access-Control-Allow-Headers"), "x-signalr-user-agent") {
				t.Errorf("fields %v", a.Fields)
			}
		})
	}
}
