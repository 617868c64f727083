package proxy

import (
	"strings"
	"testing"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// TestRoutes asks for hosts and paths; every route has an upstream of its own
// that says its name.
func TestRoutes(t *testing.T) {
	balanced(t)
	var o Options
	for _, r := range []struct{ name, host, path string }{
		{"exact", "chat.example.org", "/exact"},
		{"wild", "*.example.org", ""},
		{"host", "Example.COM", "/"},
		{"v6", "[2001:db8::1]", ""},
		{"first", "", "/a/b"},
		{"second", "", "/a/"},
		{"octet", "", "/with%2Fslash"},
		{"shadowed", "", "/a/b/c"},
		{"letters", "", "/~me"},
	} {
		s := newStub(t, func(c *stubConn) {
			c.reply("HTTP/1.1 404 Not Found\r\nX-Route: " + r.name + "\r\nContent-Length: 0\r\n\r\n")
		})
		u := member{name: r.name, address: s.address()}.build(t)
		o.Upstreams = append(o.Upstreams, u)
		o.Routes = append(o.Routes, Route{Host: r.host, Path: r.path, Set: set(t, u)})
	}
	r := start(t, o)
	for _, row := range []struct{ host, target, want string }{
		{"chat.example.org", "/exact", "exact"},
		{"CHAT.example.ORG:8080", "/exact/x?y", "exact"},
		{"chat.example.org", "/exactly", "wild"},
		{"chat.example.org", "/Exact", "wild"},
		{"a.b.example.org", "/", "wild"},
		{".example.org", "/", ""},
		{"example.org", "/", ""},
		{"notexample.org", "/", ""},
		{"example.com:1", "/anything", "host"},
		{"www.example.com", "/", ""},
		{"[2001:db8::1]", "/", "v6"},
		{"[2001:DB8::1]:80", "/", "v6"},
		{"[2001:db8::2]", "/", ""},
		{"h", "/a/b", "first"},
		{"h", "/a/b/", "first"},
		{"h", "/a/b/c", "first"},
		{"h", "/a/bc", "second"},
		{"h", "/a", "second"},
		{"h", "/a/", "second"},
		{"h", "/ab", ""},
		{"h", "/", ""},
		{"h", "//a//b", "first"},
		{"h", "/a/./b", "first"},
		{"h", "/x/../a/b", "first"},
		{"h", "/x/%2e%2E/a/b", "first"},
		{"h", "/%61/%62", "first"},
		{"h", "/a/b/../c", "second"},
		{"h", "/a%2Fb", ""},
		{"h", "/a;x/b", ""},
		{"h", "/with%2fslash", "octet"},
		{"h", "/with/slash", ""},
		{"h", "/%7Eme", "letters"},
		{"h", "ws://h/a/b?q=/x", "first"},
		{"h", "ws://h?/a/b", ""},
	} {
		t.Run(row.host+row.target, func(t *testing.T) {
			c := r.ask(strings.Replace(asking(row.target), "router.example:8080", row.host, 1))
			c.t = t
			if row.want == "" {
				c.refused("GET", 404)
				return
			}
			if a := c.answer(); a.Header.Get("X-Route") != row.want {
				t.Errorf("got %s of %q, want %q", a.Status, a.Header.Get("X-Route"), row.want)
			}
		})
	}
}

// TestPlainRequestElsewhere: what no route serves is 404 whatever else is wrong
// with it; a plain request on a route is told what is spoken here.
func TestPlainRequestElsewhere(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	u := member{address: s.address()}.build(t)
	r := start(t, Options{Upstreams: []*pool.Upstream{u}, Routes: []Route{{Path: "/ws", Set: set(t, u)}}})
	for head, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":                                404,
		"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n":                              404,
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n":                            404,
		"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhi": 404,
		"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n":                              426,
		"HEAD /ws/ HTTP/1.1\r\nHost: a\r\n\r\n":                            426,
	} {
		r.ask(head).refused(head, want)
	}
}

// TestMistakes checks that New refuses what cannot work, and names all of it.
func TestMistakes(t *testing.T) {
	known := member{name: "known", address: "127.0.0.1:1"}.build(t)
	stranger := member{name: "stranger", address: "127.0.0.1:1"}.build(t)
	for name, row := range map[string]struct {
		o    Options
		want []string
	}{
		"nothing":       {Options{}, []string{"no upstream", "no route"}},
		"no set":        {Options{Upstreams: []*pool.Upstream{known}, Routes: []Route{{}}}, []string{"route 1", "no upstream set"}},
		"relative path": {Options{Upstreams: []*pool.Upstream{known}, Routes: []Route{{Set: set(t, known)}, {Path: "x", Set: set(t, known)}}}, []string{"route 2", `"x"`}},
		"stranger":      {Options{Upstreams: []*pool.Upstream{known}, Routes: []Route{{Set: set(t, known, stranger)}}}, []string{"route 1", `"stranger"`}},
		"two mistakes": {Options{Upstreams: []*pool.Upstream{known}, Routes: []Route{{Path: "x"}, {Path: "y", Set: set(t, stranger)}}},
			[]string{`"x"`, "no upstream set", `"y"`, `"stranger"`}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(row.o)
			if err == nil || p != nil {
				t.Fatalf("got %v, %v", p, err)
			}
			if check := Check(row.o); check == nil || check.Error() != err.Error() {
				t.Errorf("Check says %v, New says %v", check, err)
			}
			for _, part := range row.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("no %s in: %v", part, err)
				}
			}
		})
	}
	if err := Check(Options{Upstreams: []*pool.Upstream{known}, Routes: []Route{{Set: set(t, known)}}}); err != nil {
		t.Errorf("good options: %v", err)
	}
}

// TestReady follows the upstreams' health and the end of the router.
func TestReady(t *testing.T) {
	balanced(t)
	r := start(t, Options{}, member{name: "a", address: "127.0.0.1:1", health: health.Options{Fall: 1}},
		member{name: "b", address: "127.0.0.1:1", health: health.Options{Fall: 1}})
	if !r.Ready() {
		t.Error("not ready with two healthy upstreams")
	}
	r.upstream("a").Checker().Lost(errGone)
	if !r.Ready() {
		t.Error("not ready with one healthy upstream")
	}
	r.upstream("b").Checker().Lost(errGone)
	if r.Ready() {
		t.Error("ready without a healthy upstream")
	}
	r.stop()
	if r.Ready() {
		t.Error("ready after the end")
	}
}
