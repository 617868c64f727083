package proxy

import (
	"testing"

	"github.com/pointsman/pointsman/proxy/relay"
)

// TestRates: a client that sends too much is slowed down or closed, as is
// configured, also where the router learns it while the session is open. The end
// and the totals tell it, and the upstream is not to blame.
func TestRates(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	m := member{address: s.address()}
	r := start(t, Options{Relay: relay.Options{Rate: relay.Rate{Messages: 20, MessageBurst: 4}}}, m)
	c, u := r.open(s)
	for range 3 {
		c.send(masked(textFrame, "one"), masked(pingFrame, "two"), masked(textFrame, "three"))
	}
	for range 3 {
		u.wants(textFrame, "one")
		u.wants(pingFrame, "two")
		u.wants(textFrame, "three")
	}
	c.Close()
	u.gone()
	u.Close()
	r.wantEnd("client lost")
	if n := r.Totals().Slowed; n != 1 {
		t.Errorf("%d sessions were slowed down", n)
	}

	strict := relay.Rate{Messages: 1, MessageBurst: 2, Close: true}
	r.relay.Configure(relay.Options{Rate: strict})
	c, u = r.open(s)
	c.send(masked(textFrame, "one"), masked(textFrame, "two"), masked(textFrame, "three"))
	u.wants(textFrame, "one")
	u.wants(textFrame, "two")
	u.wantsClose(1008)
	u.send(plain(textFrame, "in flight"), plain(closeFrame, status(1008, "")))
	c.wants(textFrame, "in flight")
	c.wantsClose(1008)
	u.eof()
	u.Close()
	c.gone()
	c.Close()
	r.wantEnd("rate exceeded")
	if n := r.upstream("east").Totals().Lost; n != 0 {
		t.Errorf("%d sessions count as lost by the upstream", n)
	}
}
