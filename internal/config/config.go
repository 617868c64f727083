package config

import (
	"log/slog"
	"time"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/drain"
)

// Config is the whole configuration of one router.
type Config struct {
	// Listen holds the addresses that take client connections. At least one;
	// default one, ":8080".
	Listen []Listener
	// Admin is the operator's door.
	Admin Admin
	// Router is the router of routes that name none. Default RouterPriority.
	Router Router
	// AccessKeys are the access keys of routes that have none of their own and
	// need some, the one that signs first: at most two. Default none.
	AccessKeys []Secret
	// AccessKeyFiles are the files that AccessKeys were read from; empty when they
	// came from elsewhere. Default none.
	AccessKeyFiles []string
	// Upstreams are the service instances, in file order. At least one.
	Upstreams []Upstream
	// Routes are tried in order; the first that matches takes the request.
	// Default: one route that takes every path to every upstream.
	Routes []Route
	// Health says how upstreams are probed.
	Health Health
	// Failover bounds the attempts to open one session, and says what becomes of
	// the sessions of an upstream that is down.
	Failover Failover
	// Failback says when an upstream that has come back takes new sessions, and
	// how sessions are led home to it.
	Failback Failback
	// Pool says what is kept in advance for new sessions.
	Pool Pool
	// Fanout bounds the calls that go to many upstreams.
	Fanout Fanout
	// Relay governs running sessions.
	Relay Relay
	// Forwarded says who is believed about clients, and what upstreams are told.
	Forwarded Forwarded
	// Limits bounds what clients may cost.
	Limits Limits
	// Shutdown governs the end of the process.
	Shutdown Shutdown
	// Reload says how a changed file takes effect.
	Reload Reload
	// Log says what is logged, and how.
	Log Log
	// LeftOut tells of connection strings in the environment that have the address
	// of another one, a sentence each, for [Config.Warnings].
	LeftOut []string
}

// Upstream is one service instance.
type Upstream struct {
	// Name identifies the upstream in routes, logs and status: 1 to 63 of
	// a-z, 0-9 and "-", with a letter or digit at both ends. Unique. Required
	// without ConnectionString; with it the default is the host's first label.
	Name string
	// URL is "ws://host[:port][/prefix]" or the same with "wss", without user
	// information, query and fragment; a host in lower case. Unique. Required
	// without ConnectionString; with it that says where clients connect to.
	URL string
	// ConnectionString is how the upstream is reached as an instance of an Azure
	// service, as azure.ParseConnectionString takes it. Default empty: it is none.
	ConnectionString Secret
	// ConnectionStringFile is the file that ConnectionString was read from; empty
	// when it came from elsewhere. Default empty.
	ConnectionStringFile string
	// Role is this router's view of the upstream. Default RolePrimary.
	Role Role
	// Weight is the share of new sessions among equals, 1 to 1000. Default 1.
	Weight int
	// MaxSessions bounds the open sessions; 0 is no limit. Default 0.
	MaxSessions int
	// HandshakesPerSecond bounds the sessions that are opened in a second; 0 is
	// no limit. Default 0.
	HandshakesPerSecond int
	// ProxyProtocol is the header that connections begin with, none if there are
	// Pool.Spares. Default pool.NoProxyHeader.
	ProxyProtocol pool.ProxyHeader
	// TLS says how it is done; the zero value without it.
	TLS UpstreamTLS
}

// Route maps requests to a set of upstreams.
type Route struct {
	// Match says which requests the route takes.
	Match Match
	// Upstreams are the names of the candidates. Default: all, in file order.
	Upstreams []string
	// Router is the policy that picks among them. Default Config.Router.
	Router Router
	// Protocol is what is spoken on the route. Default ProtocolWebSocket.
	Protocol Protocol
	// Origins are the origins of the web pages that may open sessions, each as
	// proxy.CheckOrigin takes it. Default none, which allows all.
	Origins []string
	// Hash is for RouterHash.
	Hash Hash
	// Query is for RouterQuery.
	Query Query
	// HTTP says what becomes of requests that are no WebSocket handshakes.
	HTTP HTTP
	// AccessKeys are the route's own, the one that signs first: one or two, each as
	// azure.ParseKey takes it. They are for the Azure protocols, and sign the hints
	// of HTTP.Pass. Default Config.AccessKeys.
	AccessKeys []Secret
	// AccessKeyFiles are the files that AccessKeys were read from; empty when they
	// came from elsewhere. Default none.
	AccessKeyFiles []string

	// The others are for ProtocolWebPubSub and ProtocolSignalR.

	// Hubs are those that clients may ask for. Default none, which allows all.
	Hubs []string
	// PublicURL is where clients and applications reach the route, as
	// azure.ParseBase takes it. Default empty: where each request came to.
	PublicURL string
	// Negotiate says how negotiations are answered.
	Negotiate Negotiate
	// CloseAtExpiry ends a session when the token expires that it was opened with.
	// Default false.
	CloseAtExpiry bool
	// GroupPrefixes are tried in order; the first that matches takes the group.
	// Default none: groups are on all upstreams.
	GroupPrefixes []GroupPrefix
}

