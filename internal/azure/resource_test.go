package azure

import (
	"errors"
	"strings"
	"testing"
)

func TestResourceURLs(t *testing.T) {
	mqtt, err := MQTTResource("chat")
	if err != nil {
		t.Fatal(err)
	}
	io, err := SocketIOResource("chat")
	if err != nil {
		t.Fatal(err)
	}
	base := mustBase(t, "http://localhost:8080/p")
	for _, row := range []struct {
		r                     Resource
		url, socket, audience string
	}{
		{mustClient(t, WebPubSub, "Chat"), "http://localhost:8080/p/client/hubs/Chat", "ws://localhost:8080/p/client/hubs/Chat",
			"http://localhost:8080/client/hubs/Chat"},
		{mustClient(t, WebPubSub, "a[`]"), "http://localhost:8080/p/client/hubs/a%5B%60%5D",
			"ws://localhost:8080/p/client/hubs/a%5B%60%5D",
			"http://localhost:8080/client/hubs/a%5B%60%5D"},
		{mustClient(t, SignalR, "Chat"), "http://localhost:8080/p/client/?hub=chat", "ws://localhost:8080/p/client/?hub=chat",
			"http://localhost/client/?hub=chat"},
		{mqtt, "http://localhost:8080/p/clients/mqtt/hubs/chat", "ws://localhost:8080/p/clients/mqtt/hubs/chat",
			"http://localhost:8080/clients/mqtt/hubs/chat"},
		{io, "http://localhost:8080/p/clients/socketio/hubs/chat", "ws://localhost:8080/p/clients/socketio/hubs/chat",
			"http://localhost:8080/clients/socketio/hubs/chat"},
		{RESTResource(WebPubSub, "/api/hubs/h/:send"), "http://localhost:8080/p/api/hubs/h/:send",
			"ws://localhost:8080/p/api/hubs/h/:send", "http://localhost:8080/api/hubs/h/:send"},
		{RESTResource(SignalR, "/api/hubs/h/:send"), "http://localhost:8080/p/api/hubs/h/:send",
			"ws://localhost:8080/p/api/hubs/h/:send", "http://localhost/api/hubs/h/:send"},
	} {
		if got := row.r.URL(base); got != row.url {
			t.Errorf("URL %s, want %s", got, row.url)
		}
		if got := row.r.WebSocketURL(base); got != row.socket {
			t.Errorf("WebSocket URL %s, want %s", got, row.socket)
		}
		if got := row.r.Audience(base); got != row.audience {
			t.Errorf("audience %s, want %s", got, row.audience)
		}
		if !row.r.Accepts(row.r.Audience(base), base) || !row.r.Accepts(row.r.URL(base), base) {
			t.Errorf("%s does not accept its own audience", row.url)
		}
	}
}

