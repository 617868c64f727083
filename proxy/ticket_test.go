package proxy

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
)

// TestServiceFailover: a client with a token of the route finds the primary, and
// when that is not there the secondary, each with a token that it takes.
func TestServiceFailover(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	first := r.enter(r.own("ann"), jsonProtocol)
	if n := r.upstream("east").Sessions(); n != 1 {
		t.Fatalf("east has %d sessions", n)
	}
	if err := east.Refuse(false); err != nil {
		t.Fatal(err)
	}
	second := r.enter(r.own("bob"), jsonProtocol) // east is believed to be up, and refuses
	if n := r.upstream("west").Sessions(); n != 1 {
		t.Fatalf("west has %d sessions", n)
	}
	if r.Totals().Failovers == 0 {
		t.Error("no failover was counted")
	}
	for _, g := range []*guest{first, second} {
		g.says(`{"type":"joinGroup","group":"g","ackId":1}`)
		if ack := g.next(); ack["success"] != true {
			t.Errorf("ack %v", ack)
		}
	}
}

// TestServiceTokens: who has no good token gets 401, and no upstream hears of it.
func TestServiceTokens(t *testing.T) {
	s := newAccepter(t)
	c, err := azure.ParseConnectionString("Endpoint=http://" + s.address() + ";AccessKey=" + eastKey)
	if err != nil {
		t.Fatal(err)
	}
	r := serveRegions(t, azure.WebPubSub, func(r *Route) { r.Service.Hubs = []string{"chat"} },
		member{name: "east", address: s.address(), service: c})
	here := "http://" + r.address
	good := mint(t, ownKey, here+"/client/hubs/chat", nil)
	expired := mint(t, ownKey, here+"/client/hubs/chat", func(c *azure.Claims) {
		old := azure.NewClaims("x", time.Now().Add(-2*time.Hour), time.Hour)
		_ = c.UnmarshalJSON(marshal(t, old))
		c.SetString(azure.ClaimAudience, here+"/client/hubs/chat")
	})
	for _, row := range []struct {
		name, path, token, field string
		status                   int
		code                     string
	}{
		{"none", "/client/hubs/chat", "", "", 401, "unauthorized"},
		{"forged", "/client/hubs/chat", mint(t, westKey, here+"/client/hubs/chat", nil), "", 401, "unauthorized"},
		{"expired", "/client/hubs/chat", expired, "", 401, "unauthorized"},
		{"for another hub", "/client/hubs/chat", mint(t, ownKey, here+"/client/hubs/other", nil), "", 401, "unauthorized"},
		{"for another place", "/client/hubs/chat", mint(t, ownKey, "http://x.example/client/hubs/chat", nil), "", 401, "unauthorized"},
		{"key of an upstream for our place", "/client/hubs/chat", mint(t, eastKey, here+"/client/hubs/chat", nil), "", 401, "unauthorized"},
		{"no algorithm", "/client/hubs/chat", "eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".", "", 401, "unauthorized"},
		{"two that differ", "/client/hubs/chat", good, "Bearer " + expired, 401, "unauthorized"},
		{"too long", "/client/hubs/chat", "", "Bearer " + strings.Repeat("a", azure.MaxToken+1), 431, "token_too_long"},
		{"a hub that is not served", "/client/hubs/other", good, "", 400, "bad_hub"},
		{"no hub", "/client/", good, "", 400, "bad_hub"},
		{"two hubs", "/client/?hub=chat&hub=chat", good, "", 400, "bad_hub"},
		{"no path of clients", "/elsewhere", good, "", 404, "no_route"},
		{"a recovery with a forged one", "/client/hubs/chat?awps_connection_id=x", mint(t, westKey, here+"/client/hubs/chat", nil), "", 401, "unauthorized"},
	} {
		t.Run(row.name, func(t *testing.T) {
			join := "?"
			if strings.Contains(row.path, "?") {
				join = "&"
			}
			head := "GET " + row.path
			if row.token != "" {
				head += join + "access_token=" + row.token
			}
			head += " HTTP/1.1\r\nHost: " + r.address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + reliableProtocol + "\r\n"
			if row.field != "" {
				head += "Authorization: " + row.field + "\r\n"
			}
			a := r.ask(head + "\r\n").answer()
			if a.StatusCode != row.status || !strings.Contains(a.body, `"code":"`+row.code+`"`) {
				t.Errorf("got %d %s", a.StatusCode, a.body)
			}
			if row.status == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("no challenge")
			}
			if row.token != "" && strings.Contains(a.body, row.token) {
				t.Error("the token is repeated")
			}
		})
	}
	if n := s.conns.Load(); n != 0 {
		t.Errorf("the upstream was asked %d times", n)
	}
}

