//go:build compat && linux

package compat

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// A service is a running "pointsman upstream" in one of the modes for which there are SDKs.
type service struct {
	*process
	mode       string
	args       []string
	url        string // for clients
	control    string
	connection string // the connection string
}

func startService(t *testing.T, mode string, args ...string) *service {
	t.Helper()
	all := append([]string{"upstream", "--mode", mode, "--control", "127.0.0.1:0"}, args...)
	s := &service{process: launch(t, mode, binary, all...), mode: mode, args: args}
	s.url = s.after("pointsman upstream: listening on ")
	s.control = s.after("pointsman upstream: control on ")
	s.connection = s.after("pointsman upstream: connection string ")
	return s
}

// startApp starts the app server on @azure/web-pubsub-express and returns the URL of its event handler.
func startApp(t *testing.T) (app *process, handler string) {
	t.Helper()
	app = launch(t, "app server", "node", "node/webpubsub_app.js")
	var listening event
	if err := json.Unmarshal([]byte(app.line()), &listening); err != nil || listening.Event != "listening" {
		t.Fatalf("app server began with %+v: %v", listening, err)
	}
	return app, fmt.Sprintf("http://127.0.0.1:%d/eventhandler", listening.Port)
}

// tells reads the transcript of a story and compares it line by line, each being what it says about whom and then JSON.
func (p *process) tells(want ...string) {
	p.t.Helper()
	for i, line := range want {
		who, rest, _ := strings.Cut(line, ": ")
		what, more, _ := strings.Cut(rest, " {")
		expected := map[string]any{"who": who, "what": what}
		if more != "" {
			if err := json.Unmarshal([]byte("{"+more), &expected); err != nil {
				p.t.Fatalf("line %d, %s: %v", i+1, line, err)
			}
		}
		text := p.line()
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			p.t.Fatalf("%s wrote %q: %v", p.name, text, err)
		}
		if diff := gocmp.Diff(expected, got); diff != "" {
			p.t.Fatalf("%s, line %d (-want +got):\n%s", p.name, i+1, diff)
		}
	}
}

// webPubSubTranscript is what webpubsub_story.js writes.
var webPubSubTranscript = []string{
	`eve: start failed {"error":"Error"}`,
	`ann: start done`,
	`ann: connected {"connectionId":"ann's id","userId":"ann"}`,
	`bob: start done`,
	`bob: connected {"connectionId":"bob's id","userId":"bob"}`,

	`ann: joinGroup done {"duplicated":false}`,
	`ann: sendToGroup done {"duplicated":false}`,
	`ann: group-message {"group":"room","fromUserId":"ann","dataType":"json","data":{"hello":["wörld",1.5,null]}}`,
	`bob: group-message {"group":"room","fromUserId":"ann","dataType":"json","data":{"hello":["wörld",1.5,null]}}`,
	`ann: sendToGroup done {"duplicated":false}`,
	`bob: group-message {"group":"room","fromUserId":"ann","dataType":"text","data":"no echo"}`,
	`ann: sendToGroup done {"duplicated":false}`,
	`bob: group-message {"group":"room","fromUserId":"ann","dataType":"binary","data":{"hex":"00ff07"}}`,
	`ann: sendToGroup done {"duplicated":false}`,
	`bob: group-message {"group":"room","fromUserId":"ann","dataType":"text","data":"forgotten"}`,
	`bob: sendToGroup failed {"error":"Forbidden"}`,
	`bob: joinGroup failed {"error":"Forbidden"}`,
	`bob: sendToGroup done {"duplicated":false}`,
	`ann: group-message {"group":"lobby","fromUserId":"bob","dataType":"text","data":"the app server lets me"}`,
	`bob: leaveGroup done {"duplicated":false}`,
	`ann: sendToGroup done {"duplicated":false}`,
	`ann: group-message {"group":"room","fromUserId":"ann","dataType":"text","data":"once"}`,
	`ann: sendToGroup done {"duplicated":true}`,

	`ann: sendEvent done {"duplicated":false}`,
	`ann: server-message {"dataType":"json","data":{"a":1}}`,
	`bob: sendEvent done {"duplicated":false}`,
	`bob: server-message {"dataType":"text","data":"text"}`,
	`bob: sendEvent done {"duplicated":false}`,
	`bob: server-message {"dataType":"binary","data":{"hex":"010203"}}`,
	`bob: sendEvent done {"duplicated":false}`,
	`bob: sendEvent done {"duplicated":false}`,
	`bob: server-message {"dataType":"json","data":{"greeted":true,"count":1}}`,
	`bob: sendEvent done {"duplicated":false}`,
	`bob: server-message {"dataType":"json","data":{"greeted":true,"count":2}}`,
	`bob: invokeEvent done {"dataType":"json","data":[1,2]}`,

	`ann: server-message {"dataType":"json","data":{"to":"all"}}`,
	`bob: server-message {"dataType":"json","data":{"to":"all"}}`,
	`ann: server-message {"dataType":"text","data":"plain"}`,
	`bob: server-message {"dataType":"text","data":"filtered"}`,
	`ann: server-message {"dataType":"binary","data":{"hex":"0908"}}`,
	`bob: server-message {"dataType":"text","data":"only you"}`,
	`ann: group-message {"group":"room","dataType":"json","data":{"to":"room"}}`,
	`service: bad filter {"status":400,"code":"InvalidFilter"}`,

	`service: ann exists {"answer":true}`,
	`service: carl exists {"answer":false}`,
	`service: room exists {"answer":true}`,
	`service: bob is there {"answer":true}`,
	`service: bob may send {"answer":false}`,
	`service: bob is granted {"answer":{}}`,
	`service: bob may send {"answer":true}`,
	`bob: sendToGroup done {"duplicated":false}`,
	`ann: group-message {"group":"room","fromUserId":"bob","dataType":"text","data":"allowed now"}`,
	`service: bob is revoked {"answer":{}}`,
	`bob: sendToGroup failed {"error":"Forbidden"}`,
	`service: bob is added {"answer":null}`,
	`service: nobody is added {"status":404,"code":"Error.Connection.NotExisted"}`,
	`service: members {"users":["ann","bob"]}`,
	`service: ann is removed {"answer":{}}`,
	`bob: group-message {"group":"room","dataType":"text","data":"who is left"}`,
	`service: ann is added by filter {"answer":{}}`,
	`ann: group-message {"group":"room","dataType":"text","data":"ann again"}`,
	`service: all leave east {"answer":{}}`,
	`service: east exists {"answer":false}`,
	`service: bob leaves all {"answer":{}}`,
	`service: ann leaves all {"answer":{}}`,
	`service: room exists {"answer":false}`,

	`raw: frame {"text":"{\"json\":true}"}`,
	`raw: frame {"hex":"0506"}`,
	`service: raw is closed {"answer":{}}`,
	`raw: frame {"code":1000,"reason":"enough"}`,

	`service: bob is closed {"answer":{}}`,
	`bob: disconnected {"message":"go"}`,
	`bob: connected {"connectionId":"bob's id","userId":"bob"}`,
	`bob: server-message {"dataType":"text","data":"welcome back"}`,
	`service: all but bob are closed {"answer":{}}`,
	`ann: disconnected {"message":"all"}`,
	`ann: connected {"connectionId":"ann's id","userId":"ann"}`,
	`bob: sendEvent done {"duplicated":false}`,
	`bob: disconnected {"message":"The event handler did not handle the event."}`,
	`bob: connected {"connectionId":"bob's id","userId":"bob"}`,
	`ann: disconnected`,
	`ann: stopped`,
	`bob: disconnected`,
	`bob: stopped`,
	`story: done`,
}

