package webpubsub

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/webhook"
)

// TestSystemEvents: what the app server learns of a client from its handshake to its end.
func TestSystemEvents(t *testing.T) {
	a, r := startApp(t, Options{Keys: []azure.Key{newKey(t, keyText), newKey(t, "the secondary key")}})
	a.on("connect", says(200, "application/json", `{"userId":"ann","groups":["g"," ","h"],"roles":["webpubsub.sendToGroup"],"subprotocol":"`+subprotocolReliable+`"}`,
		"ce-connectionState", "c3RhdGU="))
	p := r.dial(login{
		user: "ann", groups: []string{"f"}, roles: []string{"webpubsub.joinLeaveGroup.x"},
		subprotocol: subprotocolJSON + "," + subprotocolReliable,
		query:       url.Values{"color": {"red", "blue"}}, header: http.Header{"X-Custom": {"1", "2"}},
	})
	connect := a.wait("connect")
	var body connectEvent
	if err := json.Unmarshal([]byte(connect.body), &body); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"aud", "exp", "iat"} {
		if len(body.Claims[name]) != 1 {
			t.Errorf("claim %s: %v", name, body.Claims[name])
		}
		delete(body.Claims, name)
	}
	if got := body.Headers["X-Custom"]; !slices.Equal(got, []string{"1", "2"}) || len(body.Headers["Sec-Websocket-Key"]) != 1 {
		t.Errorf("headers %v", body.Headers)
	}
	body.Headers = nil
	want := connectEvent{
		Claims:             map[string][]string{"sub": {"ann"}, "role": {"webpubsub.joinLeaveGroup.x"}, "webpubsub.group": {"f"}},
		Query:              map[string][]string{"color": {"red", "blue"}},
		Subprotocols:       []string{subprotocolJSON, subprotocolReliable},
		ClientCertificates: []struct{}{},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("connect (-want +got):\n%s", diff)
	}
	a.checkHeaders(connect, p, "connect", "azure.webpubsub.sys.connect", object{"ce-userid": "ann", "ce-subprotocol": subprotocolJSON})

	if p.conn.Subprotocol() != subprotocolReliable {
		t.Errorf("subprotocol %q", p.conn.Subprotocol())
	}
	if diff := cmp.Diff([]string{"f", "g", "h"}, r.service.roster.Groups("chat", p.id)); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	connected := a.wait("connected")
	known := object{"ce-userid": "ann", "ce-subprotocol": subprotocolReliable, "ce-connectionstate": "c3RhdGU="}
	a.checkHeaders(connected, p, "connected", "azure.webpubsub.sys.connected", known)
	if connected.body != "{}" {
		t.Errorf("connected: %s", connected.body)
	}

	a.on("greet", says(200, "application/json", `{"hello":1}`, "ce-connectionState", "bmV3"))
	p.send(`{"type":"event","event":"greet","ackId":1,"dataType":"text","data":"hi"}`)
	p.gets(`{"type":"message","from":"server","dataType":"json","data":{"hello":1},"sequenceId":1}`, `{"type":"ack","ackId":1,"success":true}`)
	greet := a.wait("greet")
	a.checkHeaders(greet, p, "greet", "azure.webpubsub.user.greet", known)
	if greet.body != "hi" || !strings.HasPrefix(greet.header.Get("Content-Type"), "text/plain") {
		t.Errorf("greet: %q %v", greet.body, greet.header)
	}

	// A loss and a recovery are none of the app server's business.
	p.conn.CloseNow()
	q := r.recover(p.id, p.token)
	q.connected("ann")
	r.does(204, "DELETE", "/api/hubs/chat/connections/"+p.id+"?reason=enough")
	q.gets(`{"type":"message","from":"server","dataType":"json","data":{"hello":1},"sequenceId":1}`,
		`{"type":"system","event":"disconnected","message":"enough"}`)
	q.ends(websocket.StatusNormalClosure, "enough")
	gone := a.wait("disconnected")
	known["ce-connectionstate"] = "bmV3"
	a.checkHeaders(gone, p, "disconnected", "azure.webpubsub.sys.disconnected", known)
	if gone.body != `{"reason":"enough"}` {
		t.Errorf("disconnected: %s", gone.body)
	}
	if a.asked != 1 {
		t.Errorf("validated %d times within a minute, want 1", a.asked)
	}
}