func marshal(t testing.TB, c *azure.Claims) []byte {
	t.Helper()
	b, err := c.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestServiceMintsAnew: the upstream gets the client's claims, signed by its own
// key for its own place, where the client had its token.
func TestServiceMintsAnew(t *testing.T) {
	for _, inField := range []bool{false, true} {
		t.Run(fmt.Sprint("field ", inField), func(t *testing.T) {
			heads := make(chan string, 1)
			s := newStub(t, func(c *stubConn) {
				if c.accept() {
					heads <- c.head
					c.handOver()
				}
			})
			c, err := azure.ParseConnectionString("Endpoint=http://" + s.address() + ";AccessKey=" + eastKey)
			if err != nil {
				t.Fatal(err)
			}
			r := serveRegions(t, azure.WebPubSub, func(r *Route) { r.Path = "/pubsub/" }, member{name: "east", address: s.address(), service: c})
			token := mint(t, ownKey, "http://"+r.address+"/pubsub/client/hubs/chat", func(c *azure.Claims) {
				c.SetUser(azure.WebPubSub, "ann")
				c.SetString("mine", "kept")
			})
			target, fields := "/pubsub/client/hubs/chat?a=%20&access_token="+token+"&b", ""
			if inField {
				target, fields = "/pubsub/client/hubs/chat?a=%20&b", "Authorization: Bearer "+token+"\r\n"
			}
			client := r.ask("GET " + target + " HTTP/1.1\r\nHost: " + r.address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
				"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + fields + "\r\n")
			client.upgraded()
			seen, err := http.ReadRequest(bufio.NewReader(strings.NewReader(<-heads)))
			if err != nil {
				t.Fatal(err)
			}
			at, upstream := mustBase(t, "http://"+s.address()), ""
			if inField {
				_, upstream, _ = strings.Cut(seen.Header.Get("Authorization"), " ")
				if seen.RequestURI != "/client/hubs/chat?a=%20&b" {
					t.Errorf("target %s", seen.RequestURI)
				}
			} else {
				upstream = seen.URL.Query().Get("access_token")
				if seen.RequestURI != "/client/hubs/chat?a=%20&access_token="+upstream+"&b" {
					t.Errorf("target %s", seen.RequestURI)
				}
			}
			v, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{{Name: "x", Keys: []azure.Key{accessKey(t, eastKey)}, Bases: []azure.Base{at}}}})
			if err != nil {
				t.Fatal(err)
			}
			hub, err := azure.ClientResource(azure.WebPubSub, "chat")
			if err != nil {
				t.Fatal(err)
			}
			got, err := v.Verify(upstream, azure.Base{}, hub)
			if err != nil {
				t.Fatal(err)
			}
			if c := got.Claims(); c.String("sub") != "ann" || c.String("mine") != "kept" {
				t.Errorf("claims %v", c.Names())
			}
		})
	}
}

// TestServiceTokenOfUpstream: a token that an upstream's key has signed leads
// there, also past a primary, and elsewhere when it is down.
func TestServiceTokenOfUpstream(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	r.enter(r.clientURL(westKey, west.base(t), "ann"), jsonProtocol)
	if n := r.upstream("west").Sessions(); n != 1 {
		t.Fatalf("west has %d sessions", n)
	}
	r.down("west")
	r.enter(r.clientURL(westKey, west.base(t), "bob"), jsonProtocol)
	if n := r.upstream("east").Sessions(); n != 1 {
		t.Errorf("east has %d sessions", n)
	}
}

// TestServiceExpiry: with CloseAtExpiry a session ends with its token, and one
// whose token lives on does not.
func TestServiceExpiry(t *testing.T) {
	east := webPubSub(t, "east", eastKey)
	r := serveRegions(t, azure.WebPubSub, func(r *Route) { r.Service.CloseAtExpiry = true }, east.member(t, pool.Primary))
	long := r.enter(r.own("ann"), jsonProtocol)
	audience := "http://" + r.address + "/client/hubs/chat"
	token, err := azure.Mint(accessKey(t, ownKey), azure.NewClaims(audience, time.Now(), 2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	short := r.enter("ws://"+r.address+"/client/hubs/chat?access_token="+token, jsonProtocol)
	if code := short.closed(); code != websocket.StatusPolicyViolation {
		t.Errorf("closed with %v", code)
	}
	long.says(`{"type":"ping"}`)
	if pong := long.next(); pong["type"] != "pong" {
		t.Errorf("got %v", pong)
	}
	long.CloseNow()
}

// TestServiceRequiredParameter: a router that goes by a parameter wants to see it.
func TestServiceRequiredParameter(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, func(r *Route) {
		byName, err := pool.NewSet(pool.Query("endpoint", pool.Priority), r.Set.Upstreams())
		if err != nil {
			t.Fatal(err)
		}
		r.Set, r.RequireQuery, r.Service.Open = byName, "endpoint", true
	}, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	if _, a, err := r.connect(r.own("ann"), jsonProtocol); err == nil || a == nil || a.StatusCode != http.StatusBadRequest {
		t.Errorf("without it: %v, %v", a, err)
	}
	r.enter(r.own("ann")+"&endpoint=west", jsonProtocol)
	if n := r.upstream("west").Sessions(); n != 1 {
		t.Errorf("west has %d sessions", n)
	}
	if a := r.call("", "GET", "/negotiate?hub=chat", "", ""); a.status != 400 || a.body != "Invalid request" {
		t.Errorf("negotiation without it: %+v", a)
	}
	if a := r.call("", "GET", "/negotiate?hub=chat&endpoint=nobody", "", ""); a.status != 200 {
		t.Errorf("negotiation with an unknown one: %+v", a)
	}

	own := newHubServer(t, "own")
	hub := serveRegions(t, azure.SignalR, func(r *Route) {
		r.Service.AccessKeys, r.RequireQuery = nil, "endpoint"
	}, member{name: own.name, address: own.address()})
	if a := hub.call("", "POST", "/chathub/negotiate", "", ""); a.status != 400 || a.body != "Invalid request" || len(own.took()) != 0 {
		t.Errorf("negotiation with a server of one's own, without it: %+v", a)
	}
	if a := hub.call("", "POST", "/chathub/negotiate?endpoint=own", "", ""); a.status != 200 || len(own.took()) != 1 {
		t.Errorf("negotiation with a server of one's own: %+v", a)
	}
}
