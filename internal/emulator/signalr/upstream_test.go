package signalr

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/memnet"
	"github.com/pointsman/pointsman/internal/emulator/webhook"
)

// told is what the app server was told.
type told struct {
	path, body string
	header     http.Header
}

// startApp returns a service with an app server, which answers with answer (nil is 200 without a body) and reports what
// it was told.
func startApp(t *testing.T, keys []azure.Key, answer func(w http.ResponseWriter, one told)) (*rig, <-chan told) {
	t.Helper()
	network := memnet.Listen()
	seen := make(chan told, 1000)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		one := told{r.Method + " " + r.URL.RequestURI(), string(body), r.Header}
		seen <- one
		if answer != nil {
			answer(w, one)
		}
	})}
	var ended sync.WaitGroup
	ended.Go(func() { _ = server.Serve(network) })
	t.Cleanup(func() { _ = server.Close(); ended.Wait() })
	return start(t, Options{
		Keys: keys, Upstream: "http://app.example/{hub}/{category}/{event}?code=x",
		Transport: &http.Transport{DialContext: network.Dial, DisableKeepAlives: true},
	}), seen
}

// TestUpstream: what the app server learns of a client.
func TestUpstream(t *testing.T) {
	keys := []azure.Key{newKey(t, keyText), newKey(t, "the secondary key")}
	r, seen := startApp(t, keys, nil)
	p := r.dial(login{user: "ann", query: "&color=red&asrs_request_id=1", claims: func(c *azure.Claims) {
		c.SetString("role", "admin")
		c.SetStrings("group", []string{"a", "b"})
		c.SetString("asrs.u.aud", "mine")
		c.SetString("asrs.s.sn", "server")
	}})
	check := func(path, category, event, body string) {
		t.Helper()
		one := <-seen
		got := map[string]string{"path": one.path, "body": one.body, "type": one.header.Get("Content-Type")}
		for name := range one.header {
			if strings.HasPrefix(name, "X-Asrs-") {
				got[name] = one.header.Get(name)
			}
		}
		want := map[string]string{
			"path": "POST " + path, "body": body, "type": "application/json",
			"X-Asrs-Connection-Id": p.id, "X-Asrs-Hub": "chat", "X-Asrs-Category": category, "X-Asrs-Event": event,
			"X-Asrs-Signature": webhook.Sign(keys, p.id), "X-Asrs-User-Id": "ann",
			"X-Asrs-User-Claims":  "role: admin, group: a, group: b, aud: mine",
			"X-Asrs-Client-Query": "?asrs_request_id=1&color=red&hub=chat&negotiateVersion=1",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", event, diff)
		}
	}
	check("/chat/connections/connected?code=x", "connections", "connected", `{"Type":10}`)
	const message = `{"type":1,"target":"new message","arguments":[1.50,"<é"],"extra":null}`
	p.send(message)
	check("/chat/messages/new%20message?code=x", "messages", "new message", message)
	r.does(200, "DELETE", "/api/hubs/chat/connections/"+p.id+"?reason=enough")
	check("/chat/connections/disconnected?code=x", "connections", "disconnected", `{"Type":11,"Error":"enough"}`)

	p = r.dial(login{})
	<-seen
	p.send(`{"type":7}`)
	if one := <-seen; one.body != `{"Type":11}` || one.header.Get("X-ASRS-User-Id") != "" {
		t.Errorf("a normal end: %+v", one)
	}
}

// TestInvocations: what becomes of the app server's answer.
func TestInvocations(t *testing.T) {
	var mu sync.Mutex
	status, body := 200, ""
	r, _ := startApp(t, nil, func(w http.ResponseWriter, one told) {
		mu.Lock()
		defer mu.Unlock()
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	p := r.dial(login{})
	const ask = `{"type":1,"invocationId":"7","target":"M","arguments":[]}`
	for _, tt := range []struct {
		status     int
		body, want string
	}{
		{200, `{"type":3,"invocationId":"7","result":{"a":1}}` + "\x1e", `{"type":3,"invocationId":"7","result":{"a":1}}`},
		{200, `{ "type":3, "invocationId":"7",` + "\n" + `"error":"no" }`, `{"type":3,"invocationId":"7","error":"no"}`},
		{200, "", `{"type":3,"invocationId":"7"}`},
		{204, "", `{"type":3,"invocationId":"7"}`},
		{200, `"done"`, `{"type":3,"invocationId":"7","error":"Invocation failed, the upstream did not answer with a completion."}`},
		{200, `{"type":3,"invocationId":"8"}`, `{"type":3,"invocationId":"7","error":"Invocation failed, the upstream did not answer with a completion."}`},
		{200, `{"type":7}`, `{"type":3,"invocationId":"7","error":"Invocation failed, the upstream did not answer with a completion."}`},
		{201, "", `{"type":3,"invocationId":"7","error":"Invocation failed, status code 201"}`},
		{500, "", `{"type":3,"invocationId":"7","error":"Invocation failed, status code 500"}`},
		{200, strings.Repeat("x", webhook.MaxAnswer+1), `{"type":3,"invocationId":"7","error":"Invocation failed, the upstream did not answer."}`},
	} {
		mu.Lock()
		status, body = tt.status, tt.body
		mu.Unlock()
		p.send(`{"type":1,"target":"unanswered","arguments":[]}`, ask)
		p.gets(tt.want)
	}
	p.send(`{"type":1,"invocationId":"7","target":"naïve","arguments":[]}`)
	if m := decode(t, p.next()); m["invocationId"] != "7" || m["error"] == nil {
		t.Errorf("%v, want an error", m)
	}
	r.quiet(p)
}

// TestUpstreamOrder: messages of a client arrive one after the other, after its connection and before its end.
func TestUpstreamOrder(t *testing.T) {
	r, seen := startApp(t, nil, nil)
	p := r.dial(login{})
	want := []string{"connected"}
	for i := range 20 {
		p.send(`{"type":1,"target":"m` + itoa(i) + `","arguments":[]}`)
		want = append(want, "m"+itoa(i))
	}
	p.send(`{"type":7}`)
	want = append(want, "disconnected")
	var got []string
	for range want {
		got = append(got, (<-seen).header.Get("X-ASRS-Event"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
