package proxy

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/signalr"
	"github.com/pointsman/pointsman/pool"
)

// signalRService starts an instance of SignalR that lives as long as the test.
func signalRService(t testing.TB, name, key string) *instance {
	t.Helper()
	service, err := signalr.New(signalr.Options{Keys: []azure.Key{accessKey(t, key)}})
	if err != nil {
		t.Fatal(err)
	}
	return newInstance(t, name, key, service)
}

// redirect is the first answer to a negotiation, and connection is the second.
type redirect struct{ URL, AccessToken string }

type connection struct{ ConnectionID, ConnectionToken string }

// redirected asks for the first.
func (r *office) redirected() redirect {
	r.t.Helper()
	var first redirect
	r.call("", "POST", "/chathub/negotiate?hub=chat&negotiateVersion=1", "", "").read(r.t, &first)
	return first
}

// at returns the URL of the redirect with a path and a parameter more.
func (d redirect) at(t testing.TB, path, parameter string) string {
	t.Helper()
	u, err := url.Parse(d.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	u.RawQuery += "&" + parameter
	return u.String()
}

// ask asks for the second.
func (r *office) connection(d redirect) connection {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodPost, d.at(r.t, "/negotiate", "negotiateVersion=1"), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+d.AccessToken)
	var second connection
	r.do(request).read(r.t, &second)
	return second
}

// open opens the WebSocket of a connection.
func (r *office) join(d redirect, c connection) (*websocket.Conn, *http.Response, error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, a, err := websocket.Dial(ctx, d.at(r.t, "/", "id="+url.QueryEscape(c.ConnectionToken)), &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer " + d.AccessToken}},
	})
	if err == nil {
		r.t.Cleanup(func() { conn.CloseNow() })
	}
	return conn, a, err
}

// greets does the handshake of the hub protocol.
func greets(t testing.TB, conn *websocket.Conn) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"protocol":"json","version":1}`+"\x1e")); err != nil {
		t.Fatal(err)
	}
	if _, data, err := conn.Read(ctx); err != nil || string(data) != "{}\x1e" {
		t.Fatalf("%q, %v", data, err)
	}
}

// TestSignalRNegotiation: the two negotiations and the WebSocket find the same
// upstream, whichever of several that is.
func TestSignalRNegotiation(t *testing.T) {
	east, west := signalRService(t, "east", eastKey), signalRService(t, "west", westKey)
	r := serveRegions(t, azure.SignalR, func(r *Route) { r.Service.Open = true }, east.member(t, pool.Primary), west.member(t, pool.Primary))
	for range 10 {
		first := r.redirected()
		second := r.connection(first)
		if second.ConnectionToken == "" || second.ConnectionToken == second.ConnectionID {
			t.Fatalf("%+v", second)
		}
		conn, a, err := r.join(first, second)
		if err != nil {
			t.Fatalf("%v, %+v", err, a)
		}
		greets(t, conn)
	}
	if e, w := r.upstream("east").Sessions(), r.upstream("west").Sessions(); e+w != 10 {
		t.Errorf("%d and %d sessions", e, w)
	}
}

// TestSignalRNegotiationFailover: a negotiation goes past an upstream that does not
// answer, and a connection of a dead one is told to begin anew.
func TestSignalRNegotiationFailover(t *testing.T) {
	east, west := signalRService(t, "east", eastKey), signalRService(t, "west", westKey)
	r := serveRegions(t, azure.SignalR, func(r *Route) { r.Service.Open = true }, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	first := r.redirected()
	lost := r.connection(first)
	if err := east.Refuse(true); err != nil {
		t.Fatal(err)
	}
	if _, a, err := r.join(first, lost); err == nil || a == nil || a.StatusCode/100 == 2 {
		t.Errorf("a connection of the dead: %+v, %v", a, err)
	}
	second := r.connection(first)
	conn, _, err := r.join(first, second)
	if err != nil {
		t.Fatal(err)
	}
	greets(t, conn)
	if n := r.upstream("west").Sessions(); n != 1 {
		t.Errorf("west has %d sessions", n)
	}
	r.down("east")
	if _, a, err := r.join(first, lost); err == nil || a == nil || a.StatusCode != http.StatusNotFound {
		t.Errorf("a connection of the dead: %+v, %v", a, err)
	}
}

// TestSignalROwnServers: where applications host their servers, tokens and paths of
// theirs pass, and a connection stays where it was negotiated.
func TestSignalROwnServers(t *testing.T) {
	var members []member
	for _, name := range []string{"east", "west"} {
		s := newStub(t, func(c *stubConn) {
			if c.readHead() {
				if strings.HasPrefix(c.head, "POST /chathub/negotiate?negotiateVersion=1 ") {
					if !strings.Contains(c.head, "Authorization: Bearer theirs\r\n") {
						c.reply("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
						return
					}
					body := `{"negotiateVersion":1,"connectionId":"pub","connectionToken":"` + name + `"}`
					c.reply("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Theirs: kept\r\nETag: \"theirs\"\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
					return
				}
				if !strings.HasPrefix(c.head, "GET /chathub?id="+name+" ") {
					c.reply("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
					return
				}
				c.reply(good101)
				c.handOver()
				return
			}
		})
		members = append(members, member{name: name, address: s.address()})
	}
	r := serveRegions(t, azure.SignalR, func(r *Route) { r.Service.AccessKeys = nil }, members...)
	for range 8 {
		request, err := http.NewRequest(http.MethodPost, "http://"+r.address+"/chathub/negotiate?negotiateVersion=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer theirs")
		a := r.do(request)
		var got connection
		a.read(t, &got)
		// What speaks of the bytes of their answer is not true of ours.
		if a.header.Get("X-Theirs") != "kept" || a.header.Get("ETag") != "" || got.ConnectionID != "pub" {
			t.Errorf("%+v", a)
		}
		client := r.ask("GET /chathub?id=" + got.ConnectionToken + " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		client.upgraded()
	}
}
