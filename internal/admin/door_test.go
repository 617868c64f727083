package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/proxy"
)

// TestPaths checks the whole surface of the door: one way to write each path,
// one method for it (row 85 of the list of bad inputs), and nothing of it, nor
// anything for debugging, at the clients' address (row 86).
func TestPaths(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	for _, row := range []struct {
		method, path string
		want         int
		body         string
	}{
		{"GET", "/healthz", 200, "alive"},
		{"GET", "/healthz?verbose=1", 200, "alive"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/readyz", 200, "ready"},
		{"HEAD", "/readyz", 200, ""},
		{"GET", "/status", 200, `"version": "v1.2.3"`},
		{"HEAD", "/status", 200, ""},
		{"GET", "/upstreams", 200, `"name": "west"`},
		{"HEAD", "/upstreams", 200, ""},
		{"GET", "/upstreams/east", 200, `"name": "east"`},
		{"GET", "/drains", 200, `"drains": []`},
		{"POST", "/healthz", 405, "GET, HEAD"},
		{"PUT", "/status", 405, "GET, HEAD"},
		{"DELETE", "/readyz", 405, "GET, HEAD"},
		{"OPTIONS", "/status", 405, "GET, HEAD"},
		{"POST", "/upstreams", 405, "GET, HEAD"},
		{"DELETE", "/upstreams/east", 405, "GET, HEAD"},
		{"POST", "/drains/1", 405, "GET, HEAD"},
		{"GET", "/upstreams/east/drain", 405, "allowed: POST"},
		{"HEAD", "/drains/1/pause", 405, ""},
		{"PUT", "/upstreams/east/disable", 405, "allowed: POST"},
		{"OPTIONS", "/reload", 405, "allowed: POST"},
		{"GET", "/", 404, "/status"},
		{"GET", "/Status", 404, "/status"},
		{"GET", "/status/", 404, "/status"},
		{"GET", "//status", 404, "/status"},
		{"GET", "/./status", 404, "/status"},
		{"GET", "/x/../status", 404, "/status"},
		{"GET", "/%73tatus", 404, "/status"},
		{"GET", "/status%00", 404, "/status"},
		{"GET", "/debug/pprof/", 404, "/status"},
		{"POST", "/x", 404, "/status"},
		{"GET", "/upstreams/", 404, "/upstreams/NAME"},
		{"GET", "/upstreams/East", 404, `unknown upstream \"East\"; known: east, west`},
		{"GET", "/upstreams/%65ast", 404, "known: east, west"},
		{"GET", "/upstreams/east/", 404, "/upstreams/NAME"},
		{"GET", "/upstreams/NAME/ID", 404, "/upstreams/NAME"},
		{"POST", "/upstreams//disable", 404, "/upstreams/NAME"},
		{"POST", "/upstreams//east/disable", 404, "/upstreams/NAME"},
		{"POST", "//upstreams/east/disable", 404, "/upstreams/NAME"},
		{"POST", "/upstreams/%2e%2e/disable", 404, "known: east, west"},
		{"POST", "/upstreams/x/../east/disable", 404, "/upstreams/NAME"},
		{"POST", "/upstreams/./east/disable", 404, "/upstreams/NAME"},
		{"POST", "/upstreams/east%2fdisable", 405, "GET, HEAD"}, // an upstream with a strange name
		{"POST", "/upstreams/east/Disable", 404, "/upstreams/NAME"},
		{"POST", "/upstreams/east;x/disable", 404, "known: east, west"},
		{"POST", "/upstreams/0/disable", 404, "known: east, west"},
		{"GET", "/drains/01", 404, "no such drain"},
		{"GET", "/drains/+1", 404, "no such drain"},
		{"POST", "/drains/-1/pause", 404, "no such drain"},
		{"POST", "/drains/01/cancel", 404, "no such drain"},
		{"GET", "/debug/vars", 404, "/status"},
		{"GET", "/metrics/", 404, "/status"},
	} {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			a, body := r.do(row.method, row.path)
			if a.StatusCode != row.want || !strings.Contains(body, row.body) {
				t.Fatalf("got %s %.100q, want %d and %q", a.Status, body, row.want, row.body)
			}
			if row.method == "HEAD" && body != "" {
				t.Errorf("HEAD got a body: %q", body)
			}
			if allow := a.Header.Get("Allow"); (allow == "GET, HEAD" || allow == "POST") != (row.want == 405) {
				t.Errorf("Allow: %q", allow)
			}
			if cache := a.Header.Get("Cache-Control"); cache != "no-store" {
				t.Errorf("Cache-Control: %q", cache)
			}
			if kind := a.Header.Get("Content-Type"); row.want >= 400 && kind != "application/json" {
				t.Errorf("Content-Type: %q", kind)
			}
			if server := a.Header.Get("Server"); server != "" {
				t.Errorf("Server: %q", server)
			}
		})
	}
	if u := r.look().Upstreams[0]; u.Disabled {
		t.Errorf("one of these has disabled east: %+v", u)
	}
	for _, path := range []string{"/healthz", "/readyz", "/status", "/metrics", "/upstreams", "/drains", "/reload", "/debug/pprof/", "/debug/vars"} {
		a, err := r.client.Get("http://" + r.data + path)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusUpgradeRequired {
			t.Errorf("the clients' address answers %s with %s", path, a.Status)
		}
	}
}

// TestReadiness follows the upstreams down and up again, and the router to its end.
func TestReadiness(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	steps := []struct {
		change func() error
		east   bool
		west   bool
		want   int
	}{
		{func() error { return r.east.SetHealth(503) }, false, true, 200},
		{func() error { return r.west.Refuse(true) }, false, false, 503},
		{r.east.Restore, true, false, 200},
		{r.west.Restore, true, true, 200},
	}
	for i, s := range steps {
		if err := s.change(); err != nil {
			t.Fatal(err)
		}
		r.believe(s.east, s.west)
		if got := r.status("/readyz"); got != s.want {
			t.Errorf("step %d: got %d, want %d", i, got, s.want)
		}
		if got := r.status("/healthz"); got != 200 {
			t.Errorf("step %d: not alive: %d", i, got)
		}
	}
	r.stopProxy()
	if got := r.status("/readyz"); got != 503 {
		t.Errorf("ready after the end of the router: %d", got)
	}
	if got := r.status("/healthz"); got != 200 {
		t.Errorf("not alive after the end of the router: %d", got)
	}
	r.stopDoor()
	if conn, err := net.Dial("tcp4", r.address); err == nil {
		conn.Close()
		t.Error("the door is open after its end")
	}
}

// TestNewDoor checks what New and Run refuse.
func TestNewDoor(t *testing.T) {
	t.Parallel()
	if d, err := New(Options{}); err == nil {
		t.Errorf("got %v without a proxy", d)
	}
	d, err := New(Options{Proxy: new(proxy.Proxy)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	err = d.Run(context.Background(), ln)
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("Run with a closed listener: %v", err)
	}
}
