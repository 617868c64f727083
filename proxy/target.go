package proxy

import (
	"crypto/tls"
	"fmt"
	"net"
	"strconv"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/handshake"
)

// target is how to reach an upstream, worked out once.
type target struct {
	of        *pool.Upstream
	name      string // host:port, for messages
	addresses *addresses
	upstream  handshake.Upstream
	admission *admission
	tls       *tls.Config // nil for ws
	header    pool.ProxyHeader
	spares    *keeper // nil without spare connections
}

func newTarget(u *pool.Upstream) (*target, error) {
	location := u.URL()
	port := uint16(80)
	if u.TLS() != nil {
		port = 443
	}
	if location.Port() != "" {
		n, err := strconv.ParseUint(location.Port(), 10, 16)
		if err != nil {
			return nil, fmt.Errorf("upstream %q: port %q: expected 1 to 65535", u.Name(), location.Port())
		}
		port = uint16(n)
	}
	return &target{
		of:        u,
		name:      net.JoinHostPort(location.Hostname(), strconv.Itoa(int(port))),
		addresses: newAddresses(location.Hostname(), port),
		upstream:  handshake.Upstream{Host: location.Host, Prefix: location.EscapedPath()},
		admission: new(admission),
		tls:       u.TLS(),
		header:    u.ProxyHeader(),
	}, nil
}

// inherit takes over what the target of the same upstream has learned in the
// world before.
func (t *target) inherit(before *target) {
	t.addresses, t.admission = before.addresses, before.admission
}
