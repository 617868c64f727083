//go:build linux && !portable

package proxy

import (
	"testing"
	"time"

	"github.com/pointsman/pointsman/pool"
)

// A client that is lost while its upstream is asked gives its place back at once, and
// nobody else is asked in its name; nothing is thought of the upstream. (A goroutine that
// waits for the upstream does not look at the client.)
func TestClientLostWhileUpstreamIsAsked(t *testing.T) {
	t.Parallel()
	asked, hungUp := make(chan bool, 1), make(chan bool, 1)
	east := newStub(t, func(c *stubConn) {
		c.readHead()
		asked <- true
		c.hold()
		hungUp <- true
	})
	west := newEchoer(t, "west")
	r := start(t, Options{Failover: Failover{HandshakeTimeout: time.Hour}},
		member{name: "east", address: east.address()}, member{name: "west", address: west.address(), role: pool.Secondary})
	c := r.ask(goodHead)
	<-asked
	c.reset()
	<-hungUp
	if !within(patience, func() bool { return r.Sessions() == 0 }) {
		t.Error("its place is not given back")
	}
	if n := west.conns.Load(); n != 0 {
		t.Errorf("another upstream was asked, too: %d times", n)
	}
	for _, u := range r.Upstreams() {
		if !u.Checker().Healthy() {
			t.Errorf("%s is believed to be down", u.Name())
		}
	}
}
