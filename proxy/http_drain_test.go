package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/proxy/drain"
)

// TestHTTPDrain checks that a drain ends what can be ended without harm: a stream
// of events, in good order, and the poll of a client that an id leads here; and
// that it leaves alone what ends by itself.
func TestHTTPDrain(t *testing.T) {
	balanced(t)
	release := make(chan struct{})
	serve := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/negotiate":
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"negotiateVersion":1,"connectionToken":"token"}`)
		case "/events":
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case "/poll":
			<-r.Context().Done()
		case "/report":
			<-release
			fmt.Fprint(w, "done")
		}
	}
	r := passing(t, Options{}, HTTP{}, member{name: "east", address: site(t, serve)}, member{name: "west", address: site(t, serve), role: 1})
	got := r.fetch(r.browser(), "POST", "/negotiate", nil)
	var answer struct{ ConnectionToken string }
	if err := json.Unmarshal([]byte(got.text), &answer); err != nil {
		t.Fatal(err)
	}
	get := func(path string) *peer { return r.ask("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n") }
	events, report, poll := get("/events"), get("/report"), get("/poll?id="+url.QueryEscape(answer.ConnectionToken))
	stream, err := http.ReadResponse(events.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "all to be under way", func() bool { return r.upstream("east").Sessions() == 3 })
	d, _, err := r.Drain(drain.Plan{Cause: drain.Operator, Selection: drain.Selection{Upstream: "east"}, Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(stream.Body); err != nil || string(text) != "data: 1\n\n" {
		t.Errorf("the events ended with %q, %v", text, err)
	}
	if a := poll.answer(); a.StatusCode != 503 || !strings.Contains(a.body, `"code":"moved"`) {
		t.Errorf("the poll: got %s %s", a.Status, a.body)
	}
	close(release)
	if a := report.answer(); a.body != "done" {
		t.Errorf("the report: got %s %q", a.Status, a.body)
	}
	awaitClosed(t, "the end of the drain", d.Done())
	if s := d.Status(); s.Gone != 2 || s.State != drain.Done {
		t.Errorf("got %+v", s)
	}
	if got, want := r.HTTPTotals(), (HTTPTotals{Requests: 4, Answered: 2, Ended: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
