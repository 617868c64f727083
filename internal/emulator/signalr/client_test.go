package signalr

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/internal/azure"
)

func TestNegotiate(t *testing.T) {
	r := start(t, Options{})
	bearer := r.bearer(login{})
	for _, tt := range []struct {
		name, method, target string
		header               http.Header
		status               int
		says                 string
	}{
		{"version 1", "POST", "?hub=chat&negotiateVersion=1", bearer, 200, `"negotiateVersion":1,`},
		{"later version", "POST", "?hub=chat&negotiateVersion=99", bearer, 200, `"negotiateVersion":1,`},
		{"version 0", "POST", "?hub=chat&negotiateVersion=0", bearer, 200, `"negotiateVersion":0,`},
		{"no version", "POST", "?hub=chat", bearer, 200, `"negotiateVersion":0,`},
		{"negative version", "POST", "?hub=chat&negotiateVersion=-1", bearer, 200, `{"error":`},
		{"no number", "POST", "?hub=chat&negotiateVersion=abc", bearer, 200, `{"error":`},
		{"stateful reconnect", "POST", "?hub=chat&negotiateVersion=1&useStatefulReconnect=true", bearer, 200, `"negotiateVersion":1`},
		{"token in the query", "POST", "?hub=chat&access_token=" + r.token(login{}), nil, 200, `"negotiateVersion":0,`},
		{"case of the hub", "POST", "?hub=CHAT", bearer, 200, `"negotiateVersion":0,`},
		{"GET", "GET", "?hub=chat", bearer, 405, ""},
		{"no token", "POST", "?hub=chat", nil, 401, "Unauthorized"},
		{"other hub", "POST", "?hub=news", bearer, 401, "Unauthorized"},
		{"no hub", "POST", "", bearer, 400, "Invalid value of 'hub'"},
		{"two hubs", "POST", "?hub=chat&hub=news", bearer, 400, "Invalid value of 'hub'"},
		{"bad hub", "POST", "?hub=1", bearer, 400, "Invalid value of 'hub'"},
		{"bad query", "POST", "?hub=chat&x=%zz", bearer, 400, "malformed"},
	} {
		status, h, body := r.ask(tt.method, "/client/negotiate"+tt.target, "", tt.header)
		if status != tt.status || !strings.Contains(body, tt.says) || strings.Contains(body, "useStatefulReconnect") {
			t.Errorf("%s: %d %s, want %d %s", tt.name, status, body, tt.status, tt.says)
		}
		if status == 200 && h.Get("Content-Type") != "application/json; charset=utf-8" {
			t.Errorf("%s: %s", tt.name, h.Get("Content-Type"))
		}
	}
	n := r.negotiate(login{})
	want := negotiated{Version: 1, ID: n.ID, Token: n.Token, Transports: []offer{
		{"WebSockets", []string{"Text"}}, {"ServerSentEvents", []string{"Text"}}, {"LongPolling", []string{"Text"}},
	}}
	if diff := cmp.Diff(want, n); diff != "" || n.ID == "" || n.Token == "" || n.ID == n.Token {
		t.Errorf("-want +got:\n%s", diff)
	}
	_, _, body := r.ask("POST", "/client/negotiate?hub=chat", "", bearer)
	if err := json.Unmarshal([]byte(body), &n); err != nil {
		t.Fatal(err)
	}
	if conn, _, err := r.open(login{}.target(n.ID), bearer); err != nil || strings.Contains(body, "connectionToken") {
		t.Errorf("version 0: %v; %s", err, body)
	} else {
		conn.CloseNow()
	}
	if status, _, _ := r.ask("POST", "/client/other?hub=chat", "", bearer); status != 404 {
		t.Errorf("other path: %d", status)
	}
}

