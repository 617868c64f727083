package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/emulator"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
)

// rig is a running router with one primary and one secondary, and its door.
type rig struct {
	t          testing.TB
	proxy      *proxy.Proxy
	upstreams  []*pool.Upstream
	east, west *emulator.Emulator
	client     *http.Client
	address    string // of the door
	data       string // of the router
	log        *journal
	stopProxy  func()
	stopDoor   func()
}

// setup is what tests change about a rig.
type setup struct {
	door    Options
	network string         // of the door, default tcp4
	listen  string         // default 127.0.0.1:0
	health  health.Options // of east, for Hold and Ramp
}

// start runs a router and its door until the end of the test.
func start(t testing.TB, change ...func(*setup)) *rig {
	t.Helper()
	r := &rig{t: t, client: &http.Client{Transport: &http.Transport{}, Timeout: patience}, log: new(journal)}
	t.Cleanup(r.client.CloseIdleConnections)
	logger := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := setup{network: "tcp4", listen: "127.0.0.1:0"}
	s.door = Options{Listeners: []string{"here:80"}, Version: "v1.2.3", Logger: logger}
	for _, f := range change {
		f(&s)
	}
	r.east, r.west = emulate(t, "east"), emulate(t, "west")
	r.upstreams = []*pool.Upstream{
		build(t, pool.Options{Name: "east", MaxSessions: 100, Weight: 3}, r.east, s.health),
		build(t, pool.Options{Name: "west", Role: pool.Secondary}, r.west, health.Options{}),
	}
	set, err := pool.NewSet(pool.Priority, r.upstreams)
	if err != nil {
		t.Fatal(err)
	}
	r.proxy, err = proxy.New(proxy.Options{Upstreams: r.upstreams, Routes: []proxy.Route{{Set: set}}})
	if err != nil {
		t.Fatal(err)
	}
	s.door.Proxy = r.proxy
	d, err := New(s.door)
	if err != nil {
		t.Fatal(err)
	}
	r.data, r.stopProxy = serve(t, "tcp4", "127.0.0.1:0",
		func(ctx context.Context, ln net.Listener) error { return r.proxy.Run(ctx, ln) })
	r.address, r.stopDoor = serve(t, s.network, s.listen, d.Run)
	return r
}

// journal is a log that can be read while it is written.
type journal struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.String()
}

func emulate(t testing.TB, name string) *emulator.Emulator {
	t.Helper()
	e, err := emulator.New(emulator.Options{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	stop, err := e.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return e
}

func build(t testing.TB, o pool.Options, e *emulator.Emulator, belief health.Options) *pool.Upstream {
	t.Helper()
	location, err := url.Parse("ws://operator:secret@" + e.Addr() + "/hub")
	if err != nil {
		t.Fatal(err)
	}
	o.URL = location
	belief.Probe = health.HTTPProbe(location, health.HTTPOptions{})
	belief.Interval, belief.Recheck = 30*time.Millisecond, 10*time.Millisecond
	belief.Timeout = patience // on a busy machine an answer may take long
	o.Checker, err = health.New(o.Name, belief)
	if err != nil {
		t.Fatal(err)
	}
	u, err := pool.NewUpstream(o)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// serve runs something with a listener until stop is called or the test ends.
func serve(t testing.TB, network, listen string, run func(context.Context, net.Listener) error) (address string, stop func()) {
	t.Helper()
	ln, err := net.Listen(network, listen)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(2 * patience):
			t.Error("run did not return")
		}
	})
	t.Cleanup(stop)
	return ln.Addr().String(), stop
}

// do makes a request at the door and returns the answer and its body.
func (r *rig) do(method, path string) (*http.Response, string) {
	r.t.Helper()
	return r.ask(method, path, "", nil)
}

// ask makes a request with a body, if it is not empty, and changes it before it
// goes out. The path goes out as it stands.
func (r *rig) ask(method, path, body string, change func(*http.Request)) (*http.Response, string) {
	r.t.Helper()
	request, err := http.NewRequest(method, "http://"+r.address, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.URL.Opaque = path
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if change != nil {
		change(request)
	}
	return r.send(request)
}

// send makes a request and reads its answer.
func (r *rig) send(request *http.Request) (*http.Response, string) {
	r.t.Helper()
	method, path := request.Method, request.URL.Opaque
	a, err := r.client.Do(request)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a, string(body)
}

// post gives an order and decodes the answer into v, unless that is nil.
func (r *rig) post(path, body string, v any) (status int) {
	r.t.Helper()
	a, text := r.ask("POST", path, body, nil)
	if kind := a.Header.Get("Content-Type"); kind != "application/json" {
		r.t.Errorf("POST %s: content type %q", path, kind)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			r.t.Fatalf("POST %s: %v in %s", path, err, text)
		}
	}
	return a.StatusCode
}

// get decodes the answer to a GET.
func (r *rig) get(path string, v any) (status int) {
	r.t.Helper()
	a, text := r.do("GET", path)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		r.t.Fatalf("GET %s: %v in %s", path, err, text)
	}
	return a.StatusCode
}

// status is the code of a GET.
func (r *rig) status(path string) int {
	r.t.Helper()
	a, _ := r.do("GET", path)
	return a.StatusCode
}

// join opens a session through the router.
func (r *rig) join() *websocket.Conn {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+r.data+"/chat", &websocket.DialOptions{HTTPClient: r.client})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// joinMany opens sessions whose clients answer a Close frame and do nothing else.
func (r *rig) joinMany(n int) {
	r.t.Helper()
	for range n {
		r.join().CloseRead(context.Background())
	}
}

// echo sends a message over a session and wants it back.
func (r *rig) echo(c *websocket.Conn) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		r.t.Fatal(err)
	}
	if _, got, err := c.Read(ctx); err != nil || string(got) != "hello" {
		r.t.Fatalf("echo: %q, %v", got, err)
	}
}

// raw opens a connection to the door and writes to it.
func (r *rig) raw(text string) (net.Conn, *bufio.Reader) {
	r.t.Helper()
	conn, err := net.Dial("tcp4", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		r.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// believe waits until the upstreams are believed to be as given.
func (r *rig) believe(east, west bool) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("east healthy %v, west healthy %v", east, west), func() bool {
		return r.upstreams[0].Healthy() == east && r.upstreams[1].Healthy() == west
	})
}
