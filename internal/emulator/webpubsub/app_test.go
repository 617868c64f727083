package webpubsub

import (
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/emulator/memnet"
)

// An app is an app server behind pipes in memory. It takes everything unless it is told otherwise.
type app struct {
	t *testing.T

	mu      sync.Mutex
	seen    []asked
	answers map[string]http.HandlerFunc // by event
	origin  string                      // in WebHook-Allowed-Origin
	agrees  int                         // status of validations
	asked   int                         // validations
	came    chan struct{}
}

// asked is an event as the app server saw it.
type asked struct {
	path, event, body string
	header            http.Header
}

const appURL = "http://app.example/hook/{hub}?e={event}"

// startApp returns an app server, and the service that is to tell it.
func startApp(t *testing.T, opts Options) (*app, *rig) {
	t.Helper()
	a := &app{t: t, answers: map[string]http.HandlerFunc{}, origin: "*", agrees: 200, came: make(chan struct{}, 1000)}
	network := memnet.Listen()
	server := &http.Server{Handler: a}
	var ended sync.WaitGroup
	ended.Go(func() { _ = server.Serve(network) })
	t.Cleanup(func() { _ = server.Close(); ended.Wait() })
	opts.EventHandler = appURL
	opts.Transport = &http.Transport{DialContext: network.Dial, DisableKeepAlives: true}
	r := start(t, opts)
	return a, r
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		a.t.Error(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Method != http.MethodPost {
		a.asked++
		w.Header().Set("WebHook-Allowed-Origin", a.origin)
		w.WriteHeader(a.agrees)
		if got := r.Header.Get("WebHook-Request-Origin"); got != hostName || r.Header.Get("ce-awpsversion") != "1.0" {
			a.t.Errorf("validation from origin %q with %v", got, r.Header)
		}
		return
	}
	event := r.Header.Get("ce-eventName")
	a.seen = append(a.seen, asked{r.URL.RequestURI(), event, string(body), r.Header})
	a.came <- struct{}{}
	if answer := a.answers[event]; answer != nil {
		answer(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// on sets what is answered to an event.
func (a *app) on(event string, answer http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers[event] = answer
}

// says answers with a body.
func says(status int, contentType, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		} else {
			w.Header()["Content-Type"] = nil
		}
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// wait returns the next event that the app server has not been asked about in
// a test before.
func (a *app) wait(event string) asked {
	a.t.Helper()
	select {
	case <-a.came:
	case <-time.After(patience):
		a.t.Fatalf("no event where %s was expected", event)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	one := a.seen[0]
	a.seen = a.seen[1:]
	if one.event != event {
		a.t.Fatalf("event %s, want %s", one.event, event)
	}
	return one
}