// TestOrigins: pages of other origins may negotiate, with credentials.
func TestOrigins(t *testing.T) {
	r := start(t, Options{})
	status, h, _ := r.ask("OPTIONS", "/client/negotiate?hub=chat", "", http.Header{
		"Origin": {"https://page.example"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"authorization,x-signalr-user-agent"},
	})
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://page.example", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Headers": "authorization,x-signalr-user-agent", "Access-Control-Allow-Methods": "GET, POST, DELETE",
	} {
		if got := h.Get(name); got != want || status != 204 {
			t.Errorf("%d, %s: %q, want %q", status, name, got, want)
		}
	}
	header := r.bearer(login{})
	header.Set("Origin", "https://page.example")
	if _, h, _ := r.ask("POST", "/client/negotiate?hub=chat", "", header); h.Get("Access-Control-Allow-Origin") != "https://page.example" {
		t.Errorf("%v", h)
	}
	if _, h, _ := r.ask("POST", "/client/negotiate?hub=chat", "", r.bearer(login{})); h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", h)
	}
}

// TestConnect: the statuses of those who come with something wrong.
func TestConnect(t *testing.T) {
	r := start(t, Options{})
	l := login{}
	bearer := r.bearer(l)
	n := r.negotiate(l)
	refused := func(status int, target string, header http.Header) {
		t.Helper()
		if _, response, err := r.open(target, header); err == nil || response == nil || response.StatusCode != status {
			t.Errorf("%s: %v, want %d", target, err, status)
		}
	}
	refused(404, l.target("unknown"), bearer)
	refused(404, l.target(n.ID), bearer) // the id is no secret
	refused(401, l.target(n.Token), nil)
	refused(404, login{hub: "news"}.target(n.Token), r.bearer(login{hub: "news"}))
	first, _, err := r.open(l.target(n.Token), bearer)
	if err != nil {
		t.Fatal(err)
	}
	refused(409, l.target(n.Token), bearer)
	for method, status := range map[string]int{"POST": 405, "DELETE": 400, "PUT": 405, "GET": 400} {
		if got, _, _ := r.ask(method, l.target(n.Token), "", bearer); got != status {
			t.Errorf("%s on a WebSocket connection: %d, want %d", method, got, status)
		}
	}
	if got, _, _ := r.ask("POST", "/client/?hub=chat", "", bearer); got != 400 {
		t.Errorf("POST without id: %d, want 400", got)
	}
	if got, _, _ := r.ask("POST", l.target("unknown"), "", bearer); got != 404 {
		t.Errorf("POST with unknown id: %d, want 404", got)
	}
	first.CloseNow()
	eventually(t, func() bool { return r.service.clients.find(n.Token, "chat") == nil })
	refused(404, l.target(n.Token), bearer)

	// Negotiation may be skipped.
	conn, _, err := r.open("/client/?hub=chat", bearer)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn}
	p.send(`{"protocol":"json","version":1}`)
	p.gets(`{}`)
}

// TestConnectInTime: what is due must come in time.
func TestConnectInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{})
		l := login{}
		n := r.negotiate(l)
		time.Sleep(connectWithin - time.Nanosecond)
		conn, _, err := r.open(l.target(n.Token), r.bearer(l))
		if err != nil {
			t.Fatal(err)
		}
		n = r.negotiate(l)
		time.Sleep(connectWithin)
		synctest.Wait()
		if _, response, err := r.open(l.target(n.Token), r.bearer(l)); response == nil || response.StatusCode != 404 {
			t.Errorf("too late: %v, want 404", err)
		}
		began := time.Now()
		p := &peer{t: t, conn: conn}
		p.gets(`{"error":"Handshake was canceled."}`)
		p.ends()
		if took := time.Since(began); took != handshakeWithin-connectWithin {
			t.Errorf("handshake was awaited for %v more", took)
		}
	})
}

func TestHubHandshake(t *testing.T) {
	for text, want := range map[string]string{
		`{"protocol":"json","version":1}`:        ``,
		`{"protocol":"messagepack","version":1}`: "The protocol 'messagepack' is not emulated; json is.",
		`{"protocol":"json","version":2}`:        "Version 2 of the protocol json is not emulated; 1 is.",
		`{"type":6}`:                             "The first message must be a handshake.",
		`x`:                                      "The first message must be a handshake.",
	} {
		r := start(t, Options{})
		p := r.connect(login{})
		p.send(text)
		if want == "" {
			p.gets(`{}`)
			r.quiet(p)
			continue
		}
		p.gets(`{"error":"` + want + `"}`)
		p.ends()
		if r.service.roster.Len() != 0 {
			t.Errorf("%s: the client is there", text)
		}
	}
}

