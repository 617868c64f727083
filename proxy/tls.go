package proxy

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// Listener is a listener for [Proxy.Run] with more to say than where it listens.
type Listener struct {
	net.Listener
	// TLS says how clients speak TLS; nil means that they do not. It is copied;
	// its callbacks may follow certificates that change, and should not wait for
	// anything: they hold one of a few places. A connection on which ALPN
	// has chosen another protocol than http/1.1 and h2 is closed after the
	// handshake: that was all that its client wanted (RFC 8737).
	TLS *tls.Config
	// HTTP2 offers HTTP/2 (RFC 9113) to clients with TLS, beside HTTP/1.1, by ALPN.
	// Each of its streams can carry a WebSocket (RFC 8441). A configuration that
	// GetConfigForClient of TLS returns has to name h2 in its NextProtos itself.
	HTTP2 bool
	// Proxies are the networks of proxies before this one that send a header of
	// the PROXY protocol, version 1 or 2, on each connection. From there it is
	// demanded, from elsewhere it is not known.
	Proxies []netip.Prefix
	// Challenge returns what a directory of ACME wants to read at a path of a host
	// (RFC 8555 §8.3), if it is the path of a challenge that is under way. Nil for
	// none.
	Challenge func(host, path string) (body []byte, ok bool)

	live atomic.Pointer[[]netip.Prefix] // Proxies, when it runs
}

// SetProxies puts other networks in the place of Proxies, for connections that are
// accepted from now on. It may be called at any time.
func (l *Listener) SetProxies(networks []netip.Prefix) {
	networks = slices.Clone(networks)
	l.live.Store(&networks)
}

// begin makes Proxies the networks, unless others have been set.
func (l *Listener) begin() {
	networks := slices.Clone(l.Proxies)
	l.live.CompareAndSwap(nil, &networks)
}

// networks are the present ones.
func (l *Listener) networks() []netip.Prefix { return *l.live.Load() }

// forClients is how clients speak TLS at l.
func (l *Listener) forClients() *tls.Config {
	config := l.TLS.Clone()
	config.NextProtos = protocols(config.NextProtos, l.HTTP2)
	return config
}

// protocols are those that are offered by ALPN: what was asked for, and HTTP/2 in
// front of it or not at all. Who offers that has to offer HTTP/1.1, too.
func protocols(asked []string, http2 bool) []string {
	list := slices.DeleteFunc(slices.Clone(asked), func(p string) bool { return p == http2Protocol })
	if !http2 {
		return list
	}
	if !slices.Contains(list, "http/1.1") {
		list = append(list, "http/1.1")
	}
	return append([]string{http2Protocol}, list...)
}

// welcome does what comes before the head: the header of a proxy before us, and
// the handshake of TLS. Who speaks HTTP without TLS is left without it, for the
// answer, and the error is errNoTLS.
func (c *clientConn) welcome(deadline time.Time) error {
	if _, ok := c.Conn.(*carried); ok {
		return nil // its connection has been welcomed
	}
	if err := c.readProxied(); err != nil {
		return err
	}
	conn, ok := c.Conn.(*tls.Conn)
	if !ok {
		return nil
	}
	err := c.proxy.places.ServerHandshake(conn, deadline)
	var other tls.RecordHeaderError
	if errors.As(err, &other) && other.Conn != nil && isHTTP(other.RecordHeader) {
		c.Conn, c.below = c.below, nil
		return errNoTLS
	}
	if err == nil && !spoken(conn.ConnectionState().NegotiatedProtocol) {
		return errNotSpoken
	}
	return err
}

var errNotSpoken = errors.New("the client wanted another protocol than HTTP")

// spoken reports whether a protocol that ALPN has chosen is spoken here.
func spoken(protocol string) bool {
	return protocol == "" || protocol == "http/1.1" || protocol == http2Protocol
}

// fromProxy reports whether a connection from there is one of a proxy that says so.
func (g *gate) fromProxy(peer netip.Addr) bool {
	return g.proxies != nil && slices.ContainsFunc(g.proxies(), func(n netip.Prefix) bool { return n.Contains(peer) })
}

// readProxied reads the header of a proxy before us, if the client is one.
func (c *clientConn) readProxied() error {
	if !c.announces {
		return nil
	}
	conn := c.Conn
	if c.below != nil {
		conn = c.below
	}
	header, err := readProxyHeader(conn)
	if err != nil {
		return err
	}
	if c.proxied = header; header.client.IsValid() {
		c.peer = header.client.Addr()
	}
	return nil
}

// isHTTP reports whether the first bytes that came in place of a TLS record are
// those of an HTTP request.
func isHTTP(first [5]byte) bool {
	for _, b := range first[:3] {
		if b < 'A' || b > 'Z' {
			return false
		}
	}
	return true
}

// proto is the scheme that the client used, for the upstream.
func (c *clientConn) proto() string {
	if c.gate.tls != nil {
		return "https"
	}
	return "http"
}
