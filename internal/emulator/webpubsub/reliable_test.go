package webpubsub

import (
	"context"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
)

// recover makes the request that a reliable client makes after a loss.
func (r *rig) recover(id, token string) *peer {
	r.t.Helper()
	return r.recoverAt("chat", id, token)
}

func (r *rig) recoverAt(hub, id, token string) *peer {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	query := url.Values{recoverID: {id}, recoverToken: {token}}
	opts := &websocket.DialOptions{HTTPClient: r.client, Subprotocols: []string{subprotocolReliable}}
	conn, _, err := websocket.Dial(ctx, baseText+"/client/hubs/"+hub+"?"+query.Encode(), opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.CloseNow() })
	return &peer{t: r.t, conn: conn}
}

func (r *rig) refusesRecovery(id, token string) {
	r.t.Helper()
	r.recover(id, token).ends(websocket.StatusPolicyViolation, "cannot be recovered")
}

// say sends text to the group g through the REST API.
func (r *rig) say(text string) {
	r.t.Helper()
	r.does(202, "POST", "/api/hubs/chat/groups/g/:send", "text/plain", text)
}

func said(n int, text string) string {
	return `{"type":"message","from":"group","group":"g","dataType":"text","data":"` + text + `","sequenceId":` + itoa(n) + `}`
}

// TestRecovery: what was not acknowledged comes again, in order, and before what was sent meanwhile and later; groups,
// permissions and
// the sequence go on.
func TestRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{})
		p := r.dial(login{user: "ann", roles: everything, groups: []string{"g"}, subprotocol: subprotocolReliable})
		for _, text := range []string{"a", "b", "c"} {
			r.say(text)
		}
		p.gets(said(1, "a"), said(2, "b"), said(3, "c"))
		p.send(`{"type":"sequenceAck","sequenceId":2}`)
		p.quiet()
		p.conn.CloseNow()
		synctest.Wait()
		r.say("d")
		r.does(200, "HEAD", "/api/hubs/chat/connections/"+p.id)

		time.Sleep(recoveryWindow - time.Second)
		q := r.recover(p.id, p.token)
		q.connected("ann")
		if q.id != p.id {
			t.Fatalf("recovered as %q, was %q", q.id, p.id)
		}
		r.say("e")
		q.gets(said(3, "c"), said(4, "d"), said(5, "e"))
		q.send(`{"type":"sendToGroup","group":"g","data":1,"ackId":1}`)
		q.gets(`{"type":"message","from":"group","group":"g","fromUserId":"ann","dataType":"json","data":1,"sequenceId":6}`, `{"type":"ack","ackId":1,"success":true}`)

		// With the new token, once more; all that was not acknowledged is still there.
		time.Sleep(time.Hour)
		q.conn.CloseNow()
		synctest.Wait()
		q = r.recover(q.id, q.token)
		q.connected("ann")
		q.gets(said(3, "c"), said(4, "d"), said(5, "e"))
		q.send(`{"type":"sequenceAck","sequenceId":99}`)
		if f := q.read(); f["sequenceId"] != 6.0 {
			t.Fatalf("%v, want number 6", f)
		}
		q.quiet()
	})
}

