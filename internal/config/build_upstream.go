package config

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/certs"
	"github.com/pointsman/pointsman/pool"
)

// instance is an upstream that was built, and what it was built from.
type instance struct {
	*pool.Upstream
	settings Upstream
	pool     Pool
	checking checking
}

// upstream returns what stands for the same instance as u in the old world, or
// nil.
func (w *world) upstream(u Upstream) *instance {
	if w == nil {
		return nil
	}
	i := slices.IndexFunc(w.config.Upstreams, func(v Upstream) bool { return v.Name == u.Name && v.URL == u.URL })
	j := slices.IndexFunc(w.options.Upstreams, func(v *pool.Upstream) bool { return v.Name() == u.Name })
	if i < 0 || j < 0 {
		return nil
	}
	return &instance{w.options.Upstreams[j], w.config.Upstreams[i], w.config.Pool, w.config.checking()}
}

// checking is all that the health checkers are told, apart from what they check
// and how that is reached.
type checking struct {
	health                          Health
	handshake                       time.Duration
	hold, maxHold, flapWindow, ramp time.Duration
}

func (c *Config) checking() checking {
	b, h := c.Failback, c.Health
	h.OnDemand, h.MaxAge = false, 0 // who asks says so
	return checking{h, c.Failover.HandshakeTimeout, b.Hold, b.MaxHold, b.FlapWindow, b.Ramp}
}

// reach is how an upstream is reached: by its sessions, its REST calls and its
// probes.
type reach struct {
	location *url.URL
	tls      *tls.Config // nil for ws
	header   pool.ProxyHeader
	service  azure.ConnectionString // without a key if it is none
	rest     *tls.Config            // for where the service has its REST API, nil for http
}

// reach reads the files for TLS. What has not changed since old, which may be
// nil, is taken from there: its sessions can be resumed.
func (u *Upstream) reach(old *instance, logger *slog.Logger) (r reach, same bool, err error) {
	r.header = u.ProxyProtocol
	if r.location, err = url.Parse(u.URL); err != nil {
		return r, false, err
	}
	if u.ConnectionString != "" {
		if r.service, err = azure.ParseConnectionString(string(u.ConnectionString)); err != nil {
			return r, false, err
		}
	}
	if rest := r.service.ServerBase().Scheme() == "https"; rest || u.Secure() {
		both, err := certs.Client(u.dialing(logger))
		if err != nil {
			return r, false, err
		}
		if u.Secure() {
			r.tls = both
		}
		if rest {
			r.rest = both
		}
	}
	if old == nil || old.settings.TLS != u.TLS || old.settings.ProxyProtocol != u.ProxyProtocol {
		return r, false, nil
	}
	if before, _ := old.Connection(); before.ServerBase() != r.service.ServerBase() {
		return r, false, nil
	}
	// The places are the same, so TLS is done at the same ones.
	if !sameRoots(r.tls, old.TLS()) || !sameRoots(r.rest, old.ServiceTLS()) {
		return r, false, nil
	}
	r.tls, r.rest = old.TLS(), old.ServiceTLS()
	return r, true, nil
}

// sameRoots reports whether a trusts the authorities that b does, which is nil if
// a is.
func sameRoots(a, b *tls.Config) bool { return a == nil || a.RootCAs.Equal(b.RootCAs) }

// buildUpstream builds u, which takes the place of old if that is not nil.
func (c *Config) buildUpstream(u Upstream, old *instance, logger *slog.Logger) (*pool.Upstream, error) {
	way, same, err := u.reach(old, logger)
	if err != nil {
		return nil, err
	}
	role, err := pool.ParseRole(string(u.Role))
	if err != nil {
		return nil, err
	}
	o := pool.Options{
		Name: u.Name, URL: way.location, TLS: way.tls, Role: role, Weight: u.Weight,
		MaxSessions: u.MaxSessions, HandshakesPerSecond: u.HandshakesPerSecond,
		ProxyHeader: way.header, Connection: way.service, ServiceTLS: way.rest, Spares: c.Pool.Spares, SpareAge: c.Pool.SpareAge,
	}
	var replaces *health.Checker
	if old != nil {
		o.Replaces, replaces = old.Upstream, old.Checker()
		if same && old.checking == c.checking() {
			if old.settings == u && old.pool == c.Pool {
				return old.Upstream, nil
			}
			o.Checker = replaces
		}
	}
	if o.Checker == nil {
		o.Checker, err = c.checking().build(u.Name, way, replaces, logger)
		if err != nil {
			return nil, err
		}
	}
	return pool.NewUpstream(o)
}

// build makes a checker, which takes the place of old if that is not nil.
func (k checking) build(name string, way reach, old *health.Checker, logger *slog.Logger) (*health.Checker, error) {
	jitter := k.health.Jitter
	if jitter == 0 {
		jitter = -1
	}
	return health.New(name, health.Options{
		Probe:            way.probe(k.health),
		Interval:         k.health.Interval,
		Recheck:          k.health.Recheck,
		Timeout:          k.health.Timeout,
		HandshakeTimeout: k.handshake,
		Jitter:           jitter,
		Rise:             k.health.Rise,
		Fall:             k.health.Fall,
		InitialUp:        k.health.Initial == InitialUp,
		Hold:             k.hold,
		MaxHold:          k.maxHold,
		FlapWindow:       k.flapWindow,
		Ramp:             k.ramp,
		Replaces:         old,
		Logger:           logger,
	})
}

// probe speaks TLS as sessions do, and on its own behalf.
func (r reach) probe(h Health) health.Probe {
	preamble := r.header.Format(netip.AddrPort{}, netip.AddrPort{})
	if !r.service.Key.IsZero() && h.Probe != ProbeTCP {
		path := h.Path
		if h.Probe == ProbeWebSocket {
			path = Default().Health.Path // without a token it takes no WebSocket
		}
		base := r.service.ServerBase()
		return health.HTTPProbe(base.URL(), health.HTTPOptions{Path: base.Path() + path, TLS: r.rest, Preamble: preamble})
	}
	switch h.Probe {
	case ProbeTCP:
		port := r.location.Port()
		if port == "" {
			_, port, _ = readScheme(r.location.Scheme) // It was checked.
		}
		return health.TCPProbe(net.JoinHostPort(r.location.Hostname(), port))
	case ProbeWebSocket:
		path := h.Path
		if path == Default().Health.Path {
			path = "" // nothing speaks WebSocket there; the upstream's own path does
		}
		return health.WebSocketProbe(r.location, health.WebSocketOptions{Path: path, TLS: r.tls, Preamble: preamble})
	default:
		return health.HTTPProbe(r.location, health.HTTPOptions{Path: h.Path, TLS: r.tls, Preamble: preamble})
	}
}
