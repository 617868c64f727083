package proxy

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// Forwarded says which proxies before this one are believed about the client,
// and what the upstream is told about it.
type Forwarded struct {
	// Trusted are the networks of the proxies that are believed, when they
	// connect, about who connected to them; see [handshake.Request.Trace]. A header
	// of the PROXY protocol, which has a list of its own ([Listener.Proxies]),
	// comes first: what it names is who connects. Default none: anyone can be the
	// client, so what it says is dropped.
	Trusted []netip.Prefix
	// Style is which fields are believed and which the upstream gets. Default
	// X-Forwarded-For and its siblings.
	Style handshake.ForwardStyle
}

func (f *Forwarded) check() error {
	var errs []error
	for _, n := range f.Trusted {
		switch {
		case !n.IsValid():
			errs = append(errs, errors.New("trusted: a network is not valid"))
		case n.Addr().Is4In6():
			errs = append(errs, fmt.Errorf("trusted: network %v: write it as an IPv4 network", n))
		}
	}
	if f.Style > handshake.ForwardNone {
		errs = append(errs, fmt.Errorf("style %d is not known", f.Style))
	}
	return errors.Join(errs...)
}

// identify finds out who the client is, once its head is known: trusted proxies
// may stand between us.
func (c *clientConn) identify() {
	f := &c.world.options.Forwarded
	c.client = c.request.Trace(&c.trail, c.peer, f.Trusted, f.Style)
}

// forward is what the upstream is told about the client.
func (c *clientConn) forward() handshake.Forward {
	return handshake.Forward{
		Client: c.peer, Proto: c.proto(), Trail: &c.trail, Style: c.world.options.Forwarded.Style,
	}
}

// address returns the address of the client as far as it is known yet, or the
// invalid one.
func (c *clientConn) address() netip.Addr {
	if c.client.IsValid() {
		return c.client
	}
	return c.peer
}