// TestPieces: messages and frames do not line up.
func TestPieces(t *testing.T) {
	r := start(t, Options{})
	p := r.connect(login{})
	stream := `{"type":4,"invocationId":"%","target":"M","arguments":[]}` + "\x1e"
	text := `{"protocol":"json","version":1}` + "\x1e" + strings.Replace(stream, "%", "1", 1) + `{"type":6}` + "\x1e" + strings.Replace(stream, "%", "2", 1)
	for i := range len(text) {
		p.write(text[i : i+1])
	}
	refused := `{"type":3,"invocationId":"%","error":"Streams are not supported in serverless mode."}`
	p.gets(`{}`, strings.Replace(refused, "%", "1", 1), strings.Replace(refused, "%", "2", 1))
	p.write(strings.Replace(stream, "%", "3", 1) + strings.Replace(stream, "%", "4", 1))
	p.gets(strings.Replace(refused, "%", "3", 1), strings.Replace(refused, "%", "4", 1))
}

// TestFaultyMessages: a client that does not keep to the protocol shall not come again.
func TestFaultyMessages(t *testing.T) {
	for _, text := range []string{
		`x`, `[]`, `{}`, `{"type":"1"}`, `{"type":1}`, `{"type":1,"target":"M"}`, `{"type":1,"target":"M","arguments":{}}`, `{"type":1,"arguments":[]}`,
		`{"type":4,"target":"M","arguments":[]}`, `{"type":5}`, `{"type":2}`, `{"type":3,"result":1}`, `{"type":3,"invocationId":"1","result":1,"error":"x"}`,
		"{\"type\":6,\"x\":\"\xff\"}",
		strings.Repeat(" ", maxMessage+1),
		`{"type":1,"target":"M","arguments":[]}`, // there is no upstream
	} {
		r := start(t, Options{})
		p := r.dial(login{})
		p.write(text + map[bool]string{true: "", false: "\x1e"}[len(text) > maxMessage])
		p.gets(`{"type":7,"error":"Connection closed with an error."}`)
		p.ends()
		if r.service.roster.Len() != 0 {
			t.Errorf("%.50s: the client is there", text)
		}
	}
}

// TestHarmlessMessages: what has no meaning here does no harm.
func TestHarmlessMessages(t *testing.T) {
	r := start(t, Options{})
	p := r.dial(login{})
	p.send(`{"type":6}`, `{"type":5,"invocationId":"1"}`, `{"type":2,"invocationId":"1","item":1}`, `{"type":3,"invocationId":"s1","result":1}`,
		`{"type":8,"sequenceId":1}`, `{"type":9,"sequenceId":1}`, `{"type":99,"new":true}`)
	r.quiet(p)
	p.send(`{"type":7}`)
	p.ends()
	eventually(t, func() bool { return r.service.roster.Len() == 0 })
}

// TestSilence: the service pings when it is silent, and gives up a client that is.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{})
		p := r.dial(login{})
		began := time.Now()
		at := func(d time.Duration) {
			t.Helper()
			if got := time.Since(began); got != d {
				t.Fatalf("after %v, want %v", got, d)
			}
		}
		p.gets(`{"type":6}`)
		at(pingInterval)
		p.send(`{"type":6}`)
		time.Sleep(5 * time.Second)
		r.quiet(p)
		p.gets(`{"type":6}`)
		at(5*time.Second + 2*pingInterval)
		p.gets(`{"type":7,"error":"The client was silent for too long.","allowReconnect":true}`)
		at(pingInterval + clientTimeout)
		p.ends()
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{Limits: Limits{Connections: 2, QueueRecords: 5}})
		l := login{}
		// As many may have negotiated, and connected, as there are places for both.
		var waiting []negotiated
		for range 4 {
			waiting = append(waiting, r.negotiate(l))
		}
		full := func(target string) {
			t.Helper()
			status, h, _ := r.ask("POST", target, "", r.bearer(l))
			if status != 429 || h.Get("x-ms-error-code") != "ConnectionCountLimitReached" {
				t.Fatalf("%s: %d, want 429", target, status)
			}
		}
		full("/client/negotiate?hub=chat")
		var peers []*peer
		for i, n := range waiting[:3] {
			conn, _, err := r.open(l.target(n.Token), r.bearer(l))
			if err != nil {
				t.Fatal(err)
			}
			p := &peer{t: t, conn: conn, id: n.ID}
			p.send(`{"protocol":"json","version":1}`)
			p.gets(`{}`)
			if i == 2 {
				p.gets(`{"type":7,"error":"There are as many connections as are allowed.","allowReconnect":true}`)
				p.ends()
			}
			peers = append(peers, p)
		}
		time.Sleep(connectWithin)
		synctest.Wait()
		full("/client/negotiate?hub=chat")
		if _, response, err := r.open("/client/?hub=chat", r.bearer(l)); response == nil || response.StatusCode != 429 {
			t.Errorf("%v, want 429", err)
		}

		// A client that does not read is closed, and the other one is not held up.
		slow, quick := peers[0], peers[1]
		for i := range 8 {
			r.does(202, "POST", "/api/hubs/chat/:send", `{"target":"M","arguments":[`+itoa(i)+`]}`)
			quick.gets(`{"type":1,"target":"M","arguments":[` + itoa(i) + `]}`)
		}
		r.does(404, "HEAD", "/api/hubs/chat/connections/"+slow.id)
		slow.gets(`{"type":1,"target":"M","arguments":[0]}`, `{"type":7,"error":"The client is too slow.","allowReconnect":true}`)
		slow.ends()
		r.quiet(quick)
	})
}

