package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

const secret = "correct-horse-battery-staple"

// disabling is an order that a test can see the effect of.
const disabling = "/upstreams/east/disable"

// TestCredentials is row 81: who does not know the token is refused.
func TestCredentials(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) { s.door.Token = secret })
	r.believe(true, true)
	for name, values := range map[string][]string{
		"none":                  nil,
		"empty":                 {""},
		"scheme alone":          {"Bearer"},
		"no token":              {"Bearer "},
		"wrong":                 {"Bearer correct-horse-battery-stapler"},
		"a beginning":           {"Bearer " + secret[:len(secret)-1]},
		"one character":         {"Bearer c"},
		"very long":             {"Bearer " + strings.Repeat("x", 2000)},
		"in upper case":         {"Bearer " + strings.ToUpper(secret)},
		"with more":             {"Bearer " + secret + " " + secret},
		"in quotes":             {`Bearer "` + secret + `"`},
		"another scheme":        {"Basic " + secret},
		"no scheme":             {secret},
		"a comma list":          {"Bearer x, Bearer " + secret},
		"twice, the first good": {"Bearer " + secret, "Bearer x"},
		"twice, both good":      {"Bearer " + secret, "Bearer " + secret},
	} {
		t.Run(name, func(t *testing.T) {
			a, body := r.ask("POST", disabling, "", func(q *http.Request) {
				for _, v := range values {
					q.Header.Add("Authorization", v)
				}
			})
			if a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") != "Bearer" || !strings.Contains(body, "admin.token") {
				t.Errorf("got %s, %q, %s", a.Status, a.Header.Get("WWW-Authenticate"), body)
			}
			if strings.Contains(body, secret) {
				t.Errorf("the token is in %s", body)
			}
		})
	}
	if a, body := r.ask("POST", "/upstreams/north/disable", `{"x":1}`, nil); a.StatusCode != 401 || strings.Contains(body, "east") {
		t.Errorf("somebody without the token learns more: %s, %s", a.Status, body)
	}
	if _, disabled := r.upstreams[0].Disabled(); disabled {
		t.Fatal("one of them was let in")
	}
	for _, path := range []string{"/healthz", "/readyz", "/status", "/upstreams", "/upstreams/east", "/drains"} {
		if status := r.status(path); status != 200 {
			t.Errorf("GET %s without the token: %d", path, status)
		}
	}
	for _, good := range []string{"Bearer " + secret, "bearer  " + secret} {
		if a, body := r.ask("POST", disabling, "", bearer(good)); a.StatusCode != 200 {
			t.Errorf("%q: %s, %s", good, a.Status, body)
		}
	}
	if _, disabled := r.upstreams[0].Disabled(); !disabled {
		t.Error("the order had no effect")
	}
}

func bearer(value string) func(*http.Request) {
	return func(q *http.Request) { q.Header.Set("Authorization", value) }
}

