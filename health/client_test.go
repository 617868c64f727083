package health

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestByClient(t *testing.T) {
	one := netip.MustParseAddr("192.0.2.1")
	bubble("one client cannot take an upstream out", t, func(t *testing.T) {
		r := start(t, nil, Options{Fall: 2})
		for range 20 {
			r.handshake(ByClient(one, errDown))
			r.Lost(ByClient(one, errDown))
			r.handshake(ByClient(netip.MustParseAddr("::ffff:192.0.2.1"), errDown))
		}
		r.want(Closed, true)
		r.handshake(errDown) // whoever it was, it was not that client
		r.want(Open, false)
	})
	bubble("several can", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		for _, client := range []string{"192.0.2.1", "2001:db8:0:1::1", "2001:db8:0:2::1"} {
			r.want(Closed, true)
			r.handshake(fmt.Errorf("handshake: %w", ByClient(netip.MustParseAddr(client), errDown)))
		}
		r.want(Open, false)
	})
	bubble("a network of IPv6 is one, and so are those without an address", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		for _, client := range []string{"2001:db8:0:1::1", "2001:db8:0:1::2", "2001:db8:0:1:8000::%eth0"} {
			r.handshake(ByClient(netip.MustParseAddr(client), errDown))
			r.Lost(ByClient(netip.Addr{}, errDown))
		}
		r.want(Closed, true)
	})
	bubble("a good handshake ends the streak, and its clients are forgotten", t, func(t *testing.T) {
		r := start(t, nil, Options{Fall: 2})
		r.handshake(ByClient(one, errDown))
		r.handshake(nil)
		r.handshake(ByClient(one, errDown))
		r.want(Closed, true)
		r.handshake(errDown)
		r.want(Open, false)
	})
	bubble("so does time", t, func(t *testing.T) {
		r := start(t, nil, Options{Fall: 2})
		r.Lost(ByClient(one, errDown))
		r.pass(61 * time.Second)
		r.Lost(ByClient(one, errDown))
		r.Lost(errDown)
		r.want(Open, false)
	})
	bubble("a client and a probe that agree are enough", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.say(errDown)
		r.handshake(ByClient(one, errDown))
		r.pass(time.Second)
		r.want(Open, false)
	})
	if err := ByClient(one, nil); err != nil {
		t.Errorf("nil became %v", err)
	}
	if err := ByClient(one, errDown); !errors.Is(err, errDown) || err.Error() != errDown.Error() || !IsLocal(ByClient(one, ErrLocal)) {
		t.Errorf("marked: %v", err)
	}
}