// TestRecoveryRefused: the handshake is accepted and then closed with 1008.
func TestRecoveryRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{})
		p := r.dial(login{subprotocol: subprotocolReliable})
		other := r.dial(login{subprotocol: subprotocolReliable})
		plain := r.dial(login{subprotocol: subprotocolJSON})
		r.refusesRecovery("unknown", p.token)
		r.refusesRecovery(p.id, "forged")
		r.refusesRecovery(p.id, other.token)
		r.refusesRecovery(plain.id, r.service.reconnectionToken(plain.id))
		r.recoverAt("news", p.id, p.token).ends(websocket.StatusPolicyViolation, "cannot be recovered")
		p.quiet() // none of them has touched the connection

		// Too late.
		p.conn.CloseNow()
		synctest.Wait()
		time.Sleep(recoveryWindow - time.Nanosecond)
		synctest.Wait()
		r.does(200, "HEAD", "/api/hubs/chat/connections/"+p.id)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		r.does(404, "HEAD", "/api/hubs/chat/connections/"+p.id)
		r.refusesRecovery(p.id, p.token)

		// Closed in good order, by the client and by an app server.
		if err := other.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		r.refusesRecovery(other.id, other.token)
		third := r.dial(login{subprotocol: subprotocolReliable})
		r.does(204, "DELETE", "/api/hubs/chat/connections/"+third.id+"?reason=enough")
		third.gets(`{"type":"system","event":"disconnected","message":"enough"}`)
		third.ends(websocket.StatusNormalClosure, "enough")
		r.refusesRecovery(third.id, third.token)

		// Closed by an app server while it was lost.
		fourth := r.dial(login{subprotocol: subprotocolReliable})
		fourth.conn.CloseNow()
		synctest.Wait()
		r.does(204, "DELETE", "/api/hubs/chat/connections/"+fourth.id)
		r.refusesRecovery(fourth.id, fourth.token)
		if n := r.service.roster.Len(); n != 1 { // plain
			t.Errorf("%d connections, want 1", n)
		}
	})
}

// TestRecoveryReplaces: a recovery that comes while the old socket is still attached takes its place.
func TestRecoveryReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{})
		p := r.dial(login{groups: []string{"g"}, subprotocol: subprotocolReliable})
		q := r.recover(p.id, p.token)
		q.connected("")
		synctest.Wait()
		if _, _, err := p.conn.Read(t.Context()); err == nil || websocket.CloseStatus(err) != -1 {
			t.Errorf("old socket: %v, want a loss", err)
		}
		r.say("a")
		q.gets(said(1, "a"))
		time.Sleep(time.Hour)
		q.quiet()
	})
}

// TestReconnectionTokenExpires: a week is as long as it lives.
func TestReconnectionTokenExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{})
		p := r.dial(login{subprotocol: subprotocolReliable})
		time.Sleep(reconnectionLife)
		r.refusesRecovery(p.id, p.token)
		p.quiet()
	})
}

// TestUnackedOverflow: messages that are not acknowledged are kept up to the limit, then the connection is over.
func TestUnackedOverflow(t *testing.T) {
	for _, attached := range []bool{true, false} {
		r := start(t, Options{Limits: Limits{QueueFrames: 3}})
		p := r.dial(login{groups: []string{"g"}, subprotocol: subprotocolReliable})
		if !attached {
			p.conn.CloseNow()
		}
		for i := range 3 {
			r.say("a")
			if attached {
				p.gets(said(i+1, "a"))
			}
		}
		r.does(200, "HEAD", "/api/hubs/chat/connections/"+p.id)
		r.say("one too many")
		r.does(404, "HEAD", "/api/hubs/chat/connections/"+p.id)
		if attached {
			p.ends(websocket.StatusPolicyViolation, "slow")
		}
		r.refusesRecovery(p.id, p.token)
	}
}

// TestTTL: a message that waits longer than it lives is not delivered.
func TestTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Options{Limits: Limits{QueueFrames: 2}})
		p := r.dial(login{roles: everything, groups: []string{"g"}, subprotocol: subprotocolReliable})
		p.conn.CloseNow()
		synctest.Wait()
		r.does(202, "POST", "/api/hubs/chat/:send?messageTtlSeconds=5", "text/plain", "short")
		r.does(202, "POST", "/api/hubs/chat/users/nobody/:send?messageTtlSeconds=0", "text/plain", "nobody")
		r.say("long")
		time.Sleep(5 * time.Second)
		r.say("later") // there is room for it, for the first one is over
		p = r.recover(p.id, p.token)
		p.connected("")
		p.gets(said(2, "long"), said(3, "later"))
	})
}