// TestBrowsers is row 82: what only a browser sends is refused, from wherever,
// and also with the token.
func TestBrowsers(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) { s.door.Token, s.door.Host = secret, "router.example" })
	r.believe(true, true)
	header := func(key, value string) func(*http.Request) {
		return func(q *http.Request) { q.Header[key] = []string{value} }
	}
	host := func(name string) func(*http.Request) { return func(q *http.Request) { q.Host = name } }
	for _, row := range []struct {
		name   string
		change func(*http.Request)
		want   int
		says   string
	}{
		{"origin", header("Origin", "http://evil.example"), 403, `\"Origin\"`},
		{"origin, opaque", header("Origin", "null"), 403, `\"Origin\"`},
		{"origin, the door's own", header("Origin", "http://"+r.address), 403, `\"Origin\"`},
		{"origin, empty", header("Origin", ""), 403, `\"Origin\"`},
		{"origin, lower case", header("origin", "x"), 403, "browsers"},
		{"fetch site", header("Sec-Fetch-Site", "same-origin"), 403, "Sec-Fetch-Site"},
		{"fetch mode", header("Sec-Fetch-Mode", "no-cors"), 403, "Sec-Fetch-Mode"},
		{"fetch dest", header("Sec-Fetch-Dest", "empty"), 403, "Sec-Fetch-Dest"},
		{"fetch, still unknown", header("SEC-FETCH-STORAGE-ACCESS", "x"), 403, "browsers"},
		{"rebinding host", host("evil.example"), 403, `evil.example\"`},
		{"rebinding host with port", host("evil.example:9090"), 403, "Host: localhost"},
		{"rebinding host like localhost", host("localhost.evil.example"), 403, "localhost"},
		{"rebinding host like an address", host("127.0.0.1.evil.example"), 403, "localhost"},
		{"short address", host("127.1"), 403, "localhost"},
		{"number", host("2130706433"), 403, "localhost"},
		{"userinfo", host("localhost@evil.example"), 400, ""},
		{"below localhost", host("x.localhost"), 403, "localhost"},

		{"nothing special", nil, 200, ""},
		{"localhost", host("localhost"), 200, ""},
		{"localhost with port", host("LocalHost:9090"), 200, ""},
		{"address", host("192.0.2.1"), 200, ""},
		{"IPv6 address", host("[::1]"), 200, ""},
		{"IPv6 address with port", host("[2001:db8::1]:9090"), 200, ""},
		{"the configured name", host("Router.example:9090"), 200, ""},
		{"referer alone", header("Referer", "http://evil.example"), 200, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r.upstreams[0].Enable()
			a, body := r.ask("POST", disabling, "", func(q *http.Request) {
				bearer("Bearer " + secret)(q)
				if row.change != nil {
					row.change(q)
				}
			})
			if a.StatusCode != row.want || !strings.Contains(body, row.says) {
				t.Errorf("got %s, %s", a.Status, body)
			}
			if _, disabled := r.upstreams[0].Disabled(); disabled != (row.want == 200) {
				t.Errorf("got %d, and disabled is %v", row.want, disabled)
			}
		})
	}
	// No client library sends these.
	for name, row := range map[string]struct {
		head string
		want int
	}{
		"host in the target":           {"POST http://evil.example" + disabling + " HTTP/1.1\r\nHost: localhost\r\n", 403},
		"host in the target, good one": {"POST http://localhost" + disabling + " HTTP/1.1\r\nHost: localhost\r\n", 200},
		"good target, bad host":        {"POST http://localhost" + disabling + " HTTP/1.1\r\nHost: evil.example\r\n", 403},
		"no host":                      {"POST " + disabling + " HTTP/1.1\r\n", 400},
		"no host, old HTTP":            {"POST " + disabling + " HTTP/1.0\r\n", 403},
		"two hosts":                    {"POST " + disabling + " HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", 400},
		"two hosts, turned":            {"POST " + disabling + " HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			r.upstreams[0].Enable()
			_, in := r.raw(row.head + "Authorization: Bearer " + secret + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			a, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			a.Body.Close()
			if a.StatusCode != row.want {
				t.Errorf("got %s", a.Status)
			}
			if _, disabled := r.upstreams[0].Disabled(); disabled != (row.want == 200) {
				t.Errorf("got %d, and disabled is %v", row.want, disabled)
			}
		})
	}
}

// TestMediaTypes is the rest of row 82: a form cannot give an order. It is
// refused for its type.
func TestMediaTypes(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	for _, row := range []struct {
		kind, body string
		want       int
	}{
		{"application/x-www-form-urlencoded", "why=x", 403},
		{"application/x-www-form-urlencoded", "", 403},
		{"text/plain", `{"why":"x"}`, 403},
		{"text/plain;charset=UTF-8", `{"why":"x"}`, 403},
		{"multipart/form-data; boundary=x", "--x--\r\n", 403},
		{"application/jsonp", "{}", 415},
		{"application/json, text/plain", "{}", 415},
		{"json", "{}", 415},
		{"", `{"why":"x"}`, 415},
		{"", "", 200},
		{"application/json", "", 200},
		{"application/json", `{"why":"x"}`, 200},
		{"Application/JSON; charset=utf-8", `{"why":"x"}`, 200},
	} {
		t.Run(row.kind+" "+row.body, func(t *testing.T) {
			r.upstreams[0].Enable()
			a, body := r.ask("POST", disabling, row.body, func(q *http.Request) {
				q.Header["Content-Type"] = []string{row.kind}
				if row.kind == "" {
					delete(q.Header, "Content-Type")
				}
			})
			if a.StatusCode != row.want || (row.want == 415 || row.want == 403) != strings.Contains(body, "application/json") {
				t.Errorf("got %s, %s", a.Status, body)
			}
			if _, disabled := r.upstreams[0].Disabled(); disabled != (row.want == 200) {
				t.Errorf("got %d, and disabled is %v", row.want, disabled)
			}
		})
	}
}

