package webpubsub

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/azure"
)

func asClose(err error, c *websocket.CloseError) bool { return errors.As(err, c) }

var subprotocols = []string{subprotocolJSON, subprotocolReliable}

// TestGroups: join, send, leave, with and without permission, echo and ack.
func TestGroups(t *testing.T) {
	for _, subprotocol := range subprotocols {
		t.Run(subprotocol, func(t *testing.T) {
			r := start(t, Options{})
			seq := sequence(subprotocol)
			ann := r.dial(login{user: "ann", roles: everything, subprotocol: subprotocol})
			bob := r.dial(login{user: "bob", roles: []string{"webpubsub.joinLeaveGroup.g"}, subprotocol: subprotocol})

			ann.send(`{"type":"joinGroup","group":"g","ackId":1}`)
			ann.gets(`{"type":"ack","ackId":1,"success":true}`)
			bob.send(`{"type":"joinGroup","group":"h","ackId":7}`, `{"type":"joinGroup","group":"g"}`,
				`{"type":"sendToGroup","group":"g","ackId":8,"data":1}`, `{"type":"sendToGroup","group":"g","data":1}`, `{"type":"ping"}`)
			bob.gets(`{"type":"ack","ackId":7,"success":false,"error":{"name":"Forbidden","message":"The client does not have the permission joinLeaveGroup for this group."}}`,
				`{"type":"ack","ackId":8,"success":false,"error":{"name":"Forbidden","message":"The client does not have the permission sendToGroup for this group."}}`,
				`{"type":"pong"}`)

			ann.send(`{"type":"sendToGroup","group":"g","ackId":2,"dataType":"json","data":{"a":[1,"<",9007199254740993]}}`)
			ann.gets(seq(1, `{"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"json","data":{"a":[1,"<",9007199254740993]}}`),
				`{"type":"ack","ackId":2,"success":true}`)
			bob.gets(seq(1, `{"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"json","data":{"a":[1,"<",9007199254740993]}}`))

			ann.send(`{"type":"sendToGroup","group":"g","noEcho":true,"dataType":"text","data":"hi"}`,
				`{"type":"sendToGroup","group":"g","noEcho":true,"dataType":"binary","data":"AAEC"}`,
				`{"type":"sendToGroup","group":"g","noEcho":true,"dataType":"protobuf","data":"AAEC"}`,
				`{"type":"sendToGroup","group":"g","noEcho":true,"data":null}`,
				`{"type":"sendToGroup","group":"nobody is here","noEcho":true,"data":1,"ackId":3}`)
			ann.gets(`{"type":"ack","ackId":3,"success":true}`)
			bob.gets(seq(2, `{"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"text","data":"hi"}`),
				seq(3, `{"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"binary","data":"AAEC"}`),
				seq(4, `{"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"protobuf","data":"AAEC"}`),
				seq(5, `{"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"json","data":null}`))

			bob.send(`{"type":"leaveGroup","group":"g","ackId":9}`)
			bob.gets(`{"type":"ack","ackId":9,"success":true}`)
			ann.send(`{"type":"sendToGroup","group":"g","noEcho":true,"data":1}`)
			ann.quiet()
			bob.quiet()
		})
	}
}

// sequence adds a sequence id where the subprotocol has one.
func sequence(subprotocol string) func(int, string) string {
	return func(n int, line string) string {
		if subprotocol != subprotocolReliable {
			return line
		}
		return strings.TrimSuffix(line, "}") + `,"sequenceId":` + itoa(n) + "}"
	}
}

// TestAckIDs: an ack id is executed once.
func TestAckIDs(t *testing.T) {
	r := start(t, Options{})
	p := r.dial(login{roles: everything, subprotocol: subprotocolJSON, groups: []string{"g"}})
	const duplicate = `{"type":"ack","ackId":18446744073709551615,"success":false,"error":{"name":"Duplicate","message":"A message with this ack id was processed already."}}`
	p.send(`{"type":"sendToGroup","group":"g","data":1,"ackId":18446744073709551615}`, `{"type":"sendToGroup","group":"g","data":1,"ackId":18446744073709551615}`,
		`{"type":"leaveGroup","group":"g","ackId":18446744073709551615}`)
	p.gets(`{"type":"message","from":"group","group":"g","dataType":"json","data":1}`, `{"type":"ack","ackId":18446744073709551615,"success":true}`, duplicate, duplicate)
}

