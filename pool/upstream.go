package pool

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/internal/azure"
)

// Options describes an [Upstream].
type Options struct {
	// Name identifies the upstream in logs, status and metrics; unique in a set. Required.
	Name string
	// URL is where its WebSockets are: ws or wss, with a host; a path is a prefix. Required; it is copied.
	URL *url.URL
	// TLS says how TLS is done with a wss URL; it is copied, its session cache is shared. ServerName defaults to the URL's host, and
	// http/1.1 is offered unless NextProtos says otherwise. Nil means TLS 1.2 or later and the system's roots. It is an error
	// with ws.
	TLS *tls.Config
	// Role is Primary unless set.
	Role Role
	// Weight is the upstream's share of new sessions beside others of its role. Zero means 1.
	Weight int
	// MaxSessions limits the sessions held at once. Zero means no limit.
	MaxSessions int
	// HandshakesPerSecond limits how many handshakes the upstream is asked for in a second. Zero means no limit. This package only carries
	// it: whoever makes the handshakes keeps to it.
	HandshakesPerSecond int
	// ProxyHeader says whether connections begin with a header of the PROXY protocol that names the client. This package only
	// carries it: whoever connects sends it ([ProxyHeader.Format]), and probes do, too.
	ProxyHeader ProxyHeader
	// Spares is how many idle connections to the upstream wait for the next handshakes: see [Spares]. Zero means none. It is an
	// error with a ProxyHeader.
	Spares int
	// SpareAge is how long such a connection may wait. Zero means [DefaultSpareAge].
	SpareAge time.Duration
	// Checker says whether the upstream is healthy. Required. The caller runs it.
	Checker *health.Checker
	// Connection is how the upstream is reached as an instance of Azure SignalR Service or Azure Web PubSub: its key, what its tokens
	// are for, and where its REST API is. Its zero value, without a key, means that it is none. This package only carries it.
	Connection azure.ConnectionString
	// ServiceTLS says how TLS is done with the REST API of Connection if that is at an https URL, which need not be where the
	// WebSockets are; it is copied, its session cache is shared. ServerName defaults to that URL's host, and http/1.1 is offered unless
	// NextProtos says otherwise. Nil means TLS 1.2 or later and the system's roots, whatever TLS says. It is an error without such a
	// URL. The Checker has to be given the same settings if its probes go there.
	ServiceTLS *tls.Config
	// Replaces is the upstream whose place this one takes, after a reload with other settings. It must have the same name and URL. The two
	// share from then on what belongs to the instance itself: leases, totals, and whether it is disabled. So a
	// lease on the old one is counted here, and may exceed a lower limit until it is released.
	Replaces *Upstream
}

// Upstream is one service instance and the sessions that we hold with it. Make one with [NewUpstream]. All methods may be
// called concurrently.
type Upstream struct {
	name    string
	url     *url.URL
	role    Role
	weight  int
	max     int64
	rate    int
	header  ProxyHeader
	spares  int
	age     time.Duration
	checker *health.Checker
	tls     *tls.Config
	service azure.ConnectionString
	rest    *tls.Config

	*tally
}

// tally is what an upstream shares with the one that it replaces. It belongs to the instance behind the URL, and not to the settings.
type tally struct {
	held     atomic.Int64           // leases out; see acquire
	disabled atomic.Pointer[string] // why, nil while it is not

	sessions          atomic.Uint64
	handshakeFailures atomic.Uint64
	lost              atomic.Uint64
	openings          openings

	sparesReady  atomic.Int64
	sparesUsed   atomic.Uint64
	sparesWasted atomic.Uint64
}

// Totals counts what has happened with an upstream since it, or the first that it replaces, was made.
type Totals struct {
	Sessions          uint64 // sessions opened
	HandshakeFailures uint64 // handshakes that ended without a session and were not the client's fault
	Lost              uint64 // sessions that ended abnormally on the upstream's side
	SparesUsed        uint64 // spare connections that carried a handshake
	SparesWasted      uint64 // spare connections that were opened for nothing
}

