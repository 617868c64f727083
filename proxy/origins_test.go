package proxy

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/handshake"
)

// asks returns a handshake with further field lines.
func asks(t testing.TB, lines ...string) *handshake.Request {
	t.Helper()
	r := new(handshake.Request)
	err := handshake.ParseRequest([]byte(add(append(lines, "X-Last: 1")...)), handshake.Limits{Size: 1 << 20}, r)
	if err == nil {
		err = r.CheckUpgrade()
	}
	if err != nil {
		t.Fatalf("%q: %v", lines, err)
	}
	return r
}

// TestOrigins: which origins a list lets in.
func TestOrigins(t *testing.T) {
	f := func(list string, origin string, want error) {
		t.Helper()
		o, err := newOrigins(strings.Fields(list))
		if err != nil {
			t.Fatal(err)
		}
		if got := o.check(asks(t, "Origin: "+origin)); !errors.Is(got, want) {
			t.Errorf("%s with %s: %v, want %v", origin, list, got, want)
		}
	}
	const app = "https://app.example"
	f(app, app, nil)
	f(app, "HTTPS://App.Example", nil)
	f("HTTPS://App.Example:443", app, nil)
	f(app, app+":443", nil)
	f(app, app+":0443", nil)
	f("http://app.example", "http://app.example:80", nil)
	f("https://app.example:8443", "https://app.example:8443", nil)
	f("https://other.example "+app+" null", app, nil)
	f("https://other.example "+app+" null", "null", nil)
	f("https://[2001:db8::1]:8443", "https://[2001:0DB8:0::1]:8443", nil)
	f("https://192.0.2.7", "https://192.0.2.7", nil)
	f("chrome-extension://abcdefgh", "chrome-extension://abcdefgh", nil)
	f("https://under_score.example", "https://under_score.example", nil)

	for _, other := range []string{
		"http://app.example", "https://app.example:8443", "https://app.example:80", "https://example", "https://a.app.example",
		"https://app.example.evil.example", "https://evilapp.example", "https://app.exampl", "https://app.example2", "https://app-example",
		"wss://app.example", "httpss://app.example", "https://[::1]", "chrome-extension://app.example", "null",
	} {
		f(app, other, errOrigin)
	}
	f("https://*.app.example", "https://a.app.example", nil)
	f("https://*.app.example", "https://B.a.App.example:443", nil)
	f("https://*.app.example:8443", "https://a.app.example:8443", nil)
	f("HTTPS://*.App.Example", "https://a.app.example", nil)
	for _, other := range []string{
		"https://app.example", "http://a.app.example", "https://a.app.example:8443", "https://aapp.example", "https://a.app.example.evil.example",
		"https://evil.example:443", "null",
	} {
		f("https://*.app.example", other, errOrigin)
	}
	for _, bad := range []string{
		"", "*", "app.example", "//app.example", "https:app.example", "https:/app.example", "https://", "https://:443", "://app.example", "1https://app.example",
		app + "/", app + "/x", app + "?x", app + "#x", app + ":", app + ":0", app + ":65536", app + ":x", app + ":+443", app + ":443:443", app + ".", "https://.app.example",
		"https://a..app.example", "https://*.app.example", "https://u@app.example", "https://app.example@evil.example", app + " " + app, app + ", " + app, "null null", "Null",
		"https://app.example\\.evil.example", "https://app%2eexample", "https://\xc3\xa4.example", "https://[::1", "https://[::1]x", "https://[fe80::1%25eth0]",
		"https://[192.0.2.7]", "https://[", "https://" + strings.Repeat("a", 254), "https://a\tb", strings.Repeat("https://", 1000), "file://",
	} {
		f(app+" https://*.app.example null", bad, errBadOrigin)
	}
	f("", "https://evil.example", nil)
	f("", "https:///", nil)
}