// TestMalformed: a frame that does not fit the subprotocol ends the connection.
func TestMalformed(t *testing.T) {
	for _, tt := range []struct{ frame, reason string }{
		{`{`, "not a JSON object"},
		{`[]`, "not a JSON object"},
		{`"ping"`, "not a JSON object"},
		{`{"type":1}`, "not a JSON object"},
		{`{"type":"ping"}{"type":"ping"}`, "not a JSON object"},
		{`{}`, `type "" are`},
		{`{"type":"dance"}`, `type "dance" are`},
		{`{"type":"joinGroup","group":"g","ackId":-1}`, "not a JSON object"},
		{`{"type":"joinGroup","group":"g","ackId":18446744073709551616}`, "not a JSON object"},
		{`{"type":"sendToGroup","group":"g"}`, "data is missing"},
		{`{"type":"sendToGroup","group":"g","dataType":"text","data":1}`, "not a string"},
		{`{"type":"sendToGroup","group":"g","dataType":"text","data":null}`, "not a string"},
		{`{"type":"sendToGroup","group":"g","dataType":"binary","data":"?"}`, "not base64"},
		{`{"type":"sendToGroup","group":"g","dataType":"xml","data":"x"}`, "none of json"},
		{`{"type":"sendToGroup","group":"g","stream":{"streamId":"s"}}`, "Streams"},
		{`{"type":"streamData","streamId":"s"}`, `type "streamData" are`},
		{`{"type":"event","event":"e"}`, "data is missing"},
		{`{"type":"invoke","target":"event","event":"e","data":1}`, "invocationId"},
		{`{"type":"sequenceAck","sequenceId":1}`, "reliable subprotocol"},
	} {
		t.Run(tt.frame, func(t *testing.T) {
			r := start(t, Options{})
			p := r.dial(login{roles: everything, subprotocol: subprotocolJSON})
			p.send(tt.frame)
			if f := p.read(); f["event"] != "disconnected" || !strings.Contains(f["message"].(string), tt.reason) {
				t.Fatalf("%v, want disconnected because of %q", f, tt.reason)
			}
			p.ends(websocket.StatusPolicyViolation, tt.reason)
			if r.service.roster.Len() != 0 {
				t.Error("the connection is still there")
			}
		})
	}
}

// TestFaults: what is understood but cannot be done is an ack without success.
func TestFaults(t *testing.T) {
	r := start(t, Options{Limits: Limits{GroupsPerConnection: 1}})
	p := r.dial(login{roles: everything, subprotocol: subprotocolReliable})
	for i, tt := range []struct{ frame, name string }{
		{`{"type":"joinGroup","group":"a","ackId":%}`, ""},
		{`{"type":"joinGroup","group":"b","ackId":%}`, faultTooMany},
		{`{"type":"joinGroup","group":" ","ackId":%}`, faultBad},
		{`{"type":"joinGroup","ackId":%}`, faultBad},
		{`{"type":"leaveGroup","group":"","ackId":%}`, faultBad},
		{`{"type":"leaveGroup","group":"never joined","ackId":%}`, ""},
		{`{"type":"sendToGroup","group":"` + strings.Repeat("g", 1025) + `","data":1,"ackId":%}`, faultBad},
		{`{"type":"sendToGroup","group":"x","data":1,"ttlSeconds":301,"ackId":%}`, faultBad},
		{`{"type":"sendToGroup","group":"x","data":1,"ttlSeconds":300,"ackId":%}`, ""},
		{`{"type":"event","event":"","data":1,"ackId":%}`, faultBad},
		{`{"type":"event","event":"naïve","data":1,"ackId":%}`, faultBad},
	} {
		p.send(strings.Replace(tt.frame, "%", itoa(i), 1))
		f := p.read()
		if f["type"] != "ack" || f["ackId"] != float64(i) || f["success"] != (tt.name == "") {
			t.Fatalf("%s: %v", tt.frame, f)
		}
		if fault, _ := f["error"].(object); tt.name != "" && (fault["name"] != tt.name || fault["message"] == "") {
			t.Errorf("%s: %v, want %s", tt.frame, fault, tt.name)
		}
	}
}

