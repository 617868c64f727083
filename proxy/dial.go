package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/certtext"
	"github.com/pointsman/pointsman/proxy/relay"
)

// dial opens a connection to t that is ready for a handshake: TLS is done. The
// first bytes go before everything else. What fails names operation, address and
// cause.
func (p *Proxy) dial(t *target, beside net.Conn, first []byte, limits *Failover, deadline time.Time) (net.Conn, error) {
	conn, err := p.connectTo(t, beside, limits, deadline)
	if err != nil {
		return nil, err
	}
	ready, err := p.begin(t, conn, first, deadline)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ready, nil
}

// connectTo connects to the first address of t that answers, beside the
// connection of a client, if there is one. The time is shared out, so that one dead
// address does not use it all up.
func (p *Proxy) connectTo(t *target, beside net.Conn, limits *Failover, deadline time.Time) (net.Conn, error) {
	if by := time.Now().Add(limits.ConnectTimeout); by.Before(deadline) {
		deadline = by
	}
	list, err := t.addresses.get(p.cut, deadline)
	if err != nil {
		return nil, err
	}
	var failed error
	for i, address := range list {
		share := time.Until(deadline) / time.Duration(len(list)-i)
		conn, err := p.relay.Dial(beside, address, time.Now().Add(share))
		if err == nil {
			return conn, nil
		}
		if failed = err; local(err) {
			break
		}
	}
	return nil, failed
}

// begin does what comes before the handshake on a new connection: the first
// bytes, and TLS if the upstream wants it.
func (p *Proxy) begin(t *target, conn net.Conn, first []byte, deadline time.Time) (net.Conn, error) {
	if len(first) == 0 && t.tls == nil {
		return conn, nil
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if len(first) > 0 {
		if _, err := conn.Write(first); err != nil {
			return nil, fmt.Errorf("PROXY header to %s: %w", t.name, err)
		}
	}
	if t.tls == nil {
		return conn, nil
	}
	secured := relay.Client(conn, t.tls)
	switch err := p.places.ClientHandshake(secured, deadline); {
	case errors.Is(err, relay.ErrNoPlace):
		return nil, fmt.Errorf("tls handshake with %s: %w: %w", t.name, err, health.ErrLocal)
	case err != nil:
		return nil, certtext.Explain(t.name, err)
	}
	return secured, nil
}

// cut closes a connection to an upstream without the good-bye of TLS, which might
// have to wait.
func cut(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	conn.Close()
}
