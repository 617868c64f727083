package signalr

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const message = `{"target":"M","arguments":[1,"<é",{"a":null}]}`

// crowd are three clients: ann twice and bob; ann's first and bob's are in the group g.
func crowd(r *rig) map[string]*peer {
	all := map[string]*peer{"ann1": r.dial(login{user: "ann"}), "ann2": r.dial(login{user: "ann"}), "bob": r.dial(login{user: "bob"})}
	for _, name := range []string{"ann1", "bob"} {
		r.does(200, "PUT", "/api/hubs/chat/groups/g/connections/"+all[name].id)
	}
	return all
}

// TestSends: who gets what, by both spellings.
func TestSends(t *testing.T) {
	r := start(t, Options{})
	all := crowd(r)
	elsewhere := r.dial(login{hub: "news", user: "ann"})
	application := r.dial(login{hub: "app_chat", user: "ann"})
	bob, ann1 := all["bob"].id, all["ann1"].id
	for _, tt := range []struct {
		target string
		gets   []string
	}{
		{"/api/hubs/chat/:send", []string{"ann1", "ann2", "bob"}},
		{"/api/hubs/CHAT/:send?excluded=" + bob + "&excluded=" + ann1, []string{"ann2"}},
		{"/api/hubs/chat/groups/g/:send?api-version=2022-06-01", []string{"ann1", "bob"}},
		{"/api/hubs/chat/groups/g/:send?excluded=" + bob, []string{"ann1"}},
		{"/api/hubs/chat/groups/none/:send", nil},
		{"/api/hubs/chat/users/ann/:send?api-version=2022-11-01", []string{"ann1", "ann2"}},
		{"/api/hubs/chat/connections/" + bob + "/:send", []string{"bob"}},
		{"/api/hubs/chat/connections/none/:send", nil},
		{"/api/v1/hubs/chat", []string{"ann1", "ann2", "bob"}},
		{"/api/v1/hubs/chat?excluded=" + bob, []string{"ann1", "ann2"}},
		{"/api/v1/hubs/chat/groups/g?excluded=" + ann1, []string{"bob"}},
		{"/api/v1/hubs/chat/users/bob", []string{"bob"}},
		{"/api/v1/hubs/chat/connections/" + ann1, []string{"ann1"}},
	} {
		t.Run(tt.target, func(t *testing.T) {
			r.does(202, "POST", tt.target, message)
			for name, p := range all {
				if slices.Contains(tt.gets, name) {
					if got, want := p.next(), `{"type":1,"target":"M","arguments":[1,"<é",{"a":null}]}`; got != want {
						t.Errorf("%s got %s", name, got)
					}
				}
				r.quiet(p)
			}
		})
	}
	r.does(202, "POST", "/api/hubs/chat/:send?application=App", message)
	application.gets(`{"type":1,"target":"M","arguments":[1,"<é",{"a":null}]}`)
	r.does(202, "POST", "/api/hubs/news/:send", `{"target":"only"}`)
	elsewhere.gets(`{"type":1,"target":"only","arguments":[]}`)
	for _, p := range all {
		r.quiet(p)
	}
}

func TestSendRefuses(t *testing.T) {
	r := start(t, Options{})
	for body, status := range map[string]int{
		``: 400, `{}`: 400, `{"target":""}`: 400, `{"target":"M","arguments":1}`: 400, `{"target":1}`: 400, `[]`: 400,
		`{"target":"M","arguments":null}`:                            202,
		`{"target":"M","arguments":[]}` + strings.Repeat(" ", 1<<20): 413,
	} {
		r.does(status, "POST", "/api/hubs/chat/:send", body)
		r.does(status, "POST", "/api/v1/hubs/chat", body)
	}
	r.does(415, "POST", "/api/hubs/chat/:send")
	r.does(400, "POST", "/api/hubs/chat/:send?application=1", message)
	r.does(400, "POST", "/api/hubs/chat/:send?api-version=2021-10-01", message)
	r.does(404, "POST", "/api/hubs/chat/:execute", "[]")
	r.does(404, "POST", "/api/v1-preview/hub/chat", message)
	r.does(405, "GET", "/api/v1/hubs/chat")
	r.does(400, "POST", "/api/v1/hubs/1chat", message)
	r.does(400, "POST", "/api/hubs/chat/:generateToken?api-version=2022-06-01")
}

