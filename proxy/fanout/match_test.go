package fanout

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/azure"
)

func TestMatch(t *testing.T) {
	for _, row := range []struct {
		s                            azure.Service
		method, path, pattern        string
		hub, group, user, connection string
	}{
		{azure.WebPubSub, "POST", "/api/hubs/chat/:send", hub + "/:send", "chat", "", "", ""},
		{azure.WebPubSub, "POST", "/api/hubs/chat/%3Asend", hub + "/:send", "chat", "", "", ""},
		{azure.WebPubSub, "PUT", "/api/hubs/chat/users/a%20b/groups/g%2Fh", hub + theUser + theGroup, "chat", "g/h", "a b", ""},
		{azure.WebPubSub, "PUT", "/api/hubs/chat/users/:send/groups/:x", hub + theUser + theGroup, "chat", ":x", ":send", ""},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/permissions/sendToGroup/connections/c",
			hub + "/permissions/{permission}" + theConnection, "chat", "", "", "c"},
		{azure.WebPubSub, "GET", "/api/hubs/chat/groups/connections/connections", hub + theGroup + "/connections", "chat",
			"connections", "", ""},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/%C3%A9", hub + theGroup, "chat", "é", "", ""},
		{azure.SignalR, "POST", "/api/v1/hubs/chat", hub1, "chat", "", "", ""},
		{azure.SignalR, "POST", "/api/hubs/chat/connections/c/streams/s/:send", hub + theConnection + "/streams/{stream}/:send",
			"chat", "", "", "c"},
	} {
		c, err := Match(row.s, row.method, row.path)
		if err != nil || c.Row.Path != row.pattern || c.Row.Method != row.method || c.RawPath != row.path ||
			c.Hub != row.hub || c.Group != row.group || c.User != row.user || c.ConnectionID != row.connection {
			t.Errorf("%s %s: %+v, %v", row.method, row.path, c, err)
		}
	}
}

func TestMatchRefuses(t *testing.T) {
	for _, row := range []struct {
		s            azure.Service
		method, path string
		status       int
		detail       string // target, or allow
	}{
		{azure.WebPubSub, "POST", "/", 404, ""},
		{azure.WebPubSub, "POST", "/api/hubs/chat", 404, ""},
		{azure.WebPubSub, "POST", "/api/hubs/chat/:send/", 404, ""},
		{azure.WebPubSub, "POST", "/api//hubs/chat/:send", 404, ""},
		{azure.WebPubSub, "POST", "/API/hubs/chat/:send", 404, ""},
		{azure.WebPubSub, "POST", "/api/v1/hubs/chat", 404, ""},
		{azure.WebPubSub, "POST", "/api/hubs/chat/:execute", 404, ""},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/users/u/groups/g", 405, "DELETE, PUT"},
		{azure.SignalR, "POST", "/api/hubs/chat/:addToGroups", 404, ""},
		{azure.SignalR, "GET", "/api/auth/accessKey", 404, ""},
		{azure.WebPubSub, "GET", "/api/hubs/chat/:send", 405, "POST"},
		{azure.WebPubSub, "post", "/api/hubs/chat/:send", 405, "POST"},
		{azure.SignalR, "PATCH", "/api/hubs/chat/connections/c", 405, "DELETE, HEAD"},
		{azure.WebPubSub, "POST", "api/hubs/chat/:send", 400, "path"},
		{azure.WebPubSub, "POST", "", 400, "path"},
		{azure.WebPubSub, "POST", "/api/hubs/chat/%zz", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/a HTTP/1.1\r\nX: y\r\n\r\n", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/a b", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/é", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/a#b", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/%00", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/a%0Ab", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/%ff", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/..", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/%2e%2E", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/.", 400, "path"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/%20", 400, "group"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/", 400, "group"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/groups/" + strings.Repeat("g", 1025), 400, "group"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/users/", 400, "user"},
		{azure.WebPubSub, "HEAD", "/api/hubs/chat/connections/" + strings.Repeat("c", 1025), 400, "connection"},
		{azure.WebPubSub, "POST", "/api/hubs/1chat/:send", 400, "hub"},
		{azure.WebPubSub, "POST", "/api/hubs//:send", 400, "hub"},
		{azure.WebPubSub, "POST", "/api/hubs/a%2Fb/:send", 400, "hub"},
		{azure.WebPubSub, "POST", "/api/hubs/%D0%B0/:send", 400, "hub"}, // a letter that looks like one of ours
		{azure.WebPubSub, "PUT", "/api/hubs/chat/permissions/all/connections/c", 400, "permission"},
		{azure.WebPubSub, "POST", "/" + strings.Repeat("a", maxPath), 414, ""},
	} {
		_, err := Match(row.s, row.method, row.path)
		var e *MatchError
		if !errors.As(err, &e) || e.Status != row.status || e.Error() == "" {
			t.Errorf("%s %.60s: %v", row.method, row.path, err)
			continue
		}
		a := Refuse(err)
		if a.Status != row.status || a.ContentType != typeJSON || len(a.Results) != 0 || a.header(azure.ErrorCodeField) == "" {
			t.Errorf("%s %.60s: answered %+v", row.method, row.path, a)
		}
		switch row.status {
		case 405:
			if a.header("Allow") != row.detail {
				t.Errorf("%s %s: allowed is %q", row.method, row.path, a.header("Allow"))
			}
		case 400:
			if e.Target != row.detail || !strings.Contains(string(a.Body), `"target":"`+row.detail+`"`) {
				t.Errorf("%s %.60s: target %q, body %s", row.method, row.path, e.Target, a.Body)
			}
		}
	}
	if a := Refuse(errors.New("secret")); a.Status != 500 || strings.Contains(string(a.Body), "secret") {
		t.Errorf("another error: %d %s", a.Status, a.Body)
	}
}

