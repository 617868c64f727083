package webpubsub

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/internal/azure"
)

const text = "text/plain; charset=utf-8"

// crowd are three clients of ann (twice) and bob in two groups.
func crowd(r *rig) (ann1, ann2, bob *peer) {
	ann1 = r.dial(login{user: "ann", groups: []string{"g"}, subprotocol: subprotocolJSON})
	ann2 = r.dial(login{user: "ann", groups: []string{"h"}, subprotocol: subprotocolReliable})
	bob = r.dial(login{user: "bob", groups: []string{"g", "h"}, subprotocol: subprotocolJSON})
	return ann1, ann2, bob
}

// TestSends: who gets what is sent to the hub, a group, a user, a connection, with exclusions and filters.
func TestSends(t *testing.T) {
	r := start(t, Options{})
	ann1, ann2, bob := crowd(r)
	elsewhere := r.dial(login{hub: "news", user: "ann", groups: []string{"g"}, subprotocol: subprotocolJSON})
	peers := map[string]*peer{"ann1": ann1, "ann2": ann2, "bob": bob}
	filter := func(text string) string { return "filter=" + url.QueryEscape(text) }
	for _, tt := range []struct {
		name, target string
		gets         []string
		from         string
	}{
		{"hub", "/:send", []string{"ann1", "ann2", "bob"}, "server"},
		{"hub, excluded", "/:send?excluded=" + ann1.id + "&excluded=" + bob.id, []string{"ann2"}, "server"},
		{"hub, filter", "/:send?" + filter("userId eq 'ann' and not ('h' in groups)"), []string{"ann1"}, "server"},
		{"hub, filter on connection", "/:send?" + filter("connectionId in ('"+bob.id+"')"), []string{"bob"}, "server"},
		{"group", "/groups/g/:send", []string{"ann1", "bob"}, "group"},
		{"group, excluded", "/groups/g/:send?excluded=" + bob.id, []string{"ann1"}, "group"},
		{"group, filter", "/groups/g/:send?" + filter("startswith(userId,'b')"), []string{"bob"}, "group"},
		{"empty group", "/groups/none/:send", nil, ""},
		{"user", "/users/ann/:send", []string{"ann1", "ann2"}, "server"},
		{"user, filter", "/users/ann/:send?" + filter("'h' in groups"), []string{"ann2"}, "server"},
		{"nobody", "/users/carl/:send", nil, ""},
		{"connection", "/connections/" + bob.id + "/:send?messageTtlSeconds=60", []string{"bob"}, "server"},
		{"no connection", "/connections/none/:send", nil, ""},
		{"hub, other case", "/../CHAT/:send", []string{"ann1", "ann2", "bob"}, "server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := "/api/hubs/chat" + tt.target
			if strings.Contains(tt.target, "..") {
				target = "/api/hubs/CHAT/:send"
			}
			r.does(202, "POST", target, text, tt.name)
			for name, p := range peers {
				if !slices.Contains(tt.gets, name) {
					continue
				}
				f := p.read()
				delete(f, "sequenceId")
				want := object{"type": "message", "from": tt.from, "dataType": "text", "data": tt.name}
				if tt.from == "group" {
					want["group"] = "g"
				}
				if diff := cmp.Diff(want, f); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			for _, p := range peers {
				p.quiet()
			}
		})
	}
	elsewhere.quiet()
}