// TestClose: with allowReconnect, whoever is closed.
func TestClose(t *testing.T) {
	for _, tt := range []struct {
		method, target string
		status         int
		stays          []string
	}{
		{"POST", "/api/hubs/chat/:closeConnections?reason=R", 204, nil},
		{"POST", "/api/hubs/chat/:closeConnections?reason=R&excluded=BOB", 204, []string{"bob"}},
		{"POST", "/api/hubs/chat/groups/g/:closeConnections?reason=R", 204, []string{"ann2"}},
		{"POST", "/api/hubs/chat/users/ann/:closeConnections?reason=R", 204, []string{"bob"}},
		{"DELETE", "/api/hubs/chat/connections/BOB?reason=R", 200, []string{"ann1", "ann2"}},
		{"DELETE", "/api/v1/hubs/chat/connections/BOB?reason=R", 202, []string{"ann1", "ann2"}},
		{"DELETE", "/api/v1/hubs/chat/connections/none", 202, []string{"ann1", "ann2", "bob"}},
	} {
		t.Run(tt.method+" "+tt.target, func(t *testing.T) {
			r := start(t, Options{})
			all := crowd(r)
			r.does(tt.status, tt.method, strings.Replace(tt.target, "BOB", all["bob"].id, 1))
			for name, p := range all {
				if slices.Contains(tt.stays, name) {
					r.quiet(p)
					continue
				}
				r.does(404, "HEAD", "/api/hubs/chat/connections/"+p.id)
				p.gets(`{"type":7,"error":"R","allowReconnect":true}`)
				p.ends()
			}
		})
	}
}

func TestExists(t *testing.T) {
	r := start(t, Options{})
	all := crowd(r)
	for _, tt := range []struct {
		path, code string
		status     int
	}{
		{"/connections/" + all["bob"].id, "", 200},
		{"/connections/none", "Warning.Connection.NotExisted", 404},
		{"/users/bob", "", 200},
		{"/users/none", "Warning.User.NotExisted", 404},
		{"/groups/g", "", 200},
		{"/groups/none", "Warning.Group.NotExisted", 404},
	} {
		r.does(tt.status, "HEAD", "/api/hubs/chat"+tt.path)
		for _, method := range []string{"GET", "HEAD"} {
			h := http.Header{"Authorization": {"Bearer " + r.mint(baseText+"/api/v1/hubs/chat"+tt.path, nil)}}
			status, got, _ := r.ask(method, "/api/v1/hubs/chat"+tt.path, "", h)
			if status != tt.status || got.Get("x-ms-error-code") != tt.code {
				t.Errorf("%s %s: %d %q", method, tt.path, status, got.Get("x-ms-error-code"))
			}
		}
	}
}

// TestGroups: of connections.
func TestGroups(t *testing.T) {
	r := start(t, Options{Limits: Limits{GroupsPerConnection: 2}})
	p := r.dial(login{user: "ann"})
	in := func(want string) {
		t.Helper()
		if got := strings.Join(r.service.roster.Groups("chat", p.id), " "); got != want {
			t.Errorf("in %q, want %q", got, want)
		}
	}
	at := "/groups/a%2Fb/connections/" + p.id
	r.does(200, "PUT", "/api/hubs/chat"+at)
	r.does(200, "PUT", "/api/v1/hubs/chat/groups/c/connections/"+p.id)
	in("a/b c")
	r.does(429, "PUT", "/api/hubs/chat/groups/d/connections/"+p.id)
	r.does(404, "PUT", "/api/hubs/chat/groups/d/connections/none")
	r.does(404, "DELETE", "/api/hubs/chat/groups/d/connections/none")
	r.does(200, "DELETE", "/api/hubs/chat"+at)
	r.does(200, "DELETE", "/api/v1/hubs/chat"+at)
	in("c")
	r.does(200, "DELETE", "/api/hubs/chat/connections/"+p.id+"/groups")
	r.does(200, "DELETE", "/api/hubs/chat/connections/none/groups")
	in("")
}

