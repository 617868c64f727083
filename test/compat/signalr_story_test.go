//go:build compat && linux

package compat

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// signalRTranscript is what signalr_story.js writes. ann has a WebSocket, bob server-sent events, and cat polls.
var signalRTranscript = append([]string{
	`ann: started {"id":"ann's id"}`,
	`bob: started {"id":"bob's id"}`,
	`cat: started {"id":"cat's id"}`,

	`service: to all {"status":202}`,
	`ann: news {"args":["all",{"a":[1,null,"ü"]}]}`,
	`bob: news {"args":["all",{"a":[1,null,"ü"]}]}`,
	`cat: news {"args":["all",{"a":[1,null,"ü"]}]}`,
	`service: to all but one {"status":202}`,
	`ann: news {"args":["not bob"]}`,
	`cat: news {"args":["not bob"]}`,
	`service: add ann {"status":200}`,
	`service: add user cat {"status":200}`,
	`service: add nobody {"status":404}`,
	`service: to group {"status":202}`,
	`ann: news {"args":["room"]}`,
	`cat: news {"args":["room"]}`,
	`service: to group, old {"status":202}`,
	`cat: news {"args":["room, old"]}`,
	`service: to user {"status":202}`,
	`bob: news {"args":["bob"]}`,
	`service: to connection {"status":202}`,
	`cat: news {"args":["cat"]}`,
	`service: cat in room {"status":200}`,
	`service: remove cat {"status":204}`,
	`service: cat in room {"status":404}`,
	`service: remove ann {"status":200}`,
	`service: room exists {"status":404}`,
	`service: bob exists {"status":200}`,
	`service: dan exists {"status":404}`,
}, slices.Concat(
	signalRInvocations("ann"), signalRInvocations("bob"), signalRInvocations("cat"),
	[]string{
		`service: ask too much {"status":400}`,
		`ann: asked {"question":"impossible"}`,

		`service: close ann {"status":200}`,
		`ann: reconnecting {"error":"Server returned an error on close: go"}`,
		`ann: reconnected {"id":"ann's id"}`,
		`service: close the others {"status":204}`,
		`bob: reconnecting {"error":"Server returned an error on close: all"}`,
		`bob: reconnected {"id":"bob's id"}`,
		`cat: closed {"error":"Server returned an error on close: all"}`,
		`service: to all {"status":202}`,
		`ann: news {"args":["welcome back"]}`,
		`bob: news {"args":["welcome back"]}`,
		`ann: closed`,
		`bob: closed`,
		`cat: started {"id":"cat's id"}`,
		`cat: closed`,
		`service: cat exists {"status":404}`,
		`story: done`,
	},
)...)

func signalRInvocations(name string) []string {
	return []string{
		name + `: invoked add {"result":3}`,
		name + `: invoked fail {"error":"cannot"}`,
		name + `: invoked nothing {"result":null}`,
		`service: ask ` + name + ` {"status":200,"answer":{"result":"really? yes"}}`,
		name + `: asked {"question":"really"}`,
	}
}

// startUpstream starts an app server that is told what clients do, and reports each as user and event.
func startUpstream(t *testing.T) (url string, told <-chan string) {
	t.Helper()
	events := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		events <- r.Header.Get("X-ASRS-User-Id") + " " + r.URL.Path
		var m struct {
			Target       string
			InvocationID string
			Arguments    []int
		}
		if r.Header.Get("X-ASRS-Event") != "note" && json.Unmarshal(body, &m) != nil {
			t.Errorf("%s: %s", r.URL.Path, body)
		}
		switch m.Target {
		case "add":
			fmt.Fprintf(w, `{"type":3,"invocationId":%q,"result":%d}`+"\x1e", m.InvocationID, m.Arguments[0]+m.Arguments[1])
		case "fail":
			fmt.Fprintf(w, `{"type":3,"invocationId":%q,"error":"cannot"}`+"\x1e", m.InvocationID)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, events
}

// TestSignalRStory: the vendor's client works with the emulator as it is, over each of its transports; and through a router in front of
// two, with the same transcript.
func TestSignalRStory(t *testing.T) {
	play := func(name string, start func(t *testing.T, handler []string) (connection string, ends []*process)) {
		t.Run(name, func(t *testing.T) {
			url, told := startUpstream(t)
			connection, ends := start(t, []string{"--event-handler", url + "/{hub}/{category}/{event}"})
			launch(t, "story", "node", "node/signalr_story.js", connection).tells(signalRTranscript...)
			wantSignalREvents(t, told)
			endInOrder(t, ends)
		})
	}
	play("direct", func(t *testing.T, handler []string) (string, []*process) {
		s := startService(t, "signalr", append(handler, "--listen", "127.0.0.1:0")...)
		return s.connection, []*process{s.process}
	})
	play("through pointsman", func(t *testing.T, handler []string) (string, []*process) {
		g := startRegions(t, "signalr", handler, handler)
		f := g.front(t, "primary", "secondary")
		return f.connection, []*process{f.process, g.east.process, g.west.process}
	})
}

// wantSignalREvents waits for all that the app server is to be told by the story.
func wantSignalREvents(t *testing.T, told <-chan string) {
	t.Helper()
	var want, got []string
	for _, name := range []string{"ann", "bob", "cat"} {
		for _, event := range []string{"messages/add", "messages/fail", "messages/nothing", "messages/note"} {
			want = append(want, name+" /story/"+event)
		}
		for range 2 { // each has come again
			want = append(want, name+" /story/connections/connected", name+" /story/connections/disconnected")
		}
	}
	for range want {
		select {
		case event := <-told:
			got = append(got, event)
		case <-time.After(patience):
			t.Fatalf("%d events, want %d", len(got), len(want))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("app server (-want +got):\n%s", diff)
	}
}
