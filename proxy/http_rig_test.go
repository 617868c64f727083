package proxy

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// passing is a router whose only route passes requests to the members.
func passing(t testing.TB, o Options, h HTTP, members ...member) *rig {
	t.Helper()
	r := prepare(t, o, members...)
	r.reroute(h)
	r.begin()
	return r
}

// reroute makes the only route one that passes requests.
func (r *rig) reroute(h HTTP) {
	r.t.Helper()
	w := r.world.Load()
	o := w.options
	h.Pass = true
	o.Routes = []Route{{Set: w.routes[0].Set, HTTP: h}}
	next, err := newWorld(r.Proxy, o, w)
	if err != nil {
		r.t.Fatal(err)
	}
	r.world.Store(next)
}

// site starts an upstream with a handler of net/http that lives as long as the
// test.
func site(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.Listener.Addr().String()
}

// browser is a client of net/http for the rig, which keeps connections.
func (r *rig) browser() *http.Client {
	transport := &http.Transport{DisableCompression: true, ExpectContinueTimeout: patience, MaxIdleConnsPerHost: 8}
	r.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 2 * patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// url is that of a path.
func (r *rig) url(path string) string { return "http://" + r.address + path }

// fetched is an answer with its body.
type fetched struct {
	*http.Response
	text string
	err  error // of the body
}

// fetch makes one request.
func (r *rig) fetch(client *http.Client, method, path string, body io.Reader) fetched {
	r.t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, r.url(path), body)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.do(client, request)
}

func (r *rig) do(client *http.Client, request *http.Request) fetched {
	r.t.Helper()
	response, err := client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return fetched{response, string(text), err}
}

// exchange sends raw bytes and reads one answer to a request with this method.
func (r *rig) exchange(method, raw string) (*peer, answer) {
	r.t.Helper()
	c := r.ask(raw)
	a, err := c.readAnswer(method)
	if err != nil {
		r.t.Fatalf("read answer: %v", err)
	}
	return c, a
}

// script starts a stub that answers each request with text, and closes. What
// it got stands in got.
func scripted(t testing.TB, text string) (s *stub, got chan string) {
	t.Helper()
	got = make(chan string, 64)
	s = newStub(t, func(c *stubConn) {
		if !c.readHead() {
			return
		}
		got <- c.head
		_, _ = c.Write([]byte(text))
	})
	return s, got
}

// line reads a line of a stream.
func line(t testing.TB, in *bufio.Reader) string {
	t.Helper()
	text, err := in.ReadString('\n')
	if err != nil {
		t.Fatalf("read line: %v", err)
	}
	return strings.TrimRight(text, "\r\n")
}

// awaitClosed waits for a channel to be closed.
func awaitClosed(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}
