package proxy

//lint:file-ignore SA1019 the client that is to be used instead, net/http's, cannot be told to speak HTTP/2 alone.

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/fanout"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// read decodes a body.
func (o outcome) read(t testing.TB, into any) {
	t.Helper()
	if o.status != http.StatusOK {
		t.Fatalf("%d %s", o.status, o.body)
	}
	if err := json.Unmarshal([]byte(o.body), into); err != nil {
		t.Fatalf("%s: %v", o.body, err)
	}
}

// TestDeskNegotiation: clients are led to the router, or to the upstream that is
// up, and get in there.
func TestDeskNegotiation(t *testing.T) {
	for _, via := range []negotiate.Via{negotiate.ViaProxy, negotiate.ViaDirect} {
		t.Run(via.String(), func(t *testing.T) {
			east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
			r := serveRegions(t, azure.WebPubSub, func(r *Route) {
				r.Service.Negotiate.Via, r.Service.Open = via, true
				r.Service.Negotiate.Roles = []string{"webpubsub.sendToGroup"}
			}, east.member(t, pool.Primary), west.member(t, pool.Secondary))
			where := func() string {
				var got struct{ URL string }
				r.call("", "GET", "/negotiate?hub=chat&userId=ann", "", "").read(t, &got)
				r.enter(got.URL, jsonProtocol)
				u, err := url.Parse(got.URL)
				if err != nil {
					t.Fatal(err)
				}
				return u.Host
			}
			wanted := [2]string{r.address, r.address}
			if via == negotiate.ViaDirect {
				wanted = [2]string{east.Addr(), west.Addr()}
			}
			if at := where(); at != wanted[0] {
				t.Errorf("led to %s, want %s", at, wanted[0])
			}
			r.down("east")
			if at := where(); at != wanted[1] {
				t.Errorf("after the failover led to %s, want %s", at, wanted[1])
			}
			r.down("west")
			if a := r.call("", "GET", "/negotiate?hub=chat", "", ""); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
				t.Errorf("when all is down: %+v", a)
			}
		})
	}
}

// TestDeskDemandsTokens: what needs a token is not answered without a good one.
func TestDeskDemandsTokens(t *testing.T) {
	east := webPubSub(t, "east", eastKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary))
	for _, row := range [][2]string{
		{"GET", "/negotiate?hub=chat"}, {"GET", "/api/upstreams?hub=chat"},
		{"POST", "/api/hubs/chat/:generateToken?api-version=2024-01-01"}, {"POST", "/api/hubs/chat/:send?api-version=2024-01-01"},
	} {
		for name, key := range map[string]string{"no": "", "a forged": westKey} {
			if a := r.call(key, row[0], row[1], "text/plain", "x"); a.status != http.StatusUnauthorized {
				t.Errorf("%s with %s token: %d %s", row[1], name, a.status, a.body)
			}
		}
		if a := r.call(ownKey, row[0], row[1], "text/plain", "x"); a.status/100 != 2 {
			t.Errorf("%s: %d %s", row[1], a.status, a.body)
		}
	}
}

// TestDeskGeneratesTokens: a token that the REST API gives lets a client in.
func TestDeskGeneratesTokens(t *testing.T) {
	east := webPubSub(t, "east", eastKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary))
	var got struct{ Token string }
	r.call(ownKey, "POST", "/api/hubs/chat/:generateToken?api-version=2024-01-01&userId=ann&role=webpubsub.sendToGroup", "", "").read(t, &got)
	r.enter("ws://"+r.address+"/client/hubs/chat?access_token="+got.Token, jsonProtocol)
}