// TestOriginFields: none, and more than one.
func TestOriginFields(t *testing.T) {
	o, err := newOrigins([]string{"https://app.example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.check(asks(t)); err != nil {
		t.Errorf("without an Origin: %v", err)
	}
	if err := o.check(asks(t, "Origin: https://app.example", "origin: https://app.example")); err != errOrigins {
		t.Errorf("with two: %v", err)
	}
}

// TestOriginMistakes: what a list must not hold, each mistake by its name.
func TestOriginMistakes(t *testing.T) {
	for entry, want := range map[string]string{
		"":                             "expected",
		"*":                            "without entries",
		"app.example":                  "expected",
		"https://app.example/":         "without a path",
		"https://app.example:0":        "expected",
		"https://*":                    "expected",
		"https://*.":                   "expected",
		"https://a.*.example":          "expected",
		"https://*.*.example":          "expected",
		"https://*.[::1]":              "expected",
		"*://app.example":              "expected",
		"https://ä.example":            "expected",
		"wss://app.example":            "that of the page",
		"WS://app.example":             "that of the page",
		"https://a.example,https://b.": "expected",
	} {
		_, err := newOrigins([]string{"https://good.example", entry, "https://x/"})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"https://x/"`) {
			t.Errorf("%q: %v, want %q and the other mistake", entry, err, want)
		}
	}
	err := Check(Options{Routes: []Route{{Origins: []string{"x"}}}})
	if err == nil || !strings.Contains(err.Error(), `route 1: origin "x"`) {
		t.Errorf("got %v", err)
	}
}

// TestOriginAllocations pins that a browser's handshake costs nothing more.
func TestOriginAllocations(t *testing.T) {
	o, err := newOrigins([]string{"https://app.example", "https://*.app.example"})
	if err != nil {
		t.Fatal(err)
	}
	for _, origin := range []string{"https://app.example", "https://a.app.example", "https://evil.example"} {
		r := asks(t, "Origin: "+origin)
		if n := testing.AllocsPerRun(100, func() { _ = o.check(r) }); n > 0 {
			t.Errorf("%s: %v allocations", origin, n)
		}
	}
}

// FuzzOrigin checks that the one form of an origin is one: it is its own form,
// and it is made of nothing but scheme, host and port.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://app.example", "HTTP://A.b:080", "https://[::1]:1", "x://y", "https://u@a", "https://a..b", "https://a:", "null", "https://[::ffff:1.2.3.4]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		form, ok := appendOrigin(nil, b)
		if !ok {
			return
		}
		again, ok := appendOrigin(nil, form)
		if !ok || string(again) != string(form) {
			t.Fatalf("%q has the form %q, and that %q, %v", b, form, again, ok)
		}
		_, host, _ := strings.Cut(string(form), "://")
		if strings.ContainsAny(host, "/?#@\\*, ") || strings.ToLower(string(form)) != string(form) {
			t.Fatalf("%q has the form %q", b, form)
		}
	})
}

// TestOriginRoutes is the row on origins: what a page gets that is not in the
// list of its route, on the wire. Other routes are not concerned.
func TestOriginRoutes(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	u := member{address: s.address()}.build(t)
	one := set(t, u)
	r := start(t, Options{Upstreams: []*pool.Upstream{u}, Relay: quickClose, Routes: []Route{
		{Path: "/chat", Set: one, Origins: []string{"https://app.example", "https://*.app.example:8443"}},
		{Path: "/sandbox", Set: one, Origins: []string{"null"}},
		{Set: one},
	}})
	at := func(path string, origins ...string) string {
		for i := range origins {
			origins[i] = "Origin: " + origins[i]
		}
		return strings.Replace(add(append(origins, "X-Last: 1")...), "/chat?room=1", path, 1)
	}
	for _, row := range []struct {
		name, head, code string // "" for a session
	}{
		{"36 in the list", at("/chat", "https://app.example"), ""},
		{"36 in the list by its pattern", at("/chat/x", "https://a.app.example:8443"), ""},
		{"36 no origin", at("/chat"), ""},
		{"36 other route", at("/other", "https://evil.example", "null"), ""},
		{"36 null", at("/chat", "null"), "origin_not_allowed"},
		{"36 null in the list", at("/sandbox", "null"), ""},
		{"36 not in the list", at("/chat", "https://evil.example"), "origin_not_allowed"},
		{"36 in the list of another route", at("/sandbox", "https://app.example"), "origin_not_allowed"},
		{"36 the own host", at("/chat", "http://router.example:8080"), "origin_not_allowed"},
		{"36 two", at("/chat", "https://app.example", "https://app.example"), "two_origins"},
		{"36 malformed", at("/chat", "https://app.example/"), "bad_origin"},
		{"36 empty", at("/chat", ""), "bad_origin"},
		{"36 list", at("/chat", "https://app.example https://app.example"), "bad_origin"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := r.ask(row.head)
			c.t = t
			if row.code == "" {
				c.upgraded()
				c.Close()
				s.session().Close()
				return
			}
			before := s.conns.Load()
			if a := c.refused(row.head, 403); !strings.Contains(a.body, `"code":"`+row.code+`"`) {
				t.Errorf("body %s, want %s", a.body, row.code)
			}
			if s.conns.Load() != before {
				t.Error("it has come to the upstream")
			}
		})
	}
	if diff := cmp.Diff(map[string]uint64{"origin_not_allowed": 4, "two_origins": 1, "bad_origin": 3}, r.Refusals()); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
	r.change(func(o *Options) { o.Routes[0].Origins = []string{"https://evil.example"} })
	r.ask(at("/chat", "https://app.example")).refused(goodHead, 403)
	r.ask(at("/chat", "https://evil.example")).upgraded()
	s.session().Close()
}