// NewUpstream makes an upstream. It reports all mistakes in o together, and starts nothing.
func NewUpstream(o Options) (*Upstream, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Name == "" {
		bad("name is missing")
	}
	switch {
	case o.URL == nil:
		bad("url is missing")
	case o.URL.Scheme != "ws" && o.URL.Scheme != "wss":
		bad("url: scheme %q is not ws or wss", o.URL.Scheme)
	case o.URL.Hostname() == "":
		bad("url: no host")
	}
	if o.Role > Secondary {
		bad("%v is not one of primary, secondary", o.Role)
	}
	if o.Weight < 0 {
		bad("weight %d is negative", o.Weight)
	}
	if o.MaxSessions < 0 {
		bad("max sessions %d is negative", o.MaxSessions)
	}
	if o.HandshakesPerSecond < 0 {
		bad("handshakes per second %d is negative", o.HandshakesPerSecond)
	}
	if o.ProxyHeader > ProxyHeaderV2 {
		bad("%v is not one of none, v1, v2", o.ProxyHeader)
	}
	if o.Spares < 0 {
		bad("spares %d is negative", o.Spares)
	}
	if o.SpareAge < 0 {
		bad("spare age %v is negative", o.SpareAge)
	}
	if o.Spares > 0 && o.ProxyHeader != NoProxyHeader {
		bad("spares %d with proxy header %v: a spare connection is opened before its client is known, and the header that names the client "+
			"has to come first; set spares to 0 or the proxy header to none", o.Spares, o.ProxyHeader)
	}
	if o.TLS != nil && o.URL != nil && o.URL.Scheme != "wss" {
		bad("settings of TLS for a URL without it")
	}
	if o.Checker == nil {
		bad("health checker is missing")
	}
	if o.Connection.Key.IsZero() != o.Connection.Endpoint.IsZero() {
		bad("connection: it needs both an endpoint and an access key")
	}
	api := o.Connection.ServerBase()
	if o.ServiceTLS != nil && api.Scheme() != "https" {
		bad("settings of TLS for a REST API without it")
	}
	shared := new(tally)
	if old := o.Replaces; old != nil {
		if old.name != o.Name {
			bad("it cannot replace %q, which has another name", old.name)
		}
		if o.URL != nil && old.url.String() != o.URL.String() {
			bad("it cannot replace the one at %s, which is another instance", old.url.Redacted())
		}
		shared = old.tally
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("upstream %q: %w", o.Name, err)
	}
	u := *o.URL
	made := &Upstream{
		name:    o.Name,
		url:     &u,
		role:    o.Role,
		weight:  max(o.Weight, 1),
		max:     int64(o.MaxSessions),
		rate:    o.HandshakesPerSecond,
		header:  o.ProxyHeader,
		spares:  o.Spares,
		age:     cmp.Or(o.SpareAge, DefaultSpareAge),
		checker: o.Checker,
		service: o.Connection,
		tally:   shared,
	}
	if u.Scheme == "wss" {
		made.tls = secure(u.Hostname(), o.TLS)
	}
	if api.Scheme() == "https" {
		made.rest = secure(api.Hostname(), o.ServiceTLS)
	}
	return made, nil
}

// secure returns the settings of TLS for a host: those given, which may be nil, with their defaults.
func secure(host string, given *tls.Config) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	if given != nil {
		c = given.Clone()
	}
	c.ServerName = cmp.Or(c.ServerName, host)
	if c.NextProtos == nil {
		c.NextProtos = []string{"http/1.1"}
	}
	c.DynamicRecordSizingDisabled = true
	return c
}

// Name returns the name given in [Options].
func (u *Upstream) Name() string { return u.name }

// URL returns where the upstream's WebSockets are. It is shared: copy it before you change it.
func (u *Upstream) URL() *url.URL { return u.url }

// TLS returns how TLS is done with the upstream's WebSockets, nil for ws. It is shared: do not change it.
func (u *Upstream) TLS() *tls.Config { return u.tls }

// Role returns the upstream's role.
func (u *Upstream) Role() Role { return u.role }

// Weight returns the upstream's weight, at least 1.
func (u *Upstream) Weight() int { return u.weight }

// MaxSessions returns the limit of sessions held at once, 0 for none.
func (u *Upstream) MaxSessions() int { return int(u.max) }

// HandshakesPerSecond returns the limit of handshakes in a second, 0 for none.
func (u *Upstream) HandshakesPerSecond() int { return u.rate }

// ProxyHeader returns with what header of the PROXY protocol connections begin.
func (u *Upstream) ProxyHeader() ProxyHeader { return u.header }