// TestDeskList: the list says what routing believes, and its URLs lead to their
// upstreams.
func TestDeskList(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	type listed struct {
		EndpointType, Name string
		Online             bool
		ConnectionInfo     struct{ URL string }
	}
	list := func() map[string]listed {
		var got struct{ Endpoints []listed }
		r.call(ownKey, "GET", "/api/upstreams?hub=chat", "", "").read(t, &got)
		all := make(map[string]listed)
		for _, e := range got.Endpoints {
			all[e.Name] = e
		}
		return all
	}
	all := list()
	if e, w := all["east"], all["west"]; !e.Online || !w.Online || e.EndpointType != "Primary" || w.EndpointType != "Secondary" {
		t.Errorf("got %+v", all)
	}
	r.enter(all["west"].ConnectionInfo.URL, jsonProtocol)
	if n := r.upstream("west").Sessions(); n != 1 {
		t.Errorf("west has %d sessions", n)
	}
	r.down("east")
	if all := list(); all["east"].Online || !all["west"].Online {
		t.Errorf("got %+v", all)
	}
}

// TestDeskHealth: 200 while one of them is up, without a token.
func TestDeskHealth(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	r.down("east")
	for _, method := range []string{"GET", "HEAD"} {
		if a := r.call("", method, "/api/health", "", ""); a.status != http.StatusOK || a.body != "" {
			t.Errorf("%s: %+v", method, a)
		}
	}
	if a := r.call("", "POST", "/api/health", "", ""); a.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %+v", a)
	}
	r.down("west")
	if a := r.call("", "HEAD", "/api/health", "", ""); a.status != http.StatusServiceUnavailable {
		t.Errorf("when all is down: %+v", a)
	}
}

// TestDeskBroadcast: one call reaches the clients of both regions once, whatever
// the frame of its body; and with a region down the rest, and says so.
func TestDeskBroadcast(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	guests := []*guest{
		r.enter(r.own("ann"), jsonProtocol), r.enter(r.clientURL(westKey, west.base(t), "bob"), jsonProtocol),
	}
	if e, w := r.upstream("east").Sessions(), r.upstream("west").Sessions(); e != 1 || w != 1 {
		t.Fatalf("%d and %d sessions", e, w)
	}
	const target = "/api/hubs/chat/:send?api-version=2024-01-01"
	for i, body := range []func(string) io.Reader{
		func(s string) io.Reader { return strings.NewReader(s) },
		func(s string) io.Reader { return io.MultiReader(strings.NewReader(s)) }, // in chunks
	} {
		said := fmt.Sprint("message ", i)
		request, err := http.NewRequest(http.MethodPost, "http://"+r.address+target, body(said))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "text/plain")
		request.Header.Set("Authorization", "Bearer "+mint(t, ownKey, "http://"+r.address+"/api/hubs/chat/:send", nil))
		if a := r.do(request); a.status != http.StatusAccepted || a.header.Get(fanout.PartialField) != "" {
			t.Fatalf("%+v", a)
		}
		for _, g := range guests {
			if f := g.next(); f["data"] != said {
				t.Errorf("got %v, want %s", f, said)
			}
		}
	}
	r.down("west")
	a := r.call(ownKey, "POST", target, "text/plain", "last")
	if a.status/100 != 2 || a.header.Get(fanout.PartialField) != "west" || !strings.Contains(a.body, "west") {
		t.Errorf("with west down: %+v", a)
	}
	if f := guests[0].next(); f["data"] != "last" {
		t.Errorf("got %v", f)
	}
	// It has got each once: nothing lies before the answer to this.
	for _, g := range guests {
		g.says(`{"type":"ping"}`)
		if f := g.next(); f["type"] != "pong" {
			t.Errorf("got %v", f)
		}
	}
}

// TestDeskTargets: a rule about groups, and a call that names its upstreams.
func TestDeskTargets(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, func(r *Route) {
		r.Policy = pool.Default(pool.Priority).GroupPrefix("east-", func(u *pool.Upstream) bool { return u.Name() == "east" })
	}, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	asked := func(target, endpoints string) string {
		t.Helper()
		request, err := http.NewRequest(http.MethodPost, "http://"+r.address+target+"?api-version=2024-01-01", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "text/plain")
		request.Header.Set("Authorization", "Bearer "+mint(t, ownKey, "http://"+r.address+target, nil))
		if endpoints != "" {
			request.Header.Set(EndpointsField, endpoints)
		}
		a := r.do(request)
		return fmt.Sprint(a.status, " ", a.header.Get(fanout.ResultField))
	}
	for _, row := range [][3]string{
		{"/api/hubs/chat/groups/east-1/:send", "", `202 {"east":202}`},
		{"/api/hubs/chat/groups/other/:send", "", `202 {"east":202,"west":202}`},
		{"/api/hubs/chat/groups/east-1/:send", "west", `202 {"west":202}`},
		{"/api/hubs/chat/:send", "east, west", `202 {"east":202,"west":202}`},
		{"/api/hubs/chat/:send", "nobody", "400 "},
	} {
		if got := asked(row[0], row[1]); got != row[2] {
			t.Errorf("%s for %q: %s, want %s", row[0], row[1], got, row[2])
		}
	}
}

