package negotiate

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
)

func TestGenerateToken(t *testing.T) {
	mqtt, err := azure.MQTTResource("chat")
	if err != nil {
		t.Fatal(err)
	}
	io, err := azure.SocketIOResource("chat")
	if err != nil {
		t.Fatal(err)
	}
	pub, sig := client(t, azure.WebPubSub, "chat"), client(t, azure.SignalR, "chat")
	for _, row := range []struct {
		name          string
		s             azure.Service
		via           Via
		query         string
		resource      azure.Resource
		endpoint      string
		secret        string
		user          string
		roles, groups []string
		minutes       int
		url           string
	}{
		{"plain", azure.WebPubSub, ViaProxy, "", pub, here, ownText, "", nil, nil, 60, ""},
		{"all", azure.WebPubSub, ViaProxy,
			"&userId=u&role=a&role=b&role=&group=g&Group=h%20&minutesToExpire=5&clientType=Default", pub, here, ownText, "u",
			[]string{"a", "b"}, []string{"g", "h "}, 5, ""},
		{"MQTT", azure.WebPubSub, ViaProxy, "&clientType=MQTT", mqtt, here, ownText, "", nil, nil, 60, ""},
		{"Socket.IO", azure.WebPubSub, ViaProxy, "&clientType=SocketIO", io, here, ownText, "", nil, nil, 60, ""},
		{"direct", azure.WebPubSub, ViaDirect, "&clientType=mqtt", mqtt, "https://east.example:8443", eastText, "", nil, nil, 60,
			"wss://near.east.example/clients/mqtt/hubs/chat"},
		{"SignalR", azure.SignalR, ViaProxy, "&userId=u&minutesToExpire=1&role=x&clientType=x", sig, here, ownText, "u", nil, nil, 1, ""},
		{"SignalR direct", azure.SignalR, ViaDirect, "", sig, "https://east.example:8443", eastText, "", nil, nil, 60,
			"https://near.east.example/client/?hub=chat"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, row.s, func(o *Options) { o.Via = row.via })
			now := time.Now()
			a := r.n.GenerateToken(r.request("POST", "/api/hubs/chat/:generateToken?api-version=2024-01-01"+row.query), "chat")
			m := decode(t, a)
			url, _ := m["url"].(string)
			if url != row.url || a.Upstream != "east" {
				t.Errorf("url %q, upstream %q", url, a.Upstream)
			}
			got := says(t, m["token"].(string), row.secret, row.endpoint, row.resource)
			if c := got.Claims(); c.User(row.s) != row.user || !slices.Equal(c.Strings("role"), row.roles) ||
				!slices.Equal(c.Strings("webpubsub.group"), row.groups) {
				t.Errorf("claims %v: %v, %v", c.Names(), c.Strings("role"), c.Strings("webpubsub.group"))
			}
			life := time.Duration(row.minutes) * time.Minute
			if left := got.Expires().Sub(now); left < life-time.Second || left > life+time.Minute {
				t.Errorf("lifetime %v, want %v", left, life)
			}
		})
	}
}

func TestGenerateTokenRefuses(t *testing.T) {
	for _, row := range []struct {
		name, method, query, hub string
		status                   int
		target                   string
	}{
		{"GET", "GET", "api-version=1", "chat", 405, ""},
		{"no version", "POST", "", "chat", 400, "api-version"},
		{"two versions", "POST", "api-version=1&api-version=2", "chat", 400, "api-version"},
		{"bad hub", "POST", "api-version=1", "a/b", 400, "hub"},
		{"other hub", "POST", "api-version=1", "other", 400, "hub"},
		{"two users", "POST", "api-version=1&userId=a&userId=b", "chat", 400, "userId"},
		{"user is no UTF-8", "POST", "api-version=1&userId=%ff", "chat", 400, "userId"},
		{"no minutes", "POST", "api-version=1&minutesToExpire=0", "chat", 400, "minutesToExpire"},
		{"minutes in words", "POST", "api-version=1&minutesToExpire=one", "chat", 400, "minutesToExpire"},
		{"endless", "POST", "api-version=1&minutesToExpire=9999999", "chat", 400, "minutesToExpire"},
		{"role is no UTF-8", "POST", "api-version=1&role=%ff", "chat", 400, "role"},
		{"blank group", "POST", "api-version=1&group=%20", "chat", 400, "group"},
		{"long group", "POST", "api-version=1&group=" + strings.Repeat("g", 1025), "chat", 400, "group"},
		{"other client", "POST", "api-version=1&clientType=telnet", "chat", 400, "clientType"},
		{"two clients", "POST", "api-version=1&clientType=MQTT&clientType=MQTT", "chat", 400, "clientType"},
		{"bad escape", "POST", "api-version=1&x=%", "chat", 400, ""},
		{"long user", "POST", "api-version=1&userId=" + strings.Repeat("u", 10<<10), "chat", 413, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newRig(t, azure.WebPubSub, func(o *Options) { o.Hubs = []string{"Chat"} })
			a := r.n.GenerateToken(r.request(row.method, "/api/hubs/chat/:generateToken?"+row.query), row.hub)
			if a.Status != row.status {
				t.Fatalf("answered %d %s", a.Status, a.Body)
			}
			if row.target == "" {
				return
			}
			var e azure.RESTError
			if err := json.Unmarshal(a.Body, &e); err != nil || e.Target != row.target || e.Code == "" ||
				a.field(azure.ErrorCodeField) != e.Code {
				t.Errorf("answered %s, %v", a.Body, err)
			}
		})
	}
	r := newRig(t, azure.WebPubSub, nil)
	down(r.east)
	down(r.west)
	if a := r.n.GenerateToken(r.request("POST", "/api/hubs/chat/:generateToken?api-version=1"), "chat"); a.Status != 503 {
		t.Errorf("nobody there: answered %d", a.Status)
	}
}