// TestBinaryFrames: frames of the subprotocol may come as binary messages.
func TestBinaryFrames(t *testing.T) {
	r := start(t, Options{})
	p := r.dial(login{subprotocol: subprotocolJSON})
	p.write(websocket.MessageBinary, `{"type":"ping"}`)
	p.gets(`{"type":"pong"}`)
	p.write(websocket.MessageText, "\xff")
	p.gets(`{"type":"system","event":"disconnected","message":"Text must be UTF-8."}`)
	p.ends(websocket.StatusInvalidFramePayloadData, "UTF-8")
}

func TestLargeMessage(t *testing.T) {
	r := start(t, Options{})
	p := r.dial(login{subprotocol: subprotocolReliable, roles: everything, groups: []string{"g"}})
	frame := `{"type":"sendToGroup","group":"g","dataType":"text","data":""}`
	largest := strings.Replace(frame, `""`, `"`+strings.Repeat("x", maxFrame-len(frame))+`"`, 1)
	p.send(largest)
	if f := p.read(); len(f["data"].(string)) != maxFrame-len(frame) {
		t.Fatalf("%d bytes came back", len(f["data"].(string)))
	}
	p.send(largest + " ")
	p.ends(websocket.StatusMessageTooBig, "")
	// Not a loss that could be recovered from.
	eventually(t, func() bool { return r.service.roster.Len() == 0 })
}

// TestRawGroup: each frame of such a client goes to its group.
func TestRawGroup(t *testing.T) {
	r := start(t, Options{})
	roles := []string{"webpubsub.sendToGroup.g"}
	query := url.Values{"webpubsub_mode": {"sendToGroup"}, "group": {"g"}}
	raw := r.dial(login{user: "raw", roles: roles, query: query, groups: []string{"g"}})
	p := r.dial(login{groups: []string{"g"}, subprotocol: subprotocolJSON})
	raw.write(websocket.MessageText, "hi")
	raw.write(websocket.MessageBinary, "\x00\x01\x02")
	p.gets(`{"type":"message","from":"group","group":"g","fromUserId":"raw","dataType":"text","data":"hi"}`,
		`{"type":"message","from":"group","group":"g","fromUserId":"raw","dataType":"binary","data":"AAEC"}`)
	for _, want := range []struct {
		kind websocket.MessageType
		data string
	}{{websocket.MessageText, "hi"}, {websocket.MessageBinary, "\x00\x01\x02"}} {
		if kind, data := raw.message(); kind != want.kind || string(data) != want.data {
			t.Errorf("%v %q, want %v", kind, data, want)
		}
	}
	for name, tt := range map[string]struct {
		login  login
		status int
	}{
		"no role":      {login{query: query}, 403},
		"no group":     {login{roles: roles, query: url.Values{"webpubsub_mode": {"sendToGroup"}}}, 400},
		"two groups":   {login{roles: everything, query: url.Values{"webpubsub_mode": {"sendToGroup"}, "group": {"g", "h"}}}, 400},
		"unknown mode": {login{query: url.Values{"webpubsub_mode": {"echo"}}}, 400},
	} {
		if _, response, err := r.try(tt.login); err == nil || response == nil || response.StatusCode != tt.status {
			t.Errorf("%s: %v, want %d", name, err, tt.status)
		}
	}
}