func TestShutdown(t *testing.T) {
	r := start(t, Options{})
	p := r.dial(login{})
	done := make(chan struct{})
	go func() { r.stop(); close(done) }()
	p.gets(`{"type":7,"allowReconnect":true}`)
	p.ends()
	<-done
	if r.service.roster.Len() != 0 || len(r.service.clients.clients) != 0 {
		t.Error("clients are left")
	}
	if err := r.service.Run(t.Context()); err == nil {
		t.Error("a service ran twice")
	}
}

func TestAnonymous(t *testing.T) {
	r := start(t, Options{Anonymous: true})
	if status, _, _ := r.ask("POST", "/client/negotiate?hub=chat", "", nil); status != 200 {
		t.Errorf("no token: %d", status)
	}
	if status, _, _ := r.ask("POST", "/client/negotiate?hub=chat&access_token=forged", "", nil); status != 401 {
		t.Errorf("forged token: %d", status)
	}
}

func TestNewRefuses(t *testing.T) {
	key := newKey(t, keyText)
	for name, opts := range map[string]Options{
		"no key":         {},
		"three keys":     {Keys: []azure.Key{key, key, key}},
		"empty key":      {Keys: []azure.Key{{}}},
		"negative limit": {Keys: []azure.Key{key}, Limits: Limits{Groups: -1}},
		"upstream":       {Keys: []azure.Key{key}, Upstream: "http://{hub}.example/"},
	} {
		if _, err := New(opts); err == nil || strings.Contains(err.Error(), keyText) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzMessages: whatever a client sends, it is answered with hub messages or ended.
func FuzzMessages(f *testing.F) {
	for _, text := range []string{
		`{"protocol":"json","version":1}` + "\x1e" + `{"type":6}` + "\x1e", `{"protocol":"json","version":1}` + "\x1e\x1e",
		`{"protocol":"json","version":1}` + "\x1e" + `{"type":4,"invocationId":"1","target":"M","arguments":[]}` + "\x1e" + `{"type":7}`,
	} {
		f.Add([]byte(text))
	}
	key := newKey(f, keyText)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := New(Options{Keys: []azure.Key{key}})
		if err != nil {
			t.Fatal(err)
		}
		c := s.newClient("chat", nil, new(azure.Claims))
		if !s.admit(c) || c.connect(webSockets) != 0 {
			t.Fatal("not admitted")
		}
		half := len(data) / 2
		c.feed(t.Context(), data[:half])
		c.feed(t.Context(), data[half:])
		for {
			records, what := c.out.poll(1)
			if what != foundRecords {
				break
			}
			var m object
			if text := records[0]; text[len(text)-1] != separator || json.Unmarshal(text[:len(text)-1], &m) != nil {
				t.Fatalf("%q was answered %q", data, text)
			}
		}
		c.end(ending{})
		if s.roster.Len() != 0 || len(s.clients.clients) != 0 {
			t.Fatal("ended and still there")
		}
	})
}