// TestTable checks what holds for every row.
func TestTable(t *testing.T) {
	versions := map[azure.Service][]string{
		azure.WebPubSub: {"2021-10-01", "2022-11-01", "2023-07-01", "2024-01-01", "2024-12-01"},
		azure.SignalR:   {"1.0", "2022-06-01", "2022-11-01", "2024-12-01"},
	}
	for _, s := range []azure.Service{azure.WebPubSub, azure.SignalR} {
		rows := Table(s)
		for i, r := range rows {
			if slices.ContainsFunc(rows[:i], func(o Row) bool { return o.Method == r.Method && o.Path == r.Path }) {
				t.Errorf("%s %s stands twice", r.Method, r.Path)
			}
			if !slices.Contains(versions[s], r.Since) {
				t.Errorf("%s %s is since %q", r.Method, r.Path, r.Since)
			}
			if r.Message && (r.Again || r.Method != "POST") {
				t.Errorf("%s %s: a message twice", r.Method, r.Path)
			}
			if (r.Method == "GET" || r.Method == "HEAD") && r.Kind != Local && r.Kind != List && r.Kind != Exists {
				t.Errorf("%s %s is no question", r.Method, r.Path)
			}
			if r.Method != "POST" && r.Kind != Local && !r.Again {
				t.Errorf("%s %s: idempotent by its method (RFC 9110 §9.2.2)", r.Method, r.Path)
			}
			if of := strings.Contains(r.Path, "{connection}"); (r.Kind == Connection || r.Kind == Invocation || r.Knows) && !of {
				t.Errorf("%s %s is about no connection", r.Method, r.Path)
			}
			rows[i].Path = "changed"
		}
		if Table(s)[0].Path == "changed" {
			t.Error("the table can be changed")
		}
	}
	// 25 of each service and 19 of version 1.0, and each time GET for health besides HEAD.
	if n, m := len(Table(azure.WebPubSub)), len(Table(azure.SignalR)); n != 26 || m != 46 {
		t.Errorf("%d and %d rows", n, m)
	}
}

// FuzzMatch checks of every path: no panic; what is found says what the path says, in the table's own form.
func FuzzMatch(f *testing.F) {
	f.Add("POST", "/api/hubs/chat/:send", false)
	f.Add("PUT", "/api/hubs/chat/users/a%2Fb/groups/%C3%A9", true)
	f.Add("HEAD", "/api/v1/hubs/chat/connections/c", true)
	f.Add("GET", "/api/hubs/%63hat/groups/a%20/connections", false)
	f.Fuzz(func(t *testing.T, method, path string, signalr bool) {
		s := azure.WebPubSub
		if signalr {
			s = azure.SignalR
		}
		c, err := Match(s, method, path)
		if err != nil {
			if a := Refuse(err); a.Status < 400 || a.Status >= 500 {
				t.Fatalf("answered %d", a.Status)
			}
			return
		}
		if c.Method != method || c.RawPath != path {
			t.Fatalf("%+v", c)
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			t.Fatal(err)
		}
		want := c.Row.Path
		for name, value := range map[string]string{"{hub}": c.Hub, "{group}": c.Group, "{user}": c.User, "{connection}": c.ConnectionID} {
			if strings.Contains(want, name) && value == "" {
				t.Fatalf("%s is empty", name)
			}
			want = strings.ReplaceAll(want, name, value)
		}
		if !strings.Contains(c.Row.Path, "{stream}") && !strings.Contains(c.Row.Path, "{permission}") &&
			!strings.ContainsAny(decoded, "{}") && decoded != want {
			t.Fatalf("%q is found as %q", decoded, want)
		}
	})
}
