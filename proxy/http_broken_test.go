package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/pointsman/pointsman/health"
)

// TestHTTPBrokenAnswers checks that an answer that is not whole, or malformed, is
// never made to look whole: before its head the client gets an error, within its
// body the end of the connection.
func TestHTTPBrokenAnswers(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		reset        bool // the upstream ends it so
		status       int
		body         string // at least what the client gets of it, if it does
		broken       bool
	}{
		{name: "nothing", status: 502},
		{name: "nothing and a reset", reset: true, status: 502},
		{name: "half a head", answer: "HTTP/1.1 200 OK\r\nContent-", status: 502},
		{name: "no HTTP", answer: "hello\r\n\r\n", status: 502},
		{name: "an unasked 101", answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", status: 502},
		{name: "six interim answers", answer: strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 6), status: 502},
		{name: "two lengths", answer: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi", status: 502},
		{name: "two framings", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", status: 502},
		{name: "another coding", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", status: 502},
		{name: "folded field", answer: "HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\n\r\n", status: 502},
		{name: "a long head", answer: "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", status: 502},
		{name: "short of its length", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", status: 200, body: "hi", broken: true},
		{name: "short and a reset", answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", reset: true, status: 200, broken: true},
		{name: "no last chunk", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", status: 200, body: "hi", broken: true},
		{name: "no end of the trailer", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", status: 200, body: "hi", broken: true},
		{name: "a malformed chunk", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n+1\r\nx\r\n0\r\n\r\n", status: 200, body: "hi", broken: true},
		{name: "whole", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", status: 200, body: "hi"},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			s := newStub(t, func(c *stubConn) {
				if c.readHead() {
					_, _ = c.Write([]byte(row.answer))
				}
				if row.reset {
					_ = c.SetLinger(0)
				}
			})
			r := passing(t, Options{}, HTTP{}, member{address: s.address()})
			response, err := r.browser().Get(r.url("/"))
			if err != nil && row.reset && row.broken {
				return // the reset has overtaken the head
			}
			for err == nil && response.StatusCode < 200 {
				t.Fatalf("got %s", response.Status)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if response.StatusCode != row.status || (err != nil) != row.broken || !strings.HasPrefix(string(body), row.body) {
				t.Errorf("got %s %q %v", response.Status, body, err)
			}
			if row.status == 502 && !strings.Contains(string(body), `"code":"bad_upstream_answer"`) {
				t.Errorf("got %q", body)
			}
			want := HTTPTotals{Requests: 1, Broken: 1}
			if row.status == 200 && !row.broken {
				want = HTTPTotals{Requests: 1, Answered: 1}
			}
			until(t, "it to be counted", func() bool { return r.HTTPTotals() == want })
		})
	}
}

// TestHTTPBrokenFor10 checks that a client of HTTP/1.0, to which the end of the
// connection is the end of the answer, gets a reset instead.
func TestHTTPBrokenFor10(t *testing.T) {
	balanced(t)
	s, _ := scripted(t, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
	r := passing(t, Options{}, HTTP{}, member{address: s.address()})
	c := r.ask("GET / HTTP/1.0\r\n\r\n")
	if _, err := io.ReadAll(c.in); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

// TestHTTPClientGone checks that the upstream loses a request whose client has
// gone: while it works, while it streams, and within the body of the request.
func TestHTTPClientGone(t *testing.T) {
	for _, row := range []struct{ name, ask string }{
		{"waiting", "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"streaming", "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"sending", "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"},
		{"sending chunks", "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			balanced(t)
			arrived, lost := make(chan struct{}), make(chan struct{})
			east := site(t, func(w http.ResponseWriter, r *http.Request) {
				defer close(lost)
				if r.URL.Path == "/stream" {
					fmt.Fprint(w, "data\n")
					w.(http.Flusher).Flush()
				}
				close(arrived)
				if body, err := io.ReadAll(r.Body); err == nil && r.URL.Path == "/body" {
					t.Errorf("the body looks whole: %q", body)
				}
				<-r.Context().Done()
			})
			r := passing(t, Options{}, HTTP{}, member{address: east})
			c := r.ask(row.ask)
			awaitClosed(t, "the request", arrived)
			if row.name == "streaming" {
				if a, err := http.ReadResponse(c.in, nil); err != nil || line(t, bufio.NewReader(a.Body)) != "data" {
					t.Fatalf("got %v, %v", a, err)
				}
			}
			c.Close()
			awaitClosed(t, "the upstream to notice", lost)
			until(t, "it to be counted", func() bool { return r.HTTPTotals() == HTTPTotals{Requests: 1, Abandoned: 1} })
			if u := r.upstream("east"); u.Totals().Lost+u.Totals().HandshakeFailures != 0 {
				t.Errorf("it counts against the upstream: %+v", u.Totals())
			}
		})
	}
}

// TestHTTPLateBody checks that a client that does not go on with its body is given
// up, and told so.
func TestHTTPLateBody(t *testing.T) {
	balanced(t)
	east := site(t, func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("the body looks whole")
		}
	})
	r := passing(t, Options{}, HTTP{BodyTimeout: soon}, member{address: east})
	c, a := r.exchange("POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
	if a.StatusCode != http.StatusRequestTimeout || !strings.Contains(a.body, "body_timeout") {
		t.Errorf("got %s %s", a.Status, a.body)
	}
	c.eof()
}

// TestHTTPNoAnswer checks that an upstream that does not answer in time is given
// up, and that the breaker hears of it however long that took.
func TestHTTPNoAnswer(t *testing.T) {
	for _, limit := range []Failover{{HandshakeTimeout: patience}, {HandshakeTimeout: soon / 8}} {
		t.Run(limit.HandshakeTimeout.String(), func(t *testing.T) {
			balanced(t)
			s := newStub(t, func(c *stubConn) {
				if c.readHead() {
					c.hold()
				}
			})
			r := passing(t, Options{Failover: limit}, HTTP{AnswerTimeout: soon}, member{address: s.address(), health: health.Options{Fall: 1}})
			_, a := r.exchange("GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if a.StatusCode != http.StatusGatewayTimeout {
				t.Errorf("got %s %s", a.Status, a.body)
			}
			until(t, "the breaker to open", func() bool { return !r.upstream("east").Healthy() })
		})
	}
}

// TestHTTPRetries checks that a request goes to another upstream only if the first
// one has got no byte of it.
func TestHTTPRetries(t *testing.T) {
	balanced(t)
	west := site(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "west %s", body)
	})
	closed, _ := scripted(t, "")
	closed.stop() // who connects is refused
	ask := "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	t.Run("refused", func(t *testing.T) {
		r := passing(t, Options{}, HTTP{}, member{name: "east", address: closed.address(), health: health.Options{Fall: 1}}, member{name: "west", address: west, role: 1})
		if _, a := r.exchange("POST", ask); a.StatusCode != 200 || a.body != "west abc" {
			t.Errorf("got %s %s", a.Status, a.body)
		}
		if r.upstream("east").Healthy() || r.Totals().Failovers != 1 {
			t.Errorf("healthy %v, %d failovers", r.upstream("east").Healthy(), r.Totals().Failovers)
		}
	})
	t.Run("taken", func(t *testing.T) {
		dead, got := scripted(t, "")
		r := passing(t, Options{}, HTTP{}, member{name: "east", address: dead.address()}, member{name: "west", address: west, role: 1})
		if _, a := r.exchange("POST", ask); a.StatusCode != http.StatusBadGateway {
			t.Errorf("got %s %s", a.Status, a.body)
		}
		<-got
		if n := r.upstream("west").Totals(); n.HandshakeFailures != 0 || r.Totals().Failovers != 0 {
			t.Errorf("it was asked again: %+v", n)
		}
	})
	t.Run("unavailable", func(t *testing.T) {
		full, _ := scripted(t, "HTTP/1.1 503 Full\r\nContent-Length: 2\r\n\r\nno")
		r := passing(t, Options{}, HTTP{}, member{name: "east", address: full.address(), health: health.Options{Fall: 1}}, member{name: "west", address: west, role: 1})
		if _, a := r.exchange("POST", ask); a.StatusCode != 503 || a.body != "no" {
			t.Errorf("got %s %s", a.Status, a.body)
		}
		if r.upstream("east").Healthy() {
			t.Error("the breaker has not opened")
		}
	})
	t.Run("500 is the application's", func(t *testing.T) {
		oh, _ := scripted(t, "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno")
		r := passing(t, Options{}, HTTP{}, member{name: "east", address: oh.address(), health: health.Options{Fall: 1}})
		if _, a := r.exchange("POST", ask); a.StatusCode != 500 || !r.upstream("east").Healthy() {
			t.Errorf("got %s %s, healthy %v", a.Status, a.body, r.upstream("east").Healthy())
		}
	})
	t.Run("none", func(t *testing.T) {
		r := passing(t, Options{}, HTTP{}, member{name: "east", address: closed.address()})
		if _, a := r.exchange("POST", ask); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("got %s %s", a.Status, a.body)
		}
	})
}