// TestHandshakes: who is let in, and how.
func TestHandshakes(t *testing.T) {
	r := start(t, Options{Endpoint: mustBase(t, "https://known.example")})
	get := func(target string) (*http.Response, error) {
		opts := &websocket.DialOptions{HTTPClient: r.client}
		c, response, err := websocket.Dial(t.Context(), baseText+target, opts)
		if err == nil {
			c.CloseNow()
		}
		return response, err
	}
	path := "/client/hubs/chat"
	good := r.mint(baseText+path, nil)
	for name, tt := range map[string]struct {
		target string
		status int
	}{
		"token":                      {path + "?access_token=" + good, 101},
		"hub in the query":           {"/client/?hub=chat&access_token=" + good, 101},
		"hub in the query, no slash": {"/client?hub=chat&access_token=" + good, 101},
		"other hub in the query":     {"/client/?hub=news&access_token=" + good, 401},
		"case of the hub":            {"/client/hubs/CHAT?access_token=" + good, 101},
		"known name":                 {path + "?access_token=" + r.mint("https://known.example"+path, nil), 101},
		"other hub":                  {"/client/hubs/news?access_token=" + good, 401},
		"other host":                 {path + "?access_token=" + r.mint("http://other.example"+path, nil), 401},
		"no token":                   {path, 401},
		"REST token":                 {path + "?access_token=" + r.mint(baseText+"/api/hubs/chat/:send", nil), 401},
		"bad hub":                    {"/client/hubs/1chat?access_token=" + good, 400},
		"no hub":                     {"/client/?access_token=" + good, 400},
		"two hubs":                   {"/client/?hub=a&hub=b&access_token=" + good, 400},
		"bad query":                  {path + "?x=%zz&access_token=" + good, 400},
		"MQTT":                       {"/clients/mqtt/hubs/chat", 404},
		"Socket.IO":                  {"/clients/socketio/hubs/chat", 404},
		"other path":                 {"/client/chat", 404},
	} {
		response, err := get(tt.target)
		if response == nil || response.StatusCode != tt.status {
			t.Errorf("%s: %v, want %d", name, err, tt.status)
		}
	}
	if status, _, _ := r.call("GET", path+"?access_token="+good, "", ""); status != http.StatusUpgradeRequired {
		t.Errorf("plain GET: %d, want 426", status)
	}
	for offered, want := range map[string]struct {
		chosen string
		status int
	}{
		subprotocolJSON: {subprotocolJSON, 101},
		"protobuf.webpubsub.azure.v1," + subprotocolReliable: {subprotocolReliable, 101},
		subprotocolJSON + "," + subprotocolReliable:          {subprotocolJSON, 101},
		"graphql-ws":                           {"", 101},
		"protobuf.reliable.webpubsub.azure.v1": {"", 400},
		"mqtt":                                 {"", 400},
	} {
		c, response, err := r.try(login{subprotocol: offered})
		if response == nil || response.StatusCode != want.status || c != nil && c.Subprotocol() != want.chosen {
			t.Errorf("%s: %v, want %v", offered, err, want)
		}
	}
}

func TestAnonymous(t *testing.T) {
	r := start(t, Options{Anonymous: true})
	p := r.dial(login{noToken: true, subprotocol: subprotocolJSON})
	p.send(`{"type":"joinGroup","group":"g","ackId":1}`)
	if f := p.read(); f["success"] != false {
		t.Errorf("a client without a token may %v", f)
	}
	opts := &websocket.DialOptions{HTTPClient: r.client}
	_, response, err := websocket.Dial(t.Context(), baseText+"/client/hubs/chat?access_token=forged", opts)
	if err == nil || response == nil || response.StatusCode != 401 {
		t.Errorf("forged token: %v, want 401", err)
	}
}

func TestNewRefuses(t *testing.T) {
	key := newKey(t, keyText)
	for name, opts := range map[string]Options{
		"no key":          {},
		"three keys":      {Keys: []azure.Key{key, key, key}},
		"empty key":       {Keys: []azure.Key{{}}},
		"negative limit":  {Keys: []azure.Key{key}, Limits: Limits{Groups: -1}},
		"unknown event":   {Keys: []azure.Key{key}, Events: []string{"reconnected"}},
		"relative URL":    {Keys: []azure.Key{key}, EventHandler: "/events"},
		"other scheme":    {Keys: []azure.Key{key}, EventHandler: "ftp://app.example/{event}"},
		"event in host":   {Keys: []azure.Key{key}, EventHandler: "http://{event}.example/"},
		"unknown name":    {Keys: []azure.Key{key}, EventHandler: "http://app.example/{group}"},
		"hub in the user": {Keys: []azure.Key{key}, EventHandler: "http://{hub}@app.example/"},
	} {
		if _, err := New(opts); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), keyText) {
			t.Errorf("%s: the key is in the error", name)
		}
	}
}