// checkHeaders checks what each event must have. known are the fields that may be missing.
func (a *app) checkHeaders(e asked, p *peer, event, eventType string, known object) {
	a.t.Helper()
	want := object{
		"webhook-request-origin": hostName, "ce-specversion": "1.0", "ce-awpsversion": "1.0", "ce-type": eventType,
		"ce-source": "/hubs/chat/client/" + p.id, "ce-connectionid": p.id, "ce-hub": "chat", "ce-eventname": event,
		"ce-signature": signature(p.id, keyText) + "," + signature(p.id, "the secondary key"),
	}
	for name, value := range known {
		want[name] = value
	}
	got := object{}
	for name := range e.header {
		switch name := strings.ToLower(name); name {
		case "ce-id":
		case "ce-time":
			if _, err := time.Parse(time.RFC3339, e.header.Get(name)); err != nil {
				a.t.Errorf("ce-time: %v", err)
			}
		default:
			if strings.HasPrefix(name, "ce-") || strings.HasPrefix(name, "webhook") {
				got[name] = e.header.Get(name)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		a.t.Errorf("%s: fields (-want +got):\n%s", event, diff)
	}
	if e.header.Get("ce-id") == "" || e.header.Get("ce-time") == "" || e.path != "/hook/chat?e="+event {
		a.t.Errorf("%s at %s, id %q", event, e.path, e.header.Get("ce-id"))
	}
}

func signature(id, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(id))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// TestConnectRefused: the app server's status is the client's.
func TestConnectRefused(t *testing.T) {
	a, r := startApp(t, Options{})
	for _, tt := range []struct {
		answer http.HandlerFunc
		status int
		says   string
	}{
		{says(401, "text/plain", "who are you?"), 401, "who are you?"},
		{says(403, "text/plain", ""), 403, ""},
		{says(503, "", ""), 503, ""},
		{says(302, "", "", "Location", "http://app.example/"), 500, "could not be asked"},
		{says(200, "application/json", "[1]"), 500, "could not be asked"},
		{says(200, "text/plain", strings.Repeat("x", webhook.MaxAnswer+1)), 500, "could not be asked"},
		{says(200, "", ""), 101, ""},
		{says(200, "application/json", `{"subprotocol":"not offered","userId":""}`), 101, ""},
	} {
		a.on("connect", tt.answer)
		conn, response, err := r.try(login{user: "ann", subprotocol: subprotocolJSON})
		if response == nil || response.StatusCode != tt.status {
			t.Fatalf("%v, want %d", err, tt.status)
		}
		a.wait("connect")
		if tt.status != 101 {
			body, _ := io.ReadAll(response.Body)
			if !strings.Contains(string(body), tt.says) {
				t.Errorf("%d: body %q, want %q", tt.status, body, tt.says)
			}
			continue
		}
		a.wait("connected")
		if conn.Subprotocol() != subprotocolJSON {
			t.Errorf("subprotocol %q", conn.Subprotocol())
		}
		conn.CloseNow()
		a.wait("disconnected")
	}
	if n := r.service.roster.Len(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// TestNoHandshake: the app server is asked about handshakes only.
func TestNoHandshake(t *testing.T) {
	a, r := startApp(t, Options{})
	for name, tt := range map[string]struct {
		method string
		change map[string]string
		status int
	}{
		"plain":       {"GET", map[string]string{"Upgrade": "", "Connection": ""}, 426},
		"h2c":         {"GET", map[string]string{"Upgrade": "h2c"}, 426},
		"old version": {"GET", map[string]string{"Sec-WebSocket-Version": "8"}, 426},
		"no key":      {"GET", map[string]string{"Sec-WebSocket-Key": ""}, 400},
		"short key":   {"GET", map[string]string{"Sec-WebSocket-Key": "c2hvcnQ="}, 400},
		"POST":        {"POST", nil, 405},
	} {
		request, err := http.NewRequestWithContext(t.Context(), tt.method, baseText+"/client/hubs/chat", nil)
		if err != nil {
			t.Fatal(err)
		}
		for field, value := range map[string]string{
			"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
		} {
			if changed, ok := tt.change[field]; ok {
				value = changed
			}
			if value != "" {
				request.Header.Set(field, value)
			}
		}
		response, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != tt.status {
			t.Errorf("%s: %d, want %d", name, response.StatusCode, tt.status)
		}
	}
	if len(a.seen) != 0 || a.asked != 0 {
		t.Errorf("the app server was asked: %v", a.seen)
	}
}

// TestConnectThenRefused: a client that the app server lets in but the service does not is reported as disconnected.
func TestConnectThenRefused(t *testing.T) {
	a, r := startApp(t, Options{Limits: Limits{Connections: 1}})
	p := r.dial(login{subprotocol: subprotocolJSON})
	a.wait("connect")
	a.wait("connected")
	if _, response, err := r.try(login{}); response == nil || response.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("%v, want 429", err)
	}
	a.wait("connect")
	a.wait("disconnected")
	if _, response, err := r.try(login{query: url.Values{"webpubsub_mode": {"sendToGroup"}, "group": {"g"}}}); response == nil || response.StatusCode != http.StatusForbidden {
		t.Fatalf("%v, want 403", err)
	}
	a.wait("connect")
	a.wait("disconnected")
	p.quiet()
}

// TestUserEvents: of raw clients and others; what is answered and how it arrives.
func TestUserEvents(t *testing.T) {
	a, r := startApp(t, Options{Events: []string{}})
	raw := r.dial(login{user: "ann"})
	p := r.dial(login{subprotocol: subprotocolJSON})
	for _, tt := range []struct {
		answer http.HandlerFunc
		kind   websocket.MessageType
		raw    string
		frame  string
	}{
		{says(200, "text/plain", "hé"), websocket.MessageText, "hé", `"dataType":"text","data":"hé"`},
		{says(200, "application/json", `{"a":1}`), websocket.MessageText, `{"a":1}`, `"dataType":"json","data":{"a":1}`},
		{says(200, "application/octet-stream", "\x00\x01"), websocket.MessageBinary, "\x00\x01", `"dataType":"binary","data":"AAE="`},
		{says(201, "", "bytes"), websocket.MessageBinary, "bytes", `"dataType":"binary","data":"Ynl0ZXM="`},
		{says(200, "text/html", "<p>"), websocket.MessageBinary, "<p>", `"dataType":"binary","data":"PHA+"`},
		{says(204, "", ""), 0, "", ""},
		{says(200, "application/json", ""), 0, "", ""},
	} {
		a.on("message", tt.answer)
		raw.write(websocket.MessageText, "hello")
		if e := a.wait("message"); e.body != "hello" || !strings.HasPrefix(e.header.Get("Content-Type"), "text/plain") || e.header.Get("ce-userId") != "ann" {
			t.Errorf("event %+v", e)
		}
		p.send(`{"type":"event","event":"message","dataType":"binary","data":"AAE=","ackId":` + itoa(int(a.count())) + `}`)
		if e := a.wait("message"); e.body != "\x00\x01" || e.header.Get("Content-Type") != "application/octet-stream" || e.header.Get("ce-userId") != "" {
			t.Errorf("event %+v", e)
		}
		if tt.kind == 0 {
			if f := p.read(); f["type"] != "ack" {
				t.Errorf("%v, want the ack only", f)
			}
			continue
		}
		if kind, data := raw.message(); kind != tt.kind || string(data) != tt.raw {
			t.Errorf("raw client got %v %q, want %q", kind, data, tt.raw)
		}
		p.gets(`{"type":"message","from":"server",` + tt.frame + `}`)
		if f := p.read(); f["type"] != "ack" || f["success"] != true {
			t.Errorf("%v, want an ack", f)
		}
	}
	raw.write(websocket.MessageBinary, "\xff")
	if e := a.wait("message"); e.body != "\xff" || e.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("event %+v", e)
	}
	p.send(`{"type":"event","event":"with data","data":{"a":1}}`)
	if e := a.wait("with data"); e.body != `{"a":1}` || !strings.HasPrefix(e.header.Get("Content-Type"), "application/json") || e.path != "/hook/chat?e=with%20data" {
		t.Errorf("event %+v", e)
	}
}

// count gives each use another number.
func (a *app) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	return a.asked
}

// TestFailedEvents: a client whose event is not handled is dropped.
func TestFailedEvents(t *testing.T) {
	a, r := startApp(t, Options{Events: []string{EventDisconnected}})
	for _, status := range []int{400, 500} {
		a.on("e", says(status, "", ""))
		p := r.dial(login{subprotocol: subprotocolReliable})
		p.send(`{"type":"event","event":"e","data":1,"ackId":1}`)
		p.gets(`{"type":"system","event":"disconnected","message":"The event handler did not handle the event."}`)
		p.ends(websocket.StatusPolicyViolation, "did not handle")
		a.wait("e")
		a.wait("disconnected")
		r.refusesRecovery(p.id, p.token)
	}
	none := start(t, Options{})
	p := none.dial(login{})
	p.write(websocket.MessageText, "hello")
	p.ends(websocket.StatusPolicyViolation, "did not handle")
}

// TestRetries: an event that nobody waits for is sent again with the same id; one that a client waits for is not.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, r := startApp(t, Options{})
		began := time.Now()
		var at []time.Duration
		ids := map[string]bool{}
		a.on("connected", func(w http.ResponseWriter, req *http.Request) {
			at = append(at, time.Since(began))
			ids[req.Header.Get("ce-id")] = true
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		p := r.dial(login{})
		a.wait("connect")
		p.conn.CloseNow()
		time.Sleep(time.Hour)
		for range 4 {
			a.wait("connected")
		}
		a.wait("disconnected") // not before connected was given up
		if diff := cmp.Diff([]time.Duration{0, 1e9, 4e9, 9e9}, at); diff != "" || len(ids) != 1 {
			t.Errorf("%d ids; times (-want +got):\n%s", len(ids), diff)
		}
		a.on("connected", says(400, "", ""))
		r.dial(login{})
		a.wait("connect")
		a.wait("connected")
		time.Sleep(time.Hour)
		if len(a.seen) != 0 {
			t.Errorf("%d events after a 400", len(a.seen))
		}
	})
}

// TestSlowAppServer: a call ends with its deadline.
func TestSlowAppServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, r := startApp(t, Options{Events: []string{EventConnect}})
		a.on("connect", func(_ http.ResponseWriter, req *http.Request) {
			a.mu.Unlock()
			defer a.mu.Lock()
			<-req.Context().Done()
		})
		began := time.Now()
		if _, response, err := r.try(login{}); response == nil || response.StatusCode != 500 {
			t.Fatalf("%v, want 500", err)
		}
		if took := time.Since(began); took != webhook.Timeout {
			t.Errorf("took %v", took)
		}
	})
}
