package proxy

import (
	"context"
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
	// its callbacks may follow certificates that change. A connection on which ALPN
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

// tlsHandshakes is how many handshakes of TLS may have gone past the client's hello
// within the last tlsHold on one listener. More wait, within the deadline of the head: they cost
// processor time, and a crowd of them shall not take it from the sessions.
const tlsHandshakes = 128

// tlsHold is how long a handshake counts as one of them: many times what its
// computing takes. After that it waits for the client, and somebody who opens
// handshakes and leaves them there must not keep the others out: with this, it
// would take 6,400 in a second. In a rush that the processors cannot follow some
// are computing still.
const tlsHold = 20 * time.Millisecond

// tlsDoor is what a gate needs for TLS.
type tlsDoor struct {
	config *tls.Config
	places chan struct{}
}

func newTLSDoor(config *tls.Config, http2 bool) *tlsDoor {
	d := &tlsDoor{places: make(chan struct{}, tlsHandshakes)}
	inner := config.GetConfigForClient
	d.config = config.Clone()
	d.config.NextProtos = protocols(config.NextProtos, http2)
	d.config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if err := d.enter(hello.Context()); err != nil {
			return nil, err
		}
		if inner != nil {
			return inner(hello)
		}
		return nil, nil
	}
	return d
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

// visitKey finds the visit of a handshake in its context.
type visitKey struct{}

// visit is one handshake of TLS.
type visit struct {
	inside atomic.Bool // it has a place
	hold   *time.Timer // gives it back; nil before there was one
}

// enter waits for a place.
func (d *tlsDoor) enter(ctx context.Context) error {
	v, _ := ctx.Value(visitKey{}).(*visit)
	if v == nil || v.hold != nil {
		return nil
	}
	select {
	case d.places <- struct{}{}:
		v.inside.Store(true)
		v.hold = time.AfterFunc(tlsHold, func() { d.leave(v) })
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave gives the place of a handshake back, once.
func (d *tlsDoor) leave(v *visit) {
	if v.inside.CompareAndSwap(true, false) {
		<-d.places
	}
}

// shakeHands does the handshake of TLS before the deadline.
func (d *tlsDoor) shakeHands(conn *tls.Conn, deadline time.Time) error {
	v := new(visit)
	ctx, stop := context.WithDeadline(context.WithValue(context.Background(), visitKey{}, v), deadline)
	defer stop()
	err := conn.HandshakeContext(ctx)
	if v.hold != nil {
		v.hold.Stop()
		d.leave(v)
	}
	return err
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
	err := c.gate.tls.shakeHands(conn, deadline)
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