// TestUserGroups: users are in groups whether they are connected or not.
func TestUserGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{})
		const hub, old = "/api/hubs/chat", "/api/v1/hubs/chat"
		r.does(200, "PUT", hub+"/users/ann/groups/g")
		r.does(200, "HEAD", hub+"/users/ann/groups/g")
		r.does(404, "HEAD", hub+"/groups/g") // nobody is connected
		ann := r.dial(login{user: "ann"})
		r.does(200, "HEAD", hub+"/groups/g")
		r.does(200, "PUT", hub+"/groups/g/connections/"+ann.id)
		r.does(202, "POST", hub+"/groups/g/:send", `{"target":"once"}`)
		ann.gets(`{"type":1,"target":"once","arguments":[]}`)
		r.quiet(ann)
		r.does(204, "DELETE", hub+"/users/ann/groups/g")
		r.does(404, "HEAD", hub+"/users/ann/groups/g")
		r.does(202, "POST", hub+"/groups/g/:send", `{"target":"no more"}`)
		r.quiet(ann)

		// For the connections of now.
		r.does(202, "PUT", old+"/groups/g/users/ann?ttl=0")
		second := r.dial(login{user: "ann"})
		r.does(200, "GET", old+"/groups/g/users/ann")
		r.does(202, "POST", hub+"/groups/g/:send", `{"target":"now"}`)
		ann.gets(`{"type":1,"target":"now","arguments":[]}`)
		r.quiet(second)
		r.does(200, "DELETE", old+"/users/ann/groups")
		r.does(404, "GET", old+"/groups/g/users/ann")

		// For a while.
		r.does(200, "PUT", hub+"/users/ann/groups/h?ttl=10")
		time.Sleep(10*time.Second - time.Nanosecond)
		r.does(200, "HEAD", hub+"/users/ann/groups/h")
		time.Sleep(time.Nanosecond)
		r.does(404, "HEAD", hub+"/users/ann/groups/h")
		r.does(404, "HEAD", hub+"/groups/h")

		r.does(200, "PUT", hub+"/users/ann/groups/i")
		r.does(202, "DELETE", old+"/groups/i/users/ann")
		r.does(200, "PUT", hub+"/users/ann/groups/i")
		r.does(204, "DELETE", hub+"/users/ann/groups")
		r.does(404, "HEAD", hub+"/users/ann/groups/i")
		r.does(400, "PUT", hub+"/users/ann/groups/i?ttl=-1")
		r.does(400, "PUT", hub+"/users/ann/groups/i?ttl=x")
		for i := range keptForever + 1 {
			r.does(200, "PUT", hub+"/users/zoe/groups/"+itoa(i))
		}
		r.does(404, "HEAD", hub+"/users/zoe/groups/0")
		r.does(200, "HEAD", hub+"/users/zoe/groups/1")
	})
}

func TestUserGroupLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUserGroups(2)
		if !u.add("h", "ann", "a", time.Second) || !u.add("h", "ann", "b", 0) || !u.add("h", "ann", "a", time.Second) {
			t.Fatal("there was room")
		}
		if u.add("h", "ann", "c", 0) || u.add("other", "bob", "a", 0) {
			t.Error("there was no room")
		}
		time.Sleep(time.Second)
		if !u.add("h", "bob", "c", 0) || u.has("h", "ann", "a") || !u.has("h", "ann", "b") {
			t.Error("what has expired makes room, and only that")
		}
		u.removeAll("h", "ann")
		u.remove("h", "bob", "c")
		if u.total != 0 || len(u.byUser) != 0 || len(u.byName) != 0 {
			t.Errorf("%d memberships are left: %v %v", u.total, u.byUser, u.byName)
		}
	})
}