// Health says how upstreams are probed and what their answers mean.
type Health struct {
	// Probe is the kind of check. Default ProbeHTTP.
	Probe Probe
	// Path is asked by http probes, and by websocket probes if it is not the
	// default. Default "/api/health".
	Path string
	// Interval is the time between probes, 1ms to 24h. Default 2s.
	Interval time.Duration
	// Recheck replaces Interval while the last result differs from the standing
	// one; 1ms up to Interval. Default 500ms.
	Recheck time.Duration
	// Timeout is the deadline of one probe; 1ms up to Interval. Default 1s.
	Timeout time.Duration
	// Jitter is the share of each wait that is random, 0 to 1. Default 0.1.
	Jitter float64
	// Rise is the number of good probes in a row that bring an upstream back,
	// 1 to 1000. Default 2.
	Rise int
	// Fall is the number of failures in a row that take an upstream out,
	// 1 to 1000. Default 3.
	Fall int
	// Initial is the belief before the first probe. Default InitialDown.
	Initial Initial
	// OnDemand probes before a pick when the last probe is older than MaxAge.
	// Default false.
	OnDemand bool
	// MaxAge is 1ms to 24h, and below Interval with OnDemand. Default 1s.
	MaxAge time.Duration
}

// Failover bounds the attempts to open one session, and says what becomes of
// the sessions of an upstream that is down.
type Failover struct {
	// Attempts is the number of upstreams tried for one client, 1 to 16.
	// Default 3.
	Attempts int
	// ConnectTimeout bounds one TCP connect, 1ms to 24h. Default 2s.
	ConnectTimeout time.Duration
	// HandshakeTimeout bounds connect and handshake together; from
	// ConnectTimeout to 24h. Default 5s.
	HandshakeTimeout time.Duration
	// OnDown is what happens to the sessions of an upstream that is down.
	// Default proxy.Keep.
	OnDown proxy.Action
	// Grace is how long it has to be down first, and with proxy.Keep how long a
	// session has to be silent; 1ms to 24h. Default 15s.
	Grace time.Duration
	// DrainRate is the most closes per second and upstream, 1 to 100000.
	// Default 200.
	DrainRate int
}

// Failback says when an upstream that has come back takes new sessions, and how
// the sessions that were opened elsewhere meanwhile are led home.
type Failback struct {
	// Hold is how long it has to stay healthy first, 1ms to 24h; 0 is not at
	// all. Default 10s.
	Hold time.Duration
	// MaxHold bounds Hold, which doubles with each relapse; from Hold to 24h.
	// Default 5m.
	MaxHold time.Duration
	// FlapWindow is how soon after the last recovery a failure is a relapse,
	// 1ms to 24h. Default 5m.
	FlapWindow time.Duration
	// Ramp is the time in which its share of new sessions grows from nothing to
	// all, 1ms to 24h; 0 is at once. Default 0.
	Ramp time.Duration
	// Drain says how sessions are led home.
	Drain Drain
}

// Drain says how sessions on upstreams of a worse role are closed, so that their
// clients come back to one of a better role.
type Drain struct {
	// Enabled says whether they are closed at all. Default true.
	Enabled bool
	// Rate is the most closes per second and upstream, 1 to 100000. Default 50.
	Rate int
	// Order is the order of the closes. Default drain.IdleFirst.
	Order drain.Order
	// CloseCode stands in the Close frame: 1000 to 1003, 1007 to 1014 or 3000 to
	// 4999. Default 1012.
	CloseCode uint16
	// Reason stands in the Close frame: 1 to 123 bytes of printable UTF-8.
	// Default "moved to primary".
	Reason string
	// Deadline bounds the whole drain, 1ms to 24h; 0 is no bound. Default 10m.
	Deadline time.Duration
	// Then is what happens to the rest at the deadline. Default drain.Leave.
	Then drain.Then
}

// Relay governs running sessions.
type Relay struct {
	// IdleTimeout ends a session without traffic, 1ms to 720h; 0 never ends it.
	// Default 0.
	IdleTimeout time.Duration
	// MaxAge ends a session of that age, give or take a tenth; 1ms to 720h, 0
	// never ends it. Default 0.
	MaxAge time.Duration
	// PingInterval is the idle time after which a peer is pinged, 1ms to 24h;
	// 0 sends no pings. Default 30s.
	PingInterval time.Duration
	// PingTimeout is the wait for the pong, 1ms to 24h. 0 only without pings.
	// Default 15s.
	PingTimeout time.Duration
	// WriteTimeout ends a session whose peer takes no bytes for so long, 1ms to
	// 24h. Default 30s.
	WriteTimeout time.Duration
	// MaxFrame is the largest frame payload, 125 bytes to 1024GiB.
	// Default 16MiB.
	MaxFrame ByteSize
	// CloseWait is the wait for the echo of a Close frame, 1ms to 24h.
	// Default 5s.
	CloseWait time.Duration
}

// Shutdown governs the end of the process.
type Shutdown struct {
	// Lead is the time between not being ready any more and the first close, in
	// which clients are still taken; 1ms to below Deadline, 0 is none. Default 0.
	Lead time.Duration
	// DrainRate is the most closes per second, 1 to 100000, unless Deadline
	// demands more. Default 200.
	DrainRate int
	// Deadline bounds the whole end, Lead included, 1ms to 24h. Default 30s.
	Deadline time.Duration
}

// Reload says how a changed file takes effect.
type Reload struct {
	// Watch says whether a change of the file is enough. Default true.
	Watch bool
	// ScaleTimeout is how long an added upstream may take to become healthy, and
	// the sessions of a removed one to find another place; 1ms to 24h.
	// Default 5m.
	ScaleTimeout time.Duration
	// DrainRate is the most closes per second and removed upstream, 1 to 100000.
	// Default 200.
	DrainRate int
}

// Log says what is logged, and how.
type Log struct {
	// Level is the lowest level that is logged. Default Info.
	Level slog.Level
	// Format is the form of a line. Default FormatText.
	Format Format
	// Access adds one line for each session that ends. Default false.
	Access bool
}