// TestWhereTheDoorStands: without a token only callers on this machine change
// something; with one it does not matter where the door is.
func TestWhereTheDoorStands(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, network, listen, token string
		want                         int
	}{
		{"loopback", "tcp4", "127.0.0.1:0", "", 200},
		{"another loopback address", "tcp4", "127.0.0.2:0", "", 200},
		{"everywhere", "tcp4", "0.0.0.0:0", "", 403},
		{"everywhere, IPv6 too", "tcp", ":0", "", 403},
		{"everywhere with a token", "tcp4", "0.0.0.0:0", secret, 401},
		{"socket", "unix", "", "", 200},
		{"socket with a token", "unix", "", secret, 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if row.network == "unix" {
				row.listen = filepath.Join(t.TempDir(), "door")
			}
			r := start(t, func(s *setup) { s.network, s.listen, s.door.Token = row.network, row.listen, row.token })
			r.believe(true, true)
			dial, port, err := row.network, "", error(nil)
			if dial != "unix" {
				_, port, err = net.SplitHostPort(r.address)
				if err != nil {
					t.Fatal(err)
				}
				host, _, _ := net.SplitHostPort(row.listen)
				if host == "" || host == "0.0.0.0" {
					host = "127.0.0.1"
				}
				r.address = net.JoinHostPort(host, port)
			}
			transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, row.network, r.address)
			}}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: patience}
			a, err := client.Post("http://localhost"+disabling, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(a.Body)
			a.Body.Close()
			if a.StatusCode != row.want {
				t.Errorf("got %s, %s", a.Status, body)
			}
			if says := strings.Contains(string(body), "set admin.token or bind the admin address to loopback or a unix socket"); says != (row.want == 403) {
				t.Errorf("got %s", body)
			}
			if row.token == "" && row.want == 200 {
				return
			}
			if _, disabled := r.upstreams[0].Disabled(); disabled {
				t.Error("the order was obeyed")
			}
		})
	}
}

// strangeAddr is that of a listener about which nothing is known.
type strangeAddr struct{}

func (strangeAddr) Network() string { return "strange" }
func (strangeAddr) String() string  { return "127.0.0.1:80" }

func TestIsLocal(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		addr net.Addr
		want bool
	}{
		{&net.TCPAddr{IP: net.ParseIP("127.0.0.1")}, true},
		{&net.TCPAddr{IP: net.ParseIP("127.9.9.9")}, true},
		{&net.TCPAddr{IP: net.ParseIP("::1")}, true},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1")}, true},
		{&net.TCPAddr{IP: net.ParseIP("::")}, false},
		{&net.TCPAddr{}, false},
		{&net.TCPAddr{IP: net.ParseIP("10.0.0.1")}, false},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1")}, false},
		{&net.UnixAddr{Name: "/run/x", Net: "unix"}, true},
		{strangeAddr{}, false},
	} {
		if got := isLocal(row.addr); got != row.want {
			t.Errorf("%v: got %v", row.addr, got)
		}
	}
}

// TestTokenStaysInside: whatever is said at the door, the token is in no answer
// and in no line of the log.
func TestTokenStaysInside(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) {
		s.door.Token = secret
		s.door.Reload = func(string) error { return nil }
		s.door.Reloads = func() Reload { return Reload{OK: true} }
	})
	r.believe(true, true)
	r.joinMany(2)
	authorized := bearer("Bearer " + secret)
	look := func(a *http.Response, body string) {
		t.Helper()
		var all strings.Builder
		_ = a.Header.Write(&all)
		if strings.Contains(all.String()+body, secret) {
			t.Errorf("the token is in %s%s", all.String(), body)
		}
	}
	for _, body := range []string{"", `{"force":true}`, `{"x":1}`, `{`, `{"token":"` + secret[:4] + `"}`} {
		for _, p := range places {
			path := strings.NewReplacer("NAME", "west", "ID", "1").Replace(p.path)
			for _, method := range []string{"GET", "POST"} {
				look(r.ask(method, path, body, authorized))
			}
		}
	}
	// Also where it does not belong.
	for _, head := range []string{
		"POST /upstreams/west/enable?token=x HTTP/1.1\r\nHost: " + secret + "\x01\r\n",
		"POST /reload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + secret + "\r\nbroken " + secret + "\r\n",
		"POST /reload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + secret + "\r\nContent-Length: x\r\n",
	} {
		conn, in := r.raw(head + "\r\n")
		answer, _ := io.ReadAll(in)
		conn.Close()
		if strings.Contains(string(answer), secret) {
			t.Errorf("the token is in %s", answer)
		}
	}
	log := r.log.String()
	if !strings.Contains(log, `msg="operator's order" order=reload`) {
		t.Errorf("no order was obeyed, or none logged:\n%s", log)
	}
	if strings.Contains(log, secret) {
		t.Errorf("the token is in the log:\n%s", log)
	}
}

// TestDiscardedLog: the door works without a logger.
func TestDiscardedLog(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) { s.door.Logger = nil })
	if status := r.post(disabling, `{"force":true}`, nil); status != 200 {
		t.Error(status)
	}
}