// TestSendTypes: what becomes of the three kinds of bodies for each kind of client.
func TestSendTypes(t *testing.T) {
	r := start(t, Options{})
	raw := r.dial(login{})
	p := r.dial(login{subprotocol: subprotocolJSON})
	for _, tt := range []struct {
		contentType, body string
		kind              websocket.MessageType
		data              string
	}{
		{text, "hé", websocket.MessageText, `"dataType":"text","data":"hé"`},
		{"text/plain", "", websocket.MessageText, `"dataType":"text","data":""`},
		{"application/json", ` {"a": [1.50, "<"]} `, websocket.MessageText, `"dataType":"json","data":{"a":[1.50,"<"]}`},
		{"application/json", `"x"`, websocket.MessageText, `"dataType":"json","data":"x"`},
		{"application/octet-stream", "\x00\xff", websocket.MessageBinary, `"dataType":"binary","data":"AP8="`},
	} {
		r.does(202, "POST", "/api/hubs/chat/:send", tt.contentType, tt.body)
		if kind, data := raw.message(); kind != tt.kind || string(data) != strings.TrimSpace(tt.body) {
			t.Errorf("%s: raw client got %v %q", tt.contentType, kind, data)
		}
		if _, data := p.message(); string(data) != `{"type":"message","from":"server",`+tt.data+`}` {
			t.Errorf("%s: got %s", tt.contentType, data)
		}
	}
	for _, tt := range []struct {
		status                  int
		target, contentType, in string
	}{
		{415, "/:send", "", "x"},
		{415, "/:send", "application/xml", "x"},
		{400, "/:send", "application/json", "{"},
		{400, "/:send", "application/json", ""},
		{400, "/:send", text, "\xff"},
		{400, "/:send?filter=userId", text, "x"},
		{400, "/:send?messageTtlSeconds=301", text, "x"},
		{400, "/:send?messageTtlSeconds=-1", text, "x"},
		{413, "/:send", text, strings.Repeat("x", 1<<20+1)},
		{202, "/:send?filter=false", text, strings.Repeat("x", 1<<20)},
		{400, "/:send?api-version=2020-10-01", text, "x"},
	} {
		r.does(tt.status, "POST", "/api/hubs/chat"+tt.target, tt.contentType, tt.in)
	}
	p.quiet()
}

// TestClose: who is closed, how that looks, and that it is over at once.
func TestClose(t *testing.T) {
	for _, tt := range []struct {
		method, target string
		stays          []string
	}{
		{"POST", "/:closeConnections?reason=R", nil},
		{"POST", "/:closeConnections?reason=R&excluded=BOB", []string{"bob"}},
		{"POST", "/groups/g/:closeConnections?reason=R", []string{"ann2"}},
		{"POST", "/groups/g/:closeConnections?reason=R&excluded=BOB", []string{"ann2", "bob"}},
		{"POST", "/users/ann/:closeConnections?reason=R", []string{"bob"}},
		{"DELETE", "/connections/BOB?reason=R", []string{"ann1", "ann2"}},
		{"DELETE", "/connections/none?reason=R", []string{"ann1", "ann2", "bob"}},
	} {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			r := start(t, Options{})
			ann1, ann2, bob := crowd(r)
			r.does(204, tt.method, "/api/hubs/chat"+strings.Replace(tt.target, "BOB", bob.id, 1))
			for name, p := range map[string]*peer{"ann1": ann1, "ann2": ann2, "bob": bob} {
				status := 404
				if slices.Contains(tt.stays, name) {
					status = 200
				}
				r.does(status, "HEAD", "/api/hubs/chat/connections/"+p.id)
				if status == 200 {
					p.quiet()
					continue
				}
				p.gets(`{"type":"system","event":"disconnected","message":"R"}`)
				p.ends(websocket.StatusNormalClosure, "R")
			}
		})
	}
	r := start(t, Options{})
	raw := r.dial(login{})
	r.does(204, "POST", "/api/hubs/chat/:closeConnections?reason="+strings.Repeat("%C3%A9", 100))
	raw.ends(websocket.StatusNormalClosure, strings.Repeat("é", 61)) // what fits into a Close frame
}

// TestExists: of connections, users and groups, while they last.
func TestExists(t *testing.T) {
	r := start(t, Options{})
	p := r.dial(login{user: "ann", groups: []string{"g"}, subprotocol: subprotocolJSON})
	for status, target := range map[string]string{"connections": p.id, "users": "ann", "groups": "g"} {
		r.does(200, "HEAD", "/api/hubs/chat/"+status+"/"+target)
		r.does(404, "HEAD", "/api/hubs/news/"+status+"/"+target)
		code, header, _ := r.call("HEAD", "/api/hubs/chat/"+status+"/x", "", "")
		if got := header.Get("x-ms-error-code"); code != 404 || !strings.HasPrefix(got, "Warning.") {
			t.Errorf("%s: %d %q", status, code, got)
		}
	}
	r.does(204, "DELETE", "/api/hubs/chat/connections/"+p.id)
	for status, target := range map[string]string{"connections": p.id, "users": "ann", "groups": "g"} {
		r.does(404, "HEAD", "/api/hubs/chat/"+status+"/"+target)
	}
}

