package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
)

// TestHTTPOfService checks what a service's clients fall back to: they show a
// token, the upstream gets one of its own, and with CloseAtExpiry a stream and a
// poll end with the token.
func TestHTTPOfService(t *testing.T) {
	balanced(t)
	var asked atomic.Int64
	var token atomic.Value
	east := site(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		token.Store(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if r.URL.Query().Get("transport") == "events" {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
		}
		if r.URL.Query().Get("transport") != "" {
			<-r.Context().Done()
		}
	})
	c, err := azure.ParseConnectionString("Endpoint=http://" + east + ";AccessKey=" + eastKey)
	if err != nil {
		t.Fatal(err)
	}
	r := serveRegions(t, azure.SignalR, func(r *Route) {
		r.HTTP.Pass, r.Service.CloseAtExpiry = true, true
	}, member{name: "east", address: east, role: pool.Primary, service: c})
	get := func(query string, lifetime time.Duration) *peer {
		t.Helper()
		text, err := azure.Mint(accessKey(t, ownKey), azure.NewClaims("http://"+r.address+"/client/?hub=chat", time.Now(), lifetime))
		if err != nil {
			t.Fatal(err)
		}
		return r.ask("GET /client/?hub=chat" + query + " HTTP/1.1\r\nHost: " + r.address + "\r\nAuthorization: Bearer " + text + "\r\n\r\n")
	}
	if a := r.ask("GET /client/?hub=chat HTTP/1.1\r\nHost: " + r.address + "\r\n\r\n").answer(); a.StatusCode != http.StatusUnauthorized || asked.Load() != 0 {
		t.Errorf("without a token: %s, %d requests", a.Status, asked.Load())
	}
	if a := get("", time.Hour).answer(); a.StatusCode != http.StatusOK {
		t.Fatalf("got %s %s", a.Status, a.body)
	}
	guard, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{c.Issuer("east")}})
	if err != nil {
		t.Fatal(err)
	}
	hub, err := azure.ClientResource(azure.SignalR, "chat")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := guard.Verify(token.Load().(string), azure.Base{}, hub); err != nil {
		t.Errorf("the upstream got a token that is not for it: %v", err)
	}
	events, poll := get("&transport=events", 2*time.Second), get("&transport=poll", 2*time.Second)
	stream, err := http.ReadResponse(events.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(stream.Body); err != nil || string(text) != "data: 1\n\n" {
		t.Errorf("the stream ended with %q, %v", text, err)
	}
	if a := poll.answer(); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the poll got %s %s", a.Status, a.body)
	}
}