// TestDeskKeepsConnections: several calls on one connection, and then a WebSocket;
// a body that is not read ends it.
func TestDeskKeepsConnections(t *testing.T) {
	east := webPubSub(t, "east", eastKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary))
	c := r.dial()
	token := mint(t, ownKey, "http://"+r.address+"/api/hubs/chat/:send", nil)
	send := "POST /api/hubs/chat/:send?api-version=2024-01-01 HTTP/1.1\r\nHost: " + r.address + "\r\nContent-Type: text/plain\r\n" +
		"Authorization: Bearer " + token + "\r\nContent-Length: 5\r\n\r\nhello"
	for range 3 {
		c.say(send)
		if a := c.answer(); a.StatusCode != http.StatusAccepted || a.Close {
			t.Fatalf("%+v", a)
		}
	}
	c.say("HEAD /api/health HTTP/1.1\r\nHost: " + r.address + "\r\n\r\n")
	if a, err := c.readAnswer(http.MethodHead); err != nil || a.StatusCode != http.StatusOK || a.Close {
		t.Fatalf("%+v, %v", a, err)
	}
	own := strings.TrimPrefix(r.own("ann"), "ws://"+r.address)
	c.say("GET " + own + " HTTP/1.1\r\nHost: " + r.address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	c.upgraded()

	d := r.dial()
	d.say(strings.Replace(send, token, "x", 1))
	if a := d.answer(); a.StatusCode != http.StatusUnauthorized || !a.Close {
		t.Errorf("%+v", a)
	}
	d.eof()
}

// TestDeskContinue: a client that waits before it sends the body is told to.
func TestDeskContinue(t *testing.T) {
	east := webPubSub(t, "east", eastKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary))
	c := r.dial()
	c.say("POST /api/hubs/chat/:send?api-version=2024-01-01 HTTP/1.1\r\nHost: " + r.address + "\r\nContent-Type: text/plain\r\n" +
		"Authorization: Bearer " + mint(t, ownKey, "http://"+r.address+"/api/hubs/chat/:send", nil) +
		"\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if line, err := c.in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if line, err := c.in.ReadString('\n'); err != nil || line != "\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	c.say("hello")
	if a := c.answer(); a.StatusCode != http.StatusAccepted {
		t.Errorf("%+v", a)
	}
}

// TestDeskHTTP2: a message in a stream of HTTP/2, whose length nobody tells,
// arrives whole.
func TestDeskHTTP2(t *testing.T) {
	east := webPubSub(t, "east", eastKey)
	certificate, roots := testCertificate(t)
	r := prepareRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary))
	r.tls, r.http2 = &tls.Config{Certificates: []tls.Certificate{certificate}}, true
	r.begin()
	g := r.enter(east.own(t), jsonProtocol)
	client := newStreamClient(t, r.address, roots)
	const here = "https://localhost"
	request, err := http.NewRequest(http.MethodPost, here+"/api/hubs/chat/:send?api-version=2024-01-01", io.MultiReader(strings.NewReader("hello")))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "text/plain")
	request.Header.Set("Authorization", "Bearer "+mint(t, ownKey, here+"/api/hubs/chat/:send", nil))
	a, err := client.transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if a.ProtoMajor != 2 || a.StatusCode != http.StatusAccepted {
		t.Errorf("%s %s", a.Proto, a.Status)
	}
	if f := g.next(); f["data"] != "hello" {
		t.Errorf("got %v", f)
	}
}
