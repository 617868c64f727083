package fanout

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	ownText = "the-key-of-the-route-0123456789-01234"
	here    = "https://pointsman.example"
)

func key(t testing.TB, text string) azure.Key {
	t.Helper()
	k, err := azure.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func base(t testing.TB, text string) azure.Base {
	t.Helper()
	b, err := azure.ParseBase(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seen is a call as an upstream has seen it.
type seen struct {
	Method, URI, Host, Body, Type string
	Fields                        http.Header
	Claims                        *azure.Token // nil if the token was not good
}

// fake is an upstream in memory: an HTTP server behind pipes, so that time may be virtual.
type fake struct {
	t        testing.TB
	name     string
	service  azure.Service
	verifier *azure.Verifier
	endpoint azure.Base
	server   *http.Server
	doors    chan net.Conn
	done     chan struct{}
	online   atomic.Bool
	refuse   atomic.Bool // connections
	dials    atomic.Int64

	mu     sync.Mutex
	answer http.HandlerFunc // nil answers 202
	calls  []seen
}

// Accept, Close and Addr make a fake a net.Listener.
func (u *fake) Accept() (net.Conn, error) {
	select {
	case c := <-u.doors:
		return c, nil
	case <-u.done:
		return nil, net.ErrClosed
	}
}

func (u *fake) Close() error   { return nil }
func (u *fake) Addr() net.Addr { return &net.UnixAddr{Name: u.name} }

// dial opens a connection to it.
func (u *fake) dial(ctx context.Context) (net.Conn, error) {
	u.dials.Add(1)
	if u.refuse.Load() {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	select {
	case u.doors <- far:
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (u *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	s := seen{Method: r.Method, URI: r.RequestURI, Host: r.Host, Body: string(body), Type: r.Header.Get("Content-Type"), Fields: r.Header}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if token, err := azure.FindToken(r.Header.Get("Authorization"), query); err == nil {
		s.Claims, err = u.verifier.Verify(token, azure.Base{}, azure.RESTResource(u.service, strings.TrimPrefix(path, "/prefix")))
		if err != nil {
			u.t.Errorf("%s: token: %v", u.name, err)
		}
	}
	u.mu.Lock()
	u.calls = append(u.calls, s)
	answer := u.answer
	u.mu.Unlock()
	if answer == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer(w, r)
}

// says makes it answer with a status and a body.
func (u *fake) says(status int, body string, fields ...string) {
	u.does(func(w http.ResponseWriter, _ *http.Request) {
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// does makes it answer as told.
func (u *fake) does(answer http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = answer
}

// hangs makes it never answer.
func (u *fake) hangs() {
	u.does(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-u.done:
		}
		panic(http.ErrAbortHandler)
	})
}

// cuts makes it cut the connection instead of an answer.
func (u *fake) cuts() {
	u.does(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
}

// took returns the calls that it has seen since the last time.
func (u *fake) took() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	calls := u.calls
	u.calls = nil
	return calls
}

// rig is a fan-out to fakes.
type rig struct {
	t         testing.TB
	f         *Fanout
	o         Options
	ups       map[string]*fake
	order     []*fake
	verifiers *azure.Verifier
}

// bubble runs a test with a rig in virtual time.
func bubble(t *testing.T, s azure.Service, change func(*Options), test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, s, change)
		defer r.end()
		test(t, r)
	})
}

// newRig makes a rig of east, west and north.
func newRig(t testing.TB, s azure.Service, change func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, ups: make(map[string]*fake)}
	o := Options{Service: s}
	for _, name := range []string{"east", "west", "north"} {
		u := &fake{
			t: t, name: name, service: s, doors: make(chan net.Conn), done: make(chan struct{}),
			endpoint: base(t, "https://"+name+".example:8443"),
		}
		secret := key(t, "the-key-of-"+name+"-0123456789-0123456789")
		var err error
		u.verifier, err = azure.NewVerifier(azure.VerifierOptions{
			Issuers: []azure.Issuer{{Name: name, Keys: []azure.Key{secret}, Bases: []azure.Base{u.endpoint}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		u.online.Store(true)
		u.server = &http.Server{Handler: u, ErrorLog: nil, ReadHeaderTimeout: time.Hour}
		go func() { _ = u.server.Serve(u) }() // returns when done is closed
		r.ups[name] = u
		r.order = append(r.order, u)
		o.Upstreams = append(o.Upstreams, Upstream{
			Name: name, Base: base(t, "http://"+name+".internal:81/prefix"), Endpoint: u.endpoint, Key: secret, Healthy: u.online.Load,
		})
	}
	o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(address)
		name, _, _ := strings.Cut(host, ".")
		if err != nil || port != "81" || r.ups[name] == nil {
			return nil, fmt.Errorf("dial %s: nobody there", address)
		}
		return r.ups[name].dial(ctx)
	}
	if change != nil {
		change(&o)
	}
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.f, r.o = f, o
	v, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{{Name: "route", Keys: []azure.Key{key(t, ownText)}}}})
	if err != nil {
		t.Fatal(err)
	}
	r.verifiers = v
	return r
}

func (r *rig) end() {
	r.f.Close()
	for _, u := range r.order {
		close(u.done)
		_ = u.server.Close()
	}
}

// find matches a call of target, a path with a query.
func (r *rig) find(method, target string) (Call, Request) {
	r.t.Helper()
	path, query, _ := strings.Cut(target, "?")
	c, err := Match(r.o.Service, method, path)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	claims := azure.NewClaims(here+path, time.Now(), time.Minute)
	claims.SetString("custom", "kept")
	text, err := azure.Mint(key(r.t, ownText), claims)
	if err != nil {
		r.t.Fatal(err)
	}
	token, err := r.verifiers.Verify(text, base(r.t, here), azure.RESTResource(r.o.Service, path))
	if err != nil {
		r.t.Fatal(err)
	}
	return c, Request{Query: query, Base: base(r.t, here), Token: token, Length: -1}
}

// do makes a call without a body.
func (r *rig) do(method, target string) Answer {
	r.t.Helper()
	c, q := r.find(method, target)
	return r.f.Do(context.Background(), c, q)
}

// send makes a call with a message in JSON.
func (r *rig) send(target, body string) Answer {
	r.t.Helper()
	c, q := r.find("POST", target)
	q.Body, q.Length = strings.NewReader(body), int64(len(body))
	q.Fields = [][2]string{{"content-type", "application/json"}}
	return r.f.Do(context.Background(), c, q)
}

// took returns how many calls each upstream has seen since the last time, as "east=1 west=2".
func (r *rig) took() string {
	var words []string
	for _, u := range r.order {
		if n := len(u.took()); n > 0 {
			words = append(words, fmt.Sprintf("%s=%d", u.name, n))
		}
	}
	return strings.Join(words, " ")
}

// sumOf sums an answer up as "202 east=202 west=timeout, partial west".
func sumOf(a Answer) string {
	words := []string{fmt.Sprint(a.Status)}
	partial := ""
	for _, f := range a.Fields {
		switch f[0] {
		case ResultField:
			d := json.NewDecoder(strings.NewReader(f[1]))
			d.UseNumber()
			for {
				t, err := d.Token()
				if err == io.EOF {
					break
				}
				if err != nil {
					return "no JSON: " + f[1]
				}
				if name, ok := t.(string); ok {
					value, _ := d.Token()
					words = append(words, fmt.Sprintf("%s=%v", name, value))
				}
			}
		case PartialField:
			partial = ", partial " + f[1]
		}
	}
	return strings.Join(words, " ") + partial
}

// header returns the value of a header field.
func (a Answer) header(name string) string {
	for _, f := range a.Fields {
		if strings.EqualFold(f[0], name) {
			return f[1]
		}
	}
	return ""
}

// expect checks the sum of an answer and how many calls each upstream has seen.
func (r *rig) expect(a Answer, sum, took string) {
	r.t.Helper()
	if got := sumOf(a); got != sum {
		r.t.Errorf("got  %s\nwant %s\nbody %s", got, sum, a.Body)
	}
	if got := r.took(); took != "-" && got != cmp.Or(took, "") {
		r.t.Errorf("calls %q, want %q", got, took)
	}
}