func TestResourceAccepts(t *testing.T) {
	pub, sig := mustClient(t, WebPubSub, "chat"), mustClient(t, SignalR, "chat")
	rest := RESTResource(WebPubSub, "/api/hubs/chat/groups/a%2Fb/:send")
	const base = "https://x.example"
	for _, row := range []struct {
		name     string
		r        Resource
		base     string
		audience string
		want     bool
	}{
		{"as made", pub, base, "https://x.example/client/hubs/chat", true},
		{"slash at the end", pub, base, "https://x.example/client/hubs/chat/", true},
		{"query", pub, base, "https://x.example/client/hubs/chat?a=b", true},
		{"hub in capitals", pub, base, "https://x.example/client/hubs/CHAT", true},
		{"host in capitals", pub, base, "HTTPS://X.Example/client/hubs/chat", true},
		{"default port", pub, base, "https://x.example:443/client/hubs/chat", true},
		{"port left out", pub, base + ":8080", "https://x.example/client/hubs/chat", true},
		{"with port", pub, base + ":8080", "https://x.example:8080/client/hubs/chat", true},
		{"path before", pub, base + "/p", "https://x.example/p/client/hubs/chat", true},
		{"path before left out", pub, base + "/p", "https://x.example/client/hubs/chat", true},
		{"escaped", pub, base, "https://x.example/client/hubs/%63hat", true},
		{"other scheme", pub, base, "http://x.example/client/hubs/chat", false},
		{"other host", pub, base, "https://y.example/client/hubs/chat", false},
		{"longer host", pub, base, "https://x.example.evil/client/hubs/chat", false},
		{"other port", pub, base, "https://x.example:444/client/hubs/chat", false},
		{"port 0", pub, base, "https://x.example:0/client/hubs/chat", false},
		{"other hub", pub, base, "https://x.example/client/hubs/chats", false},
		{"no hub", pub, base, "https://x.example/client/hubs/", false},
		{"path below", pub, base, "https://x.example/client/hubs/chat/x", false},
		{"other path before", pub, base + "/p", "https://x.example/q/client/hubs/chat", false},
		{"user", pub, base, "https://a@x.example/client/hubs/chat", false},
		{"host only", pub, base, "https://x.example", false},
		{"empty", pub, base, "", false},
		{"no URL", pub, base, "https://x.example/%zz", false},
		{"too long", pub, base, "https://x.example/client/hubs/chat?" + strings.Repeat("a", maxAudience), false},
		{"SignalR", sig, base, "https://x.example/client/?hub=chat", true},
		{"SignalR without slash", sig, base, "https://x.example/client?hub=CHAT", true},
		{"SignalR without port", sig, base + ":8080", "https://x.example/client/?hub=chat", true},
		{"SignalR other hub", sig, base, "https://x.example/client/?hub=other", false},
		{"SignalR no hub", sig, base, "https://x.example/client/", false},
		{"SignalR two hubs", sig, base, "https://x.example/client/?hub=chat&hub=other", false},
		{"SignalR as Web PubSub", sig, base, "https://x.example/client/hubs/chat", false},
		{"call", rest, base, "https://x.example/api/hubs/chat/groups/a%2Fb/:send", true},
		{"call with query", rest, base, "https://x.example/api/hubs/chat/groups/a%2fb/%3Asend?api-version=2024-12-01", true},
		{"call with slash", rest, base, "https://x.example/api/hubs/chat/groups/a/b/:send", false},
		{"call in capitals", rest, base, "https://x.example/api/hubs/CHAT/groups/a%2Fb/:send", false},
		{"other call", rest, base, "https://x.example/api/hubs/chat/:send", false},
	} {
		if got := row.r.Accepts(row.audience, mustBase(t, row.base)); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}

func TestParseClientResource(t *testing.T) {
	for _, row := range []struct {
		s                Service
		path, query, url string
		err              error
	}{
		{WebPubSub, "/client/hubs/Chat", "", "https://x/client/hubs/Chat", nil},
		{WebPubSub, "/client/hubs/Chat/", "access_token=t", "https://x/client/hubs/Chat", nil},
		{WebPubSub, "/client/hubs/%63hat", "", "https://x/client/hubs/chat", nil},
		{WebPubSub, "/client/", "hub=chat", "https://x/client/hubs/chat", nil},
		{WebPubSub, "/client", "a=b&HUB=chat", "https://x/client/hubs/chat", nil},
		{WebPubSub, "/clients/mqtt/hubs/chat", "", "https://x/clients/mqtt/hubs/chat", nil},
		{WebPubSub, "/clients/socketio/hubs/chat/", "EIO=4", "https://x/clients/socketio/hubs/chat", nil},
		{WebPubSub, "/clients/socketio/hubs/chat/more", "", "https://x/clients/socketio/hubs/chat", nil},
		{SignalR, "/client/", "hub=Chat&id=1", "https://x/client/?hub=chat", nil},
		{SignalR, "/client/negotiate", "negotiateVersion=1&hub=chat", "https://x/client/?hub=chat", nil},
		{SignalR, "/client/negotiate", "hub=a&hub=b", "", ErrManyHubs},
		{SignalR, "/client/", "", "", ErrHub},
		{SignalR, "/client/", "hub=%zz", "", ErrHub},
		{SignalR, "/client/hubs/chat", "", "", ErrNotClientPath},
		{SignalR, "/clients/", "hub=a", "", ErrNotClientPath},
		{WebPubSub, "/client/", "hub=1", "", ErrHub},
		{WebPubSub, "/client/negotiate", "hub=a", "", ErrNotClientPath},
		{WebPubSub, "/client/hubs/", "", "", ErrHub},
		{WebPubSub, "/client/hubs/a%2Fb", "", "", ErrHub},
		{WebPubSub, "/client/hubs/%zz", "", "", ErrHub},
		{WebPubSub, "/client/hubs/a/b", "", "", ErrNotClientPath},
		{WebPubSub, "/clients/mqtt/hubs/a/b", "", "", ErrNotClientPath},
		{WebPubSub, "/api/hubs/a", "", "", ErrNotClientPath},
		{WebPubSub, "", "", "", ErrNotClientPath},
	} {
		r, err := ParseClientResource(row.s, row.path, row.query)
		if !errors.Is(err, row.err) {
			t.Errorf("%v %s?%s: error %v", row.s, row.path, row.query, err)
		}
		if err == nil && r.URL(mustBase(t, "https://x")) != row.url {
			t.Errorf("%v %s?%s: %s", row.s, row.path, row.query, r.URL(mustBase(t, "https://x")))
		}
	}
}

func TestFindToken(t *testing.T) {
	for _, row := range []struct {
		header, query, token string
		err                  error
	}{
		{"", "", "", ErrNoToken},
		{"Bearer a.b.c", "", "a.b.c", nil},
		{" bearer   a.b.c ", "", "a.b.c", nil},
		{"", "x=1&access_token=a.b.c&y", "a.b.c", nil},
		{"", "ACCESS%5FTOKEN=a.b.c", "a.b.c", nil},
		{"", "access_token=a%2Eb.c", "a.b.c", nil},
		{"Bearer a.b.c", "access_token=a.b.c", "a.b.c", nil},
		{"Bearer a.b.c", "access_token=", "a.b.c", nil},
		{"Bearer a.b.c", "access_token=x", "", ErrManyTokens},
		{"", "access_token=a&access_token=b", "", ErrManyTokens},
		{"Basic a.b.c", "", "", ErrNoToken},
		{"Bearer", "access_token", "", ErrNoToken},
		{"a.b.c", "token=a", "", ErrNoToken},
		{"Bearer " + strings.Repeat("a", MaxToken+1), "", "", ErrTokenTooLong},
		{"Bearer " + strings.Repeat("a", MaxToken), "", strings.Repeat("a", MaxToken), nil},
	} {
		token, err := FindToken(row.header, row.query)
		if token != row.token || err != row.err {
			t.Errorf("%.40q %q: got %.40q, %v", row.header, row.query, token, err)
		}
	}
}

func TestReplaceToken(t *testing.T) {
	for _, row := range []struct{ query, token, want string }{
		{"", "t", ""},
		{"a=b", "t", "a=b"},
		{"access_token=old", "a.b-c_d", "access_token=a.b-c_d"},
		{"a=%2f&&access_token=old&b=+&c", "t&x", "a=%2f&&access_token=t%26x&b=+&c"},
		{"access_token=1&a&Access_Token=2", "t", "access_token=t&a"},
		{"access_token=1&a", "", "a"},
		{"access%5ftoken=1", "", ""},
		{"%zz=1", "t", "%zz=1"},
	} {
		if got := ReplaceToken(row.query, row.token); got != row.want {
			t.Errorf("%q with %q: %q, want %q", row.query, row.token, got, row.want)
		}
	}
}