// webPubSubEvents is what the app server is told meanwhile. Those that nobody waits for come at any time.
var webPubSubEvents = []string{
	`{"event":"connect","user":"eve","hub":"story","states":{},"subprotocols":["json.webpubsub.azure.v1"],"mood":["bad"]}`,

	`{"event":"connect","user":"ann","hub":"story","states":{},"subprotocols":["json.reliable.webpubsub.azure.v1"],"roles":["webpubsub.joinLeaveGroup","webpubsub.sendToGroup"]}`,
	`{"event":"connected","user":"ann","hub":"story","states":{"greeted":true}}`,
	`{"event":"user","name":"echo","user":"ann","hub":"story","states":{"greeted":true},"dataType":"json","data":{"a":1}}`,
	`{"event":"disconnected","user":"ann","hub":"story","states":{"greeted":true},"reason":"all"}`,
	`{"event":"connect","user":"ann","hub":"story","states":{},"subprotocols":["json.reliable.webpubsub.azure.v1"],"roles":["webpubsub.joinLeaveGroup","webpubsub.sendToGroup"]}`,
	`{"event":"connected","user":"ann","hub":"story","states":{"greeted":true}}`,
	`{"event":"disconnected","user":"ann","hub":"story","states":{"greeted":true},"reason":""}`,

	`{"event":"connect","user":"bob","hub":"story","states":{},"subprotocols":["json.webpubsub.azure.v1"],"roles":["webpubsub.joinLeaveGroup.room"]}`,
	`{"event":"connected","user":"bob","hub":"story","states":{"greeted":true}}`,
	`{"event":"user","name":"echo","user":"bob","hub":"story","states":{"greeted":true},"dataType":"text","data":"text"}`,
	`{"event":"user","name":"echo","user":"bob","hub":"story","states":{"greeted":true},"dataType":"binary","data":"010203"}`,
	`{"event":"user","name":"silent","user":"bob","hub":"story","states":{"greeted":true},"dataType":"json","data":1}`,
	`{"event":"user","name":"count","user":"bob","hub":"story","states":{"greeted":true},"dataType":"json","data":1}`,
	`{"event":"user","name":"count","user":"bob","hub":"story","states":{"greeted":true,"count":1},"dataType":"json","data":1}`,
	`{"event":"user","name":"echo","user":"bob","hub":"story","states":{"greeted":true,"count":2},"dataType":"json","data":[1,2]}`,
	`{"event":"disconnected","user":"bob","hub":"story","states":{"greeted":true,"count":2},"reason":"go"}`,
	`{"event":"connect","user":"bob","hub":"story","states":{},"subprotocols":["json.webpubsub.azure.v1"],"roles":["webpubsub.joinLeaveGroup.room"]}`,
	`{"event":"connected","user":"bob","hub":"story","states":{"greeted":true}}`,
	`{"event":"user","name":"fail","user":"bob","hub":"story","states":{"greeted":true},"dataType":"json","data":1}`,
	`{"event":"disconnected","user":"bob","hub":"story","states":{"greeted":true},"reason":"The event handler did not handle the event."}`,
	`{"event":"connect","user":"bob","hub":"story","states":{},"subprotocols":["json.webpubsub.azure.v1"],"roles":["webpubsub.joinLeaveGroup.room"]}`,
	`{"event":"connected","user":"bob","hub":"story","states":{"greeted":true}}`,
	`{"event":"disconnected","user":"bob","hub":"story","states":{"greeted":true},"reason":""}`,

	`{"event":"connect","user":"raw","hub":"story","states":{},"subprotocols":[]}`,
	`{"event":"connected","user":"raw","hub":"story","states":{"greeted":true}}`,
	`{"event":"user","name":"message","user":"raw","hub":"story","states":{"greeted":true},"dataType":"text","data":"hello"}`,
	`{"event":"disconnected","user":"raw","hub":"story","states":{"greeted":true},"reason":"enough"}`,
}