func TestListGroup(t *testing.T) {
	r := start(t, Options{})
	all := crowd(r)
	r.does(200, "PUT", "/api/hubs/chat/users/ann/groups/g")
	var page struct {
		Value []object
	}
	if err := json.Unmarshal([]byte(r.does(200, "GET", "/api/hubs/chat/groups/g/connections")), &page); err != nil {
		t.Fatal(err)
	}
	got := map[any]any{}
	for _, one := range page.Value {
		got[one["connectionId"]] = one["userId"]
	}
	want := map[any]any{all["ann1"].id: "ann", all["ann2"].id: "ann", all["bob"].id: "bob"}
	if diff := cmp.Diff(want, got); diff != "" || len(page.Value) != 3 {
		t.Errorf("-want +got:\n%s", diff)
	}
	r.does(400, "GET", "/api/hubs/chat/groups/g/connections?api-version=2022-11-01")
}

// TestInvoke: a method of a client, and its result.
func TestInvoke(t *testing.T) {
	r := start(t, Options{})
	p := r.dial(login{})
	target := "/api/hubs/chat/connections/" + p.id + "/:invoke"
	for _, tt := range []struct {
		answer string
		status int
		says   string
	}{
		{`"result":{"a":1}`, 200, `{"result":{"a":1}}`},
		{`"error":"no such method"`, 400, "no such method"},
		{`"result":null`, 200, `{"result":null}`},
	} {
		type answer struct {
			status int
			text   string
		}
		answers := make(chan answer, 1)
		h := http.Header{"Authorization": {"Bearer " + r.mint(baseText+target, nil)}, "Content-Type": {"application/json"}}
		go func() {
			status, _, text := r.ask("POST", target+"?api-version=2024-12-01", message, h)
			answers <- answer{status, text}
		}()
		m := decode(t, p.next())
		id, _ := m["invocationId"].(string)
		if m["target"] != "M" || id == "" {
			t.Fatalf("%v", m)
		}
		p.send(`{"type":3,"invocationId":"other",` + tt.answer + `}`)
		p.send(`{"type":3,"invocationId":"` + id + `",` + tt.answer + `}`)
		if got := <-answers; got.status != tt.status || !strings.Contains(got.text, tt.says) {
			t.Errorf("%s: %+v", tt.answer, got)
		}
	}
	r.does(404, "POST", "/api/hubs/chat/connections/none/:invoke", message)
	r.does(400, "POST", target, `{}`)

	h := http.Header{"Authorization": {"Bearer " + r.mint(baseText+target, nil)}, "Content-Type": {"application/json"}}
	left := make(chan int, 1)
	go func() {
		status, _, _ := r.ask("POST", target+"?api-version=2024-12-01", message, h)
		left <- status
	}()
	p.next()
	p.conn.CloseNow()
	if status := <-left; status != 404 {
		t.Errorf("a client that leaves: %d, want 404", status)
	}
}

func TestInvokeTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{})
		p := r.dial(login{})
		go func() {
			p.next()
			time.Sleep(20 * time.Second)
			p.send(`{"type":6}`)
			p.next() // its ping
			p.next()
		}()
		began := time.Now()
		r.does(504, "POST", "/api/hubs/chat/connections/"+p.id+"/:invoke", message)
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("took %v", took)
		}
		e, _ := r.service.roster.Get("chat", p.id)
		if n := len(e.Member.invocations.waiting); n != 0 {
			t.Errorf("%d invocations still wait", n)
		}
		r.stop()
		synctest.Wait()
	})
}

func TestGenerateToken(t *testing.T) {
	r := start(t, Options{})
	var answer struct{ Token string }
	if err := json.Unmarshal([]byte(r.does(200, "POST", "/api/hubs/chat/:generateToken?userId=ann&minutesToExpire=5")), &answer); err != nil {
		t.Fatal(err)
	}
	conn, _, err := r.open("/client/?hub=chat&access_token="+answer.Token, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, conn: conn}
	p.send(`{"protocol":"json","version":1}`)
	p.gets(`{}`)
	r.does(200, "HEAD", "/api/hubs/chat/users/ann")
	r.does(400, "POST", "/api/hubs/chat/:generateToken?minutesToExpire=0")
}
