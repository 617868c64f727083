package webpubsub

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/azure"
)

// TestShutdown: Run says good-bye to all clients, and leaves nothing behind.
func TestShutdown(t *testing.T) {
	a, r := startApp(t, Options{Events: []string{EventConnected, EventDisconnected}})
	p := r.dial(login{subprotocol: subprotocolJSON})
	a.wait("connected")
	raw := r.dial(login{})
	a.wait("connected")
	lost := r.dial(login{subprotocol: subprotocolReliable})
	a.wait("connected")
	lost.conn.CloseNow()
	done := make(chan struct{})
	go func() { r.stop(); close(done) }()
	p.gets(`{"type":"system","event":"disconnected","message":"The service is shutting down."}`)
	p.ends(websocket.StatusGoingAway, "shutting down")
	raw.ends(websocket.StatusGoingAway, "shutting down")
	<-done
	eventually(t, func() bool { return r.service.roster.Len() == 0 })
	if err := r.service.Run(context.Background()); err == nil {
		t.Error("a service ran twice")
	}
}

// TestConnectionLimit: there are only so many, lost ones included.
func TestConnectionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{Limits: Limits{Connections: 2}})
		r.dial(login{subprotocol: subprotocolJSON})
		lost := r.dial(login{subprotocol: subprotocolReliable})
		lost.conn.CloseNow()
		full := func() {
			t.Helper()
			_, response, err := r.try(login{hub: "other"})
			if response == nil || response.StatusCode != http.StatusTooManyRequests || response.Header.Get("x-ms-error-code") != "ConnectionCountLimitReached" {
				t.Fatalf("%v, want 429", err)
			}
		}
		full()
		time.Sleep(recoveryWindow)
		synctest.Wait()
		r.dial(login{hub: "other"})
		full()
	})
}

// TestGroupLimit: groups of a token beyond the limit.
func TestGroupLimit(t *testing.T) {
	r := start(t, Options{Limits: Limits{Groups: 2}})
	if _, response, err := r.try(login{groups: []string{"a", "b", "c"}}); response == nil || response.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("%v, want 429", err)
	}
	r.dial(login{groups: []string{"a", "b"}})
}

// TestSlowReader: a client that does not read is cut once its queue is full, and holds up nobody.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{Limits: Limits{QueueFrames: 10}})
		slow := r.dial(login{groups: []string{"g"}, subprotocol: subprotocolJSON})
		quick := r.dial(login{groups: []string{"g"}, subprotocol: subprotocolJSON})
		for i := range 12 {
			r.say(itoa(i))
			if f := quick.read(); f["data"] != itoa(i) {
				t.Fatalf("%v, want %d", f, i)
			}
		}
		r.does(404, "HEAD", "/api/hubs/chat/connections/"+slow.id)
		time.Sleep(writeTimeout)
		synctest.Wait()
		if _, _, err := slow.conn.Read(t.Context()); err == nil {
			// The frame that was on its way.
			if _, _, err = slow.conn.Read(t.Context()); err == nil {
				t.Error("the slow client still gets messages")
			}
		}
		quick.quiet()
	})
}

// TestBackgroundLimit: calls of app servers that nobody waits for do not pile up.
func TestBackgroundLimit(t *testing.T) {
	a, r := startApp(t, Options{Events: []string{EventConnected}, Limits: Limits{Background: 1}})
	release := make(chan struct{})
	a.on("connected", func(http.ResponseWriter, *http.Request) {
		a.mu.Unlock()
		defer a.mu.Lock()
		<-release
	})
	r.dial(login{})
	a.wait("connected")
	p := r.dial(login{subprotocol: subprotocolJSON})
	p.quiet()
	if a.mu.Lock(); len(a.seen) != 0 {
		t.Errorf("%d events beyond the limit", len(a.seen))
	}
	a.mu.Unlock()
	close(release)
}

// FuzzFrames: whatever a client sends, it is answered or ended.
func FuzzFrames(f *testing.F) {
	for _, frame := range []string{
		`{"type":"joinGroup","group":"g","ackId":1}`, `{"type":"sendToGroup","group":"g","dataType":"binary","data":"AAE="}`,
		`{"type":"sendToGroup","group":"g","data":{"a":[1e400]},"ttlSeconds":1}`, `{"type":"event","event":"e","data":1}`,
		`{"type":"invoke","invocationId":"i","target":"event","event":"e","dataType":"text","data":"x"}`,
		`{"type":"sequenceAck","sequenceId":1}`, `{"TYPE":"ping","type":"ping"}`, "\xff", `{"type":"ping","type":1}`,
	} {
		f.Add(frame, true)
		f.Add(frame, false)
	}
	key := newKey(f, keyText)
	f.Fuzz(func(t *testing.T, data string, text bool) {
		s, err := New(Options{Keys: []azure.Key{key}})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []protocol{protocolRaw, protocolJSON, protocolReliable} {
			c := &client{service: s, id: newID(), hub: "chat", host: hostName, protocol: p, announced: make(chan struct{})}
			close(c.announced)
			c.permissions.addRoles(everything)
			c.out = newOutbox(p, s.limits.QueueFrames, s.limits.QueueBytes)
			if problem := s.enter(c, []string{"g"}); problem != nil {
				t.Fatal(problem)
			}
			kind := websocket.MessageBinary
			if text {
				kind = websocket.MessageText
			}
			c.receive(t.Context(), kind, []byte(data))
			for {
				one, end, state := c.out.poll(c.socket)
				if state != pollReady || end != nil {
					break
				}
				if p != protocolRaw && !validFrame(one) {
					t.Fatalf("%q was answered %q", data, one.data)
				}
			}
			if c.out.ended() != nil && s.roster.Len() != 0 {
				t.Fatal("ended and still there")
			}
			s.roster.Leave(c.hub, c.id)
		}
	})
}

func validFrame(f frame) bool {
	var v struct{ Type string }
	return f.kind == websocket.MessageText && json.Unmarshal(f.data, &v) == nil && v.Type != ""
}

// TestFitting: a reason is cut between characters.
func TestFitting(t *testing.T) {
	for reason, want := range map[string]string{
		"":                        "",
		strings.Repeat("x", 123):  strings.Repeat("x", 123),
		strings.Repeat("x", 124):  strings.Repeat("x", 123),
		strings.Repeat("é", 62):   strings.Repeat("é", 61),
		strings.Repeat("😀", 1000): strings.Repeat("😀", 30),
		"bad \xff":                "bad ",
	} {
		if got := fitting(reason); got != want {
			t.Errorf("%q became %q", reason, got)
		}
	}
}