// Spares returns how many idle connections may wait for the next handshakes, 0 for none.
func (u *Upstream) Spares() int { return u.spares }

// SpareAge returns how long such a connection may wait at most.
func (u *Upstream) SpareAge() time.Duration { return u.age }

// Connection returns how the upstream is reached as an instance of one of the Azure services, and whether it is one.
func (u *Upstream) Connection() (c azure.ConnectionString, ok bool) {
	return u.service, !u.service.Key.IsZero()
}

// ServiceTLS returns how TLS is done with the REST API of [Upstream.Connection], nil if it is not at an https URL. It is shared: do not
// change it.
func (u *Upstream) ServiceTLS() *tls.Config { return u.rest }

// Checker returns the upstream's health checker.
func (u *Upstream) Checker() *health.Checker { return u.checker }

// Sessions returns how many leases are out: sessions, and handshakes that may become one.
func (u *Upstream) Sessions() int { return int(u.held.Load()) }

// Healthy reports whether the breaker lets the upstream take sessions.
func (u *Upstream) Healthy() bool { return u.checker.Healthy() }

// Full reports whether MaxSessions is reached.
func (u *Upstream) Full() bool { return u.max > 0 && u.held.Load() >= u.max }

// Usable reports whether the upstream takes sessions at all, whether it has room now or not: it is healthy and not disabled.
func (u *Upstream) Usable() bool { return u.disabled.Load() == nil && u.Healthy() }

// Available reports whether the upstream may take one more session now: it is healthy, not disabled and not full.
func (u *Upstream) Available() bool { return u.Usable() && !u.Full() }

// Disable is the operator's switch: the upstream takes no new sessions until [Upstream.Enable]. Its sessions go on, and so do its
// probes. The reason is shown to operators; disabling again replaces it.
func (u *Upstream) Disable(why string) { u.disabled.Store(&why) }

// Enable takes back [Upstream.Disable].
func (u *Upstream) Enable() { u.disabled.Store(nil) }

// Disabled reports whether the upstream is disabled, and why.
func (u *Upstream) Disabled() (why string, disabled bool) {
	if p := u.disabled.Load(); p != nil {
		return *p, true
	}
	return "", false
}

// Same reports whether u and v are the same instance: the same upstream, or one of them has replaced the other, however many
// reloads lie between. It is false when either is nil.
func (u *Upstream) Same(v *Upstream) bool { return u != nil && v != nil && u.tally == v.tally }

// Totals returns the counters. Each is exact; together they are not one moment.
func (u *Upstream) Totals() Totals {
	return Totals{
		Sessions:          u.sessions.Load(),
		HandshakeFailures: u.handshakeFailures.Load(),
		Lost:              u.lost.Load(),
		SparesUsed:        u.sparesUsed.Load(),
		SparesWasted:      u.sparesWasted.Load(),
	}
}

// CountSession counts a session that was opened, and how long its client has waited for that.
func (u *Upstream) CountSession(took time.Duration) {
	u.sessions.Add(1)
	u.openings.add(took)
}

// Openings returns how long clients have waited for the sessions of [Totals]. The slices are the caller's. Together the counters are not one moment.
func (u *Upstream) Openings() Openings { return u.openings.read() }

// CountHandshakeFailure counts a handshake that failed.
func (u *Upstream) CountHandshakeFailure() { u.handshakeFailures.Add(1) }

// CountLost counts a session that ended abnormally on the upstream's side.
func (u *Upstream) CountLost() { u.lost.Add(1) }

// SparesReady returns how many spare connections wait now, those of an upstream that this one replaces included.
func (u *Upstream) SparesReady() int { return int(u.sparesReady.Load()) }

// CountSpare counts a spare connection that has gone: used, if a handshake was answered on it. Those that a [Spares] drops, it counts
// itself.
func (u *Upstream) CountSpare(used bool) {
	if used {
		u.sparesUsed.Add(1)
	} else {
		u.sparesWasted.Add(1)
	}
}

// acquire takes a place and reports whether there was one. Look and take are one step, so the limit holds under concurrency.
func (u *Upstream) acquire() bool {
	if u.max == 0 {
		u.held.Add(1)
		return true
	}
	for {
		n := u.held.Load()
		if n >= u.max {
			return false
		}
		if u.held.CompareAndSwap(n, n+1) {
			return true
		}
	}
}