// TestHTTPLimits checks that requests count as sessions.
func TestHTTPLimits(t *testing.T) {
	balanced(t)
	east := site(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, row := range []struct {
		name   string
		limits Limits
		max    int
		want   int
	}{
		{"sessions", Limits{Sessions: 1}, 0, 503},
		{"of an address", Limits{SessionsPerAddress: 1}, 0, 429},
		{"of an upstream", Limits{}, 1, 503},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := passing(t, Options{Limits: row.limits}, HTTP{}, member{address: east, max: row.max})
			first := r.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			until(t, "the first to be under way", func() bool { return r.upstream("east").Sessions() == 1 })
			if _, a := r.exchange("GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); a.StatusCode != row.want {
				t.Errorf("got %s", a.Status)
			}
			first.Close()
			until(t, "the place to be given back", func() bool { return r.Sessions() == 0 })
		})
	}
}

// TestHTTPShutdown checks the end: streams of events end like any that is whole,
// idle connections are closed, polls are told to come again, and what an upstream
// does not end is cut at the deadline.
func TestHTTPShutdown(t *testing.T) {
	balanced(t)
	release := make(chan struct{})
	east := site(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			fallthrough
		case "/download":
			fmt.Fprint(w, "data: 1\n")
			w.(http.Flusher).Flush()
			fallthrough
		case "/wait":
			<-r.Context().Done()
		case "/report":
			<-release
			fmt.Fprint(w, "done")
		}
	})
	r := passing(t, Options{Shutdown: Shutdown{Deadline: 8 * soon}}, HTTP{IdleTimeout: patience}, member{address: east})
	get := func(path string) *peer { return r.ask("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n") }
	events, download, wait, report, idle := get("/events"), get("/download"), get("/wait"), get("/report"), get("/")
	var answers [2]*http.Response
	for i, c := range []*peer{events, download} {
		var err error
		if answers[i], err = http.ReadResponse(c.in, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(answers[i].Body, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
	if a := idle.answer(); a.StatusCode != 200 {
		t.Fatalf("got %s", a.Status)
	}
	until(t, "all to be under way", func() bool { return r.upstream("east").Sessions() == 4 })
	r.cancel()
	idle.eof()
	if rest, err := io.ReadAll(answers[0].Body); err != nil || len(rest) != 0 {
		t.Errorf("the events ended with %q, %v", rest, err)
	}
	close(release)
	if a := report.answer(); a.StatusCode != 200 || a.body != "done" {
		t.Errorf("the report: got %s %q", a.Status, a.body)
	}
	if _, err := io.ReadAll(answers[1].Body); err == nil {
		t.Error("the download looks whole")
	}
	if a := wait.answer(); a.StatusCode != 503 || !strings.Contains(a.body, "shutting_down") {
		t.Errorf("the poll: got %s %s", a.Status, a.body)
	}
	<-r.done
	if got, want := r.HTTPTotals(), (HTTPTotals{Requests: 5, Answered: 2, Ended: 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if lost := r.upstream("east").Totals(); lost.Lost+lost.HandshakeFailures != 0 {
		t.Errorf("it counts against the upstream: %+v", lost)
	}
}