// TestGroupCalls: membership by connection, by user, by filter.
func TestGroupCalls(t *testing.T) {
	r := start(t, Options{Limits: Limits{GroupsPerConnection: 3}})
	ann1, ann2, bob := crowd(r)
	hub := "/api/hubs/chat"
	in := func(p *peer) string { return strings.Join(r.service.roster.Groups("chat", p.id), " ") }
	for _, tt := range []struct {
		status           int
		method, target   string
		body             string
		ann1, ann2, bobs string
	}{
		{200, "PUT", "/groups/a%2Fb/connections/" + ann1.id, "", "a/b g", "h", "g h"},
		{404, "PUT", "/groups/g/connections/none", "", "a/b g", "h", "g h"},
		{204, "DELETE", "/groups/a%2Fb/connections/" + ann1.id, "", "g", "h", "g h"},
		{204, "DELETE", "/groups/a%2Fb/connections/" + ann1.id, "", "g", "h", "g h"},
		{204, "DELETE", "/groups/g/connections/none", "", "g", "h", "g h"},
		{200, "PUT", "/users/ann/groups/u", "", "g u", "h u", "g h"},
		{404, "PUT", "/users/carl/groups/u", "", "g u", "h u", "g h"},
		{204, "DELETE", "/users/ann/groups/u", "", "g", "h", "g h"},
		{204, "DELETE", "/users/bob/groups", "", "g", "h", ""},
		{204, "DELETE", "/connections/" + ann1.id + "/groups", "", "", "h", ""},
		{204, "DELETE", "/connections/none/groups", "", "", "h", ""},
		{200, "POST", "/:addToGroups", `{"groups":["x","y"],"filter":"userId eq 'ann'"}`, "x y", "h x y", ""},
		{429, "POST", "/:addToGroups", `{"groups":["z","zz"],"filter":"userId eq 'ann'"}`, "", "", ""},
		{200, "POST", "/:removeFromGroups", `{"groups":["x","y","z","zz"]}`, "", "h", ""},
		{200, "POST", "/:addToGroups", `{"groups":["x"],"filter":""}`, "x", "h x", "x"},
		{400, "POST", "/:addToGroups", `{"groups":[]}`, "x", "h x", "x"},
		{400, "POST", "/:addToGroups", `{"groups":[" "]}`, "x", "h x", "x"},
		{400, "POST", "/:addToGroups", `{"groups":["y"],"filter":"userId"}`, "x", "h x", "x"},
		{400, "POST", "/:removeFromGroups", `[]`, "x", "h x", "x"},
	} {
		if tt.body == "" {
			r.does(tt.status, tt.method, hub+tt.target)
		} else {
			r.does(tt.status, tt.method, hub+tt.target, "application/json", tt.body)
		}
		if tt.status == 429 {
			continue // who was served before the limit is not said
		}
		got := []string{in(ann1), in(ann2), in(bob)}
		if diff := cmp.Diff([]string{tt.ann1, tt.ann2, tt.bobs}, got); diff != "" {
			t.Errorf("%s %s %s: groups (-want +got):\n%s", tt.method, tt.target, tt.body, diff)
		}
	}
	for target, first := range map[string]string{"/:addToGroups": "2023-07-01", "/connections/" + bob.id + "/groups": "2022-11-01"} {
		method := map[bool]string{true: "POST", false: "DELETE"}[target == "/:addToGroups"]
		r.does(400, method, hub+target+"?api-version=2021-10-01")
		if answer := r.does(map[bool]int{true: 415, false: 204}[method == "POST"], method, hub+target+"?api-version="+first); answer == "" && method == "POST" {
			t.Error("no problem")
		}
	}
}

