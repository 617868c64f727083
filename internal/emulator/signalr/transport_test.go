package signalr

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// events is a client of server-sent events.
type events struct {
	t     *testing.T
	rig   *rig
	login login
	n     negotiated
	lines *bufio.Scanner
	stop  func()
}

func (r *rig) events(l login) *events {
	r.t.Helper()
	e := &events{t: r.t, rig: r, login: l, n: r.negotiate(l)}
	ctx, cancel := context.WithCancel(context.Background())
	header := r.bearer(l)
	header.Set("Accept", "text/event-stream")
	response := r.do(ctx, "GET", l.target(e.n.Token), "", header)
	e.stop = func() { cancel(); _ = response.Body.Close() }
	r.t.Cleanup(e.stop)
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		r.t.Fatalf("events: %d %v", response.StatusCode, response.Header)
	}
	e.lines = bufio.NewScanner(response.Body)
	return e
}

// post sends what a client without a WebSocket sends.
func (r *rig) post(status int, l login, token, text string) {
	r.t.Helper()
	header := r.bearer(l)
	header.Set("Content-Type", "text/plain;charset=UTF-8")
	if got, _, answer := r.ask("POST", l.target(token), text, header); got != status {
		r.t.Fatalf("POST: %d %s, want %d", got, answer, status)
	}
}

func (e *events) gets(messages ...string) {
	e.t.Helper()
	for _, want := range messages {
		for {
			if !e.lines.Scan() {
				e.t.Fatalf("events ended (%v) where %s was expected", e.lines.Err(), want)
			}
			if text, ok := strings.CutPrefix(e.lines.Text(), "data: "); ok {
				if text != want+"\x1e" {
					e.t.Fatalf("event %q, want %q", text, want)
				}
				break
			}
		}
	}
}

func TestServerSentEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{})
		l := login{user: "ann"}
		e := r.events(l)
		r.post(200, l, e.n.Token, `{"protocol":"json","version":1}`+"\x1e")
		e.gets(`{}`)
		r.does(202, "POST", "/api/hubs/chat/users/ann/:send", `{"target":"M","arguments":["a\nb",{"c":"<"}]}`)
		e.gets(`{"type":1,"target":"M","arguments":["a\nb",{"c":"<"}]}`)
		began := time.Now()
		e.gets(`{"type":6}`)
		if took := time.Since(began); took != pingInterval {
			t.Errorf("ping after %v", took)
		}
		r.post(200, l, e.n.Token, `{"type":4,"invocationId":"1","target":"M","arguments":[]}`+"\x1e")
		e.gets(`{"type":3,"invocationId":"1","error":"Streams are not supported in serverless mode."}`)

		header := r.bearer(l)
		header.Set("Accept", "text/event-stream")
		if status, _, _ := r.ask("GET", l.target(e.n.Token), "", header); status != 409 {
			t.Errorf("another GET: %d, want 409", status)
		}
		if status, _, _ := r.ask("GET", l.target(e.n.Token), "", r.bearer(l)); status != 400 {
			t.Errorf("a poll: %d, want 400", status)
		}
		if status, _, _ := r.ask("DELETE", l.target(e.n.Token), "", r.bearer(l)); status != 400 {
			t.Errorf("DELETE: %d, want 400", status)
		}
		r.does(200, "DELETE", "/api/hubs/chat/connections/"+e.n.ID+"?reason=enough")
		e.gets(`{"type":7,"error":"enough","allowReconnect":true}`)
		if e.lines.Scan() && e.lines.Text() != "" || e.lines.Scan() {
			t.Error("there are events after the end")
		}
		r.post(404, l, e.n.Token, `{"type":6}`+"\x1e")

		// The client leaves.
		e = r.events(l)
		r.post(200, l, e.n.Token, `{"protocol":"json","version":1}`+"\x1e")
		e.gets(`{}`)
		e.stop()
		synctest.Wait()
		r.does(404, "HEAD", "/api/hubs/chat/connections/"+e.n.ID)
	})
}

// polls is a client of long polling.
type polls struct {
	t     *testing.T
	rig   *rig
	login login
	n     negotiated
}

func (r *rig) polls(l login) *polls {
	r.t.Helper()
	p := &polls{r.t, r, l, r.negotiate(l)}
	p.gets(200, "")
	return p
}

