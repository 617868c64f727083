package proxy

import (
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
)

// back is the URL with which a client asks for its connection.
func (g *guest) back(first string) string {
	return first + "&awps_connection_id=" + g.id + "&awps_reconnection_token=" + g.token
}

// TestServiceRecovery: who has lost the socket, and not the upstream, gets the same
// connection again, wherever the router would send others.
func TestServiceRecovery(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary), west.member(t, pool.Primary))
	for range 8 { // one of them would go wrong by chance
		first := r.own("ann")
		g := r.enter(first, reliableProtocol)
		g.CloseNow()
		again := r.enter(g.back(first), reliableProtocol)
		if again.id != g.id {
			t.Fatalf("connection %s came back as %s", g.id, again.id)
		}
		again.CloseNow()
	}
}

// TestServiceRecoveryWithoutToken: the reconnection token is enough; the other may
// have expired.
func TestServiceRecoveryWithoutToken(t *testing.T) {
	east := webPubSub(t, "east", eastKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary))
	first := r.own("ann")
	g := r.enter(first, reliableProtocol)
	g.CloseNow()
	bare, _, _ := strings.Cut(first, "?")
	if again := r.enter(g.back(bare+"?x=1"), reliableProtocol); again.id != g.id {
		t.Errorf("connection %s came back as %s", g.id, again.id)
	}
	if _, a, err := r.connect(bare+"?awps_connection_id="+g.id, jsonProtocol); err == nil || a == nil || a.StatusCode != 401 {
		t.Errorf("with a protocol that knows no recovery: %v, %v", a, err)
	}
}

// TestServiceRecoveryOfTheDead: who has lost the upstream is let in and sent away
// with 1008, which makes it begin anew.
func TestServiceRecoveryOfTheDead(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	first := r.own("ann")
	g := r.enter(first, reliableProtocol)
	for _, how := range []struct {
		name string
		do   func()
	}{
		{"it refuses", func() { g.CloseNow(); _ = east.Refuse(true) }},
		{"it is down", func() { r.down("east") }},
		{"all are down", func() { r.down("west") }},
	} {
		t.Run(how.name, func(t *testing.T) {
			how.do()
			conn, _, err := r.connect(g.back(first), reliableProtocol)
			if err != nil {
				t.Fatal(err)
			}
			lost := &guest{Conn: conn, t: t}
			if conn.Subprotocol() != reliableProtocol || lost.closed() != websocket.StatusPolicyViolation {
				t.Errorf("subprotocol %q", conn.Subprotocol())
			}
			if n := r.upstream("west").Sessions(); n != 0 {
				t.Errorf("west has %d sessions", n)
			}
		})
	}
	if n := r.Refusals()["no_connection"]; n != 3 {
		t.Errorf("%d were counted", n)
	}
}

// TestServiceDrainCodes: a drain sends each client away in the way that it takes
// for an order to begin anew.
func TestServiceDrainCodes(t *testing.T) {
	east, west := webPubSub(t, "east", eastKey), webPubSub(t, "west", westKey)
	r := serveRegions(t, azure.WebPubSub, nil, east.member(t, pool.Primary), west.member(t, pool.Secondary))
	reliable, plain := r.enter(r.own("ann"), reliableProtocol), r.enter(r.own("bob"), jsonProtocol)
	if _, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 100}); err != nil {
		t.Fatal(err)
	}
	if code := reliable.closed(); code != websocket.StatusPolicyViolation {
		t.Errorf("reliable: %v", code)
	}
	if code := plain.closed(); code != websocket.StatusServiceRestart {
		t.Errorf("plain: %v", code)
	}
}

// TestServiceParting: a client of SignalR is told that it may come again before it
// is closed, by a drain and at the loss of its upstream; not in the middle of a
// message.
func TestServiceParting(t *testing.T) {
	const parting = `{"type":7,"allowReconnect":true}` + "\x1e"
	open := func(t *testing.T) (*rig, *peer, *peer) {
		s, other := newAccepter(t), newAccepter(t)
		east := member{name: "east", address: s.address()}.build(t)
		west := member{name: "west", address: other.address(), role: pool.Secondary}.build(t)
		o := Options{Relay: quickClose, Routes: []Route{{Set: set(t, east, west), Service: &Service{Kind: azure.SignalR}}}}
		o.Upstreams = []*pool.Upstream{east, west}
		r := start(t, o)
		client, upstream := r.open(s)
		return r, client, upstream
	}
	t.Run("drain", func(t *testing.T) {
		r, client, _ := open(t)
		if _, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 100}); err != nil {
			t.Fatal(err)
		}
		client.wants(0x81, parting)
		client.wantsClose(1012)
	})
	t.Run("loss", func(t *testing.T) {
		_, client, upstream := open(t)
		upstream.reset()
		client.wants(0x81, parting)
		client.wantsClose(1012)
	})
	t.Run("within a frame", func(t *testing.T) {
		r, client, upstream := open(t)
		upstream.send([]byte("\x81\x04he"))
		if _, err := client.in.Peek(4); err != nil { // the router has seen it
			t.Fatal(err)
		}
		if _, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 100}); err != nil {
			t.Fatal(err)
		}
		upstream.send([]byte("y!"))
		client.wants(0x81, "hey!")
		client.wants(0x81, parting)
		client.wantsClose(1012)
	})
	t.Run("within a message", func(t *testing.T) {
		r, client, upstream := open(t)
		upstream.send([]byte("\x01\x02he"))
		client.wants(0x01, "he")
		if _, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 100}); err != nil {
			t.Fatal(err)
		}
		client.wantsClose(1012)
	})
	t.Run("the upstream closes", func(t *testing.T) {
		_, client, upstream := open(t)
		upstream.send([]byte("\x88\x02\x03\xe8"))
		client.wantsClose(1000)
	})
}
