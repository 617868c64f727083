package proxy

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/pointsman/pointsman/pool"
)

// log collects what a logger writes.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *log) at(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

// strangers lets all sorts of clients come, most of them with a secret.
func strangers(r *rig) {
	secret := asking("/chat?access_token=secret")
	for _, head := range []string{
		secret,
		strings.Replace(secret, "GET", "POST", 1),
		strings.Replace(secret, "Host:", "Host :", 1),
		strings.Replace(secret, "\r\n\r\n", "\r\nAuthorization: Bearer secret\r\nCookie: secret\r\n\r\n", 1),
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03secret",
		"secret", "",
	} {
		for range 20 {
			c := r.ask(head)
			_ = c.CloseWrite()
			_, _ = io.Copy(io.Discard, c.in)
			c.Close()
		}
	}
}

// TestLogs is the end of row 20: strangers cannot fill the log, and what they
// send as a secret is not in it, however much is logged.
func TestLogs(t *testing.T) {
	balanced(t)
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelDebug} {
		var l log
		s := newStub(t, func(c *stubConn) { c.reply("secret nonsense") })
		r := start(t, Options{Logger: l.at(level)}, member{name: "east", address: s.address()},
			member{name: "west", address: refusingAddress(t), role: pool.Secondary})
		strangers(r)
		got := l.String()
		r.stop()
		if strings.Contains(got, "secret") {
			t.Errorf("at %v a secret is in the log:\n%s", level, got)
		}
		if level == slog.LevelInfo && got != "" {
			t.Errorf("strangers fill the log:\n%s", got)
		}
		if failed := strings.Count(got, "handshake failed"); level == slog.LevelDebug && failed != 80 {
			t.Errorf("%d failed attempts in the log of\n%s", failed, got)
		}
	}
}

// TestBadRouter: a router that chooses what it was not offered is an operator's
// matter; the client is told to come back.
func TestBadRouter(t *testing.T) {
	balanced(t)
	var l log
	s := newAccepter(t)
	u, stranger := member{address: s.address()}.build(t), member{name: "stranger", address: s.address()}.build(t)
	bad, err := pool.NewSet(func(pool.Request, []*pool.Upstream) *pool.Upstream { return stranger }, []*pool.Upstream{u})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Options{Logger: l.at(slog.LevelInfo), Upstreams: []*pool.Upstream{u}, Routes: []Route{{Set: bad}}})
	r.ask(goodHead).refusedBy(t, 503)
	if got := l.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "stranger") {
		t.Errorf("logged:\n%s", got)
	}
}

// TestRouterSees checks what a router may look at to choose.
func TestRouterSees(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	u := member{address: s.address()}.build(t)
	seen := make(chan pool.Request, 1)
	looking, err := pool.NewSet(func(r pool.Request, candidates []*pool.Upstream) *pool.Upstream {
		seen <- r
		return candidates[0]
	}, []*pool.Upstream{u})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, Options{Upstreams: []*pool.Upstream{u}, Routes: []Route{{Set: looking}}})
	c := r.ask(asking("/a//b?user=7&x"))
	c.upgraded()
	got := <-seen
	if got.Host != "router.example:8080" || got.Path != "/a//b" || got.Query != "user=7&x" || got.Client.String() != "127.0.0.1" {
		t.Errorf("got %+v", got)
	}
	c.Close()
	s.session().Close()
}
