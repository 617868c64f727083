package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPromisedLines(t *testing.T) {
	const text = "noise\nready on A\r\nmore noise, " + "and ready on nothing\nadmin on B\nready on C\n"
	for size := 1; size <= len(text); size++ {
		p := newPromisedLines([]string{"ready on ", "admin on "})
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if _, err := p.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		select {
		case <-p.kept:
		default:
			t.Fatalf("in pieces of %d: not all lines seen", size)
		}
		if a, b := p.after("ready on "), p.after("admin on "); a != "A" || b != "B" {
			t.Errorf("in pieces of %d: %q and %q", size, a, b)
		}
	}
}

func TestPromisedLinesAreBounded(t *testing.T) {
	p := newPromisedLines([]string{"ready on "})
	chunk := bytes.Repeat([]byte("x"), 1000)
	for range 1000 {
		_, _ = p.Write(chunk)
	}
	if n := len(p.partial); n > keptLine {
		t.Errorf("%d bytes of an endless line are kept", n)
	}
	_, _ = p.Write([]byte("\nready on A\n"))
	if got := p.after("ready on "); got != "A" {
		t.Errorf("after an endless line: %q", got)
	}
}

func TestTailBufferKeepsTheEnd(t *testing.T) {
	b := new(tailBuffer)
	for range 3 {
		_, _ = b.Write(bytes.Repeat([]byte("old "), keptStderr/8))
	}
	_, _ = b.Write([]byte("the end"))
	if s := b.String(); len(s) != keptStderr || !strings.HasSuffix(s, "old the end") {
		t.Errorf("%d bytes kept, ending in %q", len(s), s[max(0, len(s)-20):])
	}
}

func TestAwaitReady(t *testing.T) {
	answers := []string{
		"",
		`{"upstreams":[]}`,
		`{"upstreams":[{"name":"a","healthy":true},{"name":"b","healthy":false}]}`,
		`{"upstreams":[{"name":"a","healthy":true},{"name":"b","healthy":true,"held_until":"2026-01-02T03:04:05.6Z"}]}`,
		`{"upstreams":[{"name":"a","healthy":true},{"name":"b","healthy":true,"sessions":7}]}`,
	}
	next := 0
	asked := make(chan func(), 1) // called at the next question, before it is answered
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/status" {
			http.NotFound(w, r)
			return
		}
		select {
		case f := <-asked:
			f()
		default:
		}
		if answers[next] == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write([]byte(answers[next]))
		next = min(next+1, len(answers)-1)
	}))
	defer srv.Close()
	s := newRouterStatus(srv.URL)
	defer s.close()
	if err := s.awaitReady(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	v, err := s.get(t.Context())
	if err != nil || v.sessions["b"] != 7 || !v.takes("b") || v.takes("c") {
		t.Errorf("view %+v, %v", v, err)
	}

	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	asked <- func() { asked <- func() { cancel(cause) } } // the first answer is heard
	err = s.awaitReady(ctx, "a", "c")
	if !errors.Is(err, cause) || !strings.Contains(err.Error(), "gives c no sessions") {
		t.Errorf("error %v", err)
	}
}

func TestRouterTellsTheWayHome(t *testing.T) {
	const (
		other = `{"cause":"operator","upstream":"b","found":7},{"cause":"failback","upstream":"c","found":7}`
		first = `{"cause":"failback","upstream":"b","found":3,"state":"done","ended":"2026-01-02T03:04:05.6Z"}`
		next  = `{"cause":"failback","upstream":"b","found":2,"state":"running"}`
	)
	for _, tt := range []struct {
		drains      string
		found       int
		begun, over bool
	}{
		{``, 0, false, false},
		{other, 0, false, false},
		{other + "," + next, 2, true, false},
		{first + "," + other, 3, true, true},
		{first + "," + next, 5, true, false},
	} {
		drains, err := readRouterDrains(strings.NewReader(`{"drains":[` + tt.drains + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		if found, begun, over := drains.home("b"); found != tt.found || begun != tt.begun || over != tt.over {
			t.Errorf("%s: found %d, begun %v, over %v", tt.drains, found, begun, over)
		}
	}
}

// FuzzRouterView: whatever answers on the admin address, reading it ends without
// a panic, and a view that came out can be compared.
func FuzzRouterView(f *testing.F) {
	f.Add([]byte(`{"upstreams":[{"name":"primary-1","healthy":true,"sessions":3}]}`))
	f.Add([]byte(`{"upstreams":[{"name":"primary-1","held_until":"2026-01-02T03:04:05.6Z"}]}`))
	f.Add([]byte(`{"drains":[{"cause":"failback","upstream":"secondary-1","found":3}]}`))
	f.Add([]byte(`{"upstreams":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := readRouterView(bytes.NewReader(body))
		if err == nil && !sameSessions(v.sessions, v.sessions) {
			t.Errorf("a view differs from itself: %v", v)
		}
		drains, err := readRouterDrains(bytes.NewReader(body))
		if _, begun, over := drains.home(demoSecondary); err == nil && over && !begun {
			t.Errorf("over before it began: %v", drains)
		}
	})
}

func TestProgressOnATerminalRedraws(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newDemoProgress(&out)
		p.live = true
		p.show("a long line")
		p.show("short")
		p.note("%s", "stays")
		p.show("x")
		p.clear()
		p.clear()
		want := "\r  0.0s  a long line" +
			"\r  0.0s  short      " +
			"\r             \r  0.0s  stays\n" +
			"\r  0.0s  x" + "\r         \r"
		if got := out.String(); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

func TestProgressElsewhereIsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newDemoProgress(&out)
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		p.note("%s", "begin")
		p.run(ctx, func() string { return "tick" })
		if got, want := out.String(), "  0.0s  begin\n  1.0s  tick\n  2.0s  tick\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestIsTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(f) || isTerminal(null) || isTerminal(new(bytes.Buffer)) {
		t.Error("a file, a buffer or the null device passes for a terminal")
	}
}