func (p *polls) gets(status int, want string) {
	p.t.Helper()
	got, _, text := p.rig.ask("GET", p.login.target(p.n.Token)+"&_=1", "", p.rig.bearer(p.login))
	if got != status || text != want {
		p.t.Fatalf("poll: %d %q, want %d %q", got, text, status, want)
	}
}

func TestLongPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{})
		l := login{user: "ann"}
		p := r.polls(l)
		r.post(200, l, p.n.Token, `{"protocol":"json","version":1}`+"\x1e")
		p.gets(200, "{}\x1e")
		for _, text := range []string{"1", "2"} {
			r.does(202, "POST", "/api/hubs/chat/users/ann/:send", `{"target":"M","arguments":[`+text+`]}`)
		}
		p.gets(200, `{"type":1,"target":"M","arguments":[1]}`+"\x1e"+`{"type":1,"target":"M","arguments":[2]}`+"\x1e")
		began := time.Now()
		p.gets(200, `{"type":6}`+"\x1e")
		if took := time.Since(began); took != pingInterval {
			t.Errorf("ping after %v", took)
		}

		// A later poll takes the place of one that waits.
		replaced := make(chan string, 1)
		go func() {
			_, _, text := r.ask("GET", l.target(p.n.Token), "", r.bearer(l))
			replaced <- text
		}()
		synctest.Wait()
		time.AfterFunc(time.Second, func() {
			r.does(202, "POST", "/api/hubs/chat/users/ann/:send", `{"target":"M","arguments":[3]}`)
		})
		p.gets(200, `{"type":1,"target":"M","arguments":[3]}`+"\x1e")
		if text := <-replaced; text != "" {
			t.Errorf("the first poll got %q", text)
		}
		header := r.bearer(l)
		header.Set("Accept", "text/event-stream")
		if status, _, _ := r.ask("GET", l.target(p.n.Token), "", header); status != 400 {
			t.Errorf("events: %d, want 400", status)
		}

		// The end is told, and then that there is no more.
		r.does(200, "DELETE", "/api/hubs/chat/connections/"+p.n.ID)
		r.post(404, l, p.n.Token, `{"type":6}`+"\x1e")
		p.gets(200, `{"type":7,"allowReconnect":true}`+"\x1e")
		p.gets(204, "")
		p.gets(404, "No Connection with that ID\n")

		// Nobody fetches the end.
		p = r.polls(l)
		r.does(404, "HEAD", "/api/hubs/chat/connections/"+p.n.ID) // no handshake yet
		r.post(200, l, p.n.Token, `{"protocol":"json","version":1}`+"\x1e")
		time.Sleep(clientTimeout)
		synctest.Wait()
		r.does(404, "HEAD", "/api/hubs/chat/connections/"+p.n.ID)
		time.Sleep(answersLinger)
		synctest.Wait()
		p.gets(404, "No Connection with that ID\n")

		// The client says that it leaves.
		p = r.polls(l)
		r.post(200, l, p.n.Token, `{"protocol":"json","version":1}`+"\x1e")
		if status, _, _ := r.ask("DELETE", l.target(p.n.Token), "", r.bearer(l)); status != 202 {
			t.Errorf("DELETE: %d, want 202", status)
		}
		r.does(404, "HEAD", "/api/hubs/chat/connections/"+p.n.ID)
		if n := len(r.service.clients.clients); n != 0 {
			t.Errorf("%d clients are left", n)
		}
	})
}

func TestLargePost(t *testing.T) {
	r := start(t, Options{})
	l := login{}
	p := r.polls(l)
	r.post(413, l, p.n.Token, strings.Repeat(" ", 2*maxMessage+1))
	n := r.negotiate(l)
	r.post(404, l, n.Token, "x") // not connected yet
	if status, _, _ := r.ask("GET", "/client/?hub=chat", "", r.bearer(l)); status != 400 {
		t.Errorf("poll without id: %d", status)
	}
	if status, _, _ := r.ask("PATCH", l.target(p.n.Token), "", r.bearer(l)); status != 405 {
		t.Errorf("PATCH: %d", status)
	}
	if status, _, _ := r.ask("GET", l.target("none"), "", http.Header{}); status != 401 {
		t.Errorf("poll without token: %d", status)
	}
}