func TestListGroup(t *testing.T) {
	r := start(t, Options{})
	ann1, _, bob := crowd(r)
	var page struct {
		Value    []object
		NextLink string
	}
	got := map[string]any{}
	for target := "/api/hubs/chat/groups/g/connections?maxpagesize=1"; target != ""; target = strings.TrimPrefix(page.NextLink, baseText) {
		page.NextLink, page.Value = "", nil
		if err := json.Unmarshal([]byte(r.does(200, "GET", target)), &page); err != nil {
			t.Fatal(err)
		}
		if len(page.Value) != 1 {
			t.Fatalf("page of %d", len(page.Value))
		}
		got[page.Value[0]["connectionId"].(string)] = page.Value[0]["userId"]
	}
	if diff := cmp.Diff(map[string]any{ann1.id: "ann", bob.id: "bob"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if answer := r.does(200, "GET", "/api/hubs/chat/groups/none/connections"); answer != `{"value":[]}` {
		t.Errorf("empty group: %s", answer)
	}
	r.does(400, "GET", "/api/hubs/chat/groups/g/connections?api-version=2024-01-01")
}

// TestPermissionCalls: granted, checked, used, revoked.
func TestPermissionCalls(t *testing.T) {
	r := start(t, Options{})
	p := r.dial(login{subprotocol: subprotocolJSON})
	at := func(permission string) string {
		return "/api/hubs/chat/permissions/" + permission + "/connections/" + p.id
	}
	asked := 0
	joins := func(group string, allowed bool) {
		t.Helper()
		asked++
		p.send(`{"type":"joinGroup","group":"` + group + `","ackId":` + itoa(asked) + `}`)
		if f := p.read(); f["success"] != allowed {
			t.Errorf("join %s: %v", group, f)
		}
	}
	joins("g", false)
	r.does(404, "HEAD", at("joinLeaveGroup"))
	r.does(200, "PUT", at("joinLeaveGroup")+"?targetName=g")
	joins("g", true)
	joins("h", false)
	r.does(404, "HEAD", at("joinLeaveGroup"))
	r.does(200, "HEAD", at("joinLeaveGroup")+"?targetName=g")
	r.does(404, "HEAD", at("sendToGroup")+"?targetName=g")
	r.does(200, "PUT", at("joinLeaveGroup"))
	joins("h", true)
	r.does(200, "HEAD", at("joinLeaveGroup"))
	r.does(204, "DELETE", at("joinLeaveGroup"))
	joins("h", false)
	joins("g", true)
	r.does(204, "DELETE", at("joinLeaveGroup")+"?targetName=g")
	joins("g", false)
	r.does(400, "PUT", at("dance"))
	r.does(400, "PUT", at("sendToGroup")+"?targetName=%20")
	none := "/api/hubs/chat/permissions/sendToGroup/connections/none"
	r.does(404, "PUT", none)
	r.does(404, "HEAD", none)
	r.does(204, "DELETE", none)
}

// TestGenerateToken: the token lets a client in, with all that was asked for.
func TestGenerateToken(t *testing.T) {
	r := start(t, Options{})
	query := url.Values{
		"userId": {"ann"}, "role": {"webpubsub.joinLeaveGroup.a", "webpubsub.sendToGroup"}, "group": {"g", "h"}, "minutesToExpire": {"2"}, "clientType": {"Default"},
	}
	var answer struct{ Token string }
	if err := json.Unmarshal([]byte(r.does(200, "POST", "/api/hubs/chat/:generateToken?"+query.Encode())), &answer); err != nil {
		t.Fatal(err)
	}
	opts := &websocket.DialOptions{HTTPClient: r.client, Subprotocols: []string{subprotocolJSON}, HTTPHeader: http.Header{"Authorization": {"Bearer " + answer.Token}}}
	conn, _, err := websocket.Dial(t.Context(), baseText+"/client/hubs/chat", opts)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	p := &peer{t: t, conn: conn}
	p.connected("ann")
	if diff := cmp.Diff([]string{"g", "h"}, r.service.roster.Groups("chat", p.id)); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	e, _ := r.service.roster.Get("chat", p.id)
	for _, tt := range []struct {
		which permission
		group string
		want  bool
	}{{joinLeaveGroup, "a", true}, {joinLeaveGroup, "b", false}, {sendToGroup, "b", true}} {
		if got := e.Member.permissions.allows(tt.which, tt.group); got != tt.want {
			t.Errorf("%s %s: %v", tt.which, tt.group, got)
		}
	}
	verifier, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{{Name: "x", Keys: []azure.Key{newKey(t, keyText)}}}})
	if err != nil {
		t.Fatal(err)
	}
	resource, _ := azure.ClientResource(azure.WebPubSub, "chat")
	token, err := verifier.Verify(answer.Token, mustBase(t, baseText), resource)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expires()); left > 2*time.Minute+time.Second || left < time.Minute {
		t.Errorf("expires in %v, want 2 minutes", left)
	}
	for _, bad := range []string{"minutesToExpire=0", "minutesToExpire=x", "clientType=MQTT"} {
		r.does(400, "POST", "/api/hubs/chat/:generateToken?"+bad)
	}
}