// TestWebPubSubStory: the SDKs of the service work with the emulator as they are, given its connection string; and given that of a
// router in front of two, with the same transcript.
func TestWebPubSubStory(t *testing.T) {
	play := func(name string, start func(t *testing.T, handler []string) (connection string, ends []*process)) {
		t.Run(name, func(t *testing.T) {
			app, handler := startApp(t)
			connection, ends := start(t, []string{"--event-handler", handler})
			launch(t, "story", "node", "node/webpubsub_story.js", connection).tells(webPubSubTranscript...)
			app.toldInAnyOrder(webPubSubEvents)
			endInOrder(t, ends)
		})
	}
	play("direct", func(t *testing.T, handler []string) (string, []*process) {
		s := startService(t, "webpubsub", append(handler, "--listen", "127.0.0.1:0")...)
		return s.connection, []*process{s.process}
	})
	play("through pointsman", func(t *testing.T, handler []string) (string, []*process) {
		g := startRegions(t, "webpubsub", handler, handler)
		f := g.front(t, "primary", "secondary")
		return f.connection, []*process{f.process, g.east.process, g.west.process}
	})
}

// endInOrder asks processes to end, one after the other.
func endInOrder(t *testing.T, all []*process) {
	t.Helper()
	for _, p := range all {
		if code := p.terminate(); code != 0 {
			t.Errorf("%s ended with exit code %d", p.name, code)
		}
	}
}

// toldInAnyOrder reads as many lines as are wanted.
func (p *process) toldInAnyOrder(want []string) {
	p.t.Helper()
	got := make([]string, len(want))
	for i := range got {
		got[i] = p.line()
	}
	slices.Sort(got)
	if diff := gocmp.Diff(slices.Sorted(slices.Values(want)), got); diff != "" {
		p.t.Errorf("%s (-want +got):\n%s", p.name, diff)
	}
}

// TestWebPubSubRecovery: a reliable client misses nothing while its socket is cut and sees nothing of it; when the service is another
// one, both kinds of clients find out and connect anew.
func TestWebPubSubRecovery(t *testing.T) {
	s := startService(t, "webpubsub", "--listen", "127.0.0.1:0")
	story := launch(t, "story", "node", "node/webpubsub_recovery.js", s.connection, s.control)
	var all []string
	for i := range 40 {
		all = append(all, fmt.Sprint(i))
	}
	story.tells(
		`ann: start done`,
		`ann: connected {"connectionId":"ann's id","userId":"ann"}`,
		`ann: joinGroup done {"duplicated":false}`,
		`bob: start done`,
		`bob: connected {"connectionId":"bob's id","userId":"bob"}`,
		`bob: joinGroup done {"duplicated":false}`,
		`ann: messages {"got":"`+strings.Join(all, " ")+`"}`,
		`bob: events {"events":"disconnected connected disconnected connected disconnected connected disconnected connected"}`,
		`story: replace the service`,
	)
	s.kill()
	startService(t, "webpubsub", "--listen", strings.TrimPrefix(s.url, "ws://"))
	story.tells(
		`ann: disconnected`,
		`ann: connected {"connectionId":"ann's id","userId":"ann"}`,
		`service: ann exists {"answer":true}`,
		`service: bob exists {"answer":true}`,
		`ann: heard again`,
		`story: done`,
	)
}
