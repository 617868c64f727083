package proxy

import (
	"log/slog"
	"time"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/relay"
	"github.com/pointsman/pointsman/proxy/wsframe"
)

// Options configure a [Proxy]. Upstreams and Routes are required; the zero
// value of every other field means its default. All can be changed while the
// proxy runs ([Proxy.Apply]), except Relay.Loops and the loggers.
type Options struct {
	// Upstreams are all upstreams. Their health checkers are run by Run.
	Upstreams []*pool.Upstream
	// Routes are tried in order; the first that matches takes the session.
	Routes []Route
	// Relay says how sessions are carried.
	Relay relay.Options
	// Failover says how an upstream is found for a new session.
	Failover Failover
	// Down says what happens to the sessions of an upstream that is down.
	Down Down
	// Failback says how sessions come home. When new sessions do is a matter of
	// the health checkers.
	Failback Failback
	// Scale says how upstreams are added and removed by Apply.
	Scale Scale
	// Limits bound what clients may cost.
	Limits Limits
	// Forwarded says which proxies before this one are believed, and what the
	// upstream is told about the client.
	Forwarded Forwarded
	// Fanout bounds the calls that go to many upstreams.
	Fanout Fanout
	// Shutdown says how Run ends.
	Shutdown Shutdown
	// Logger gets the proxy's own messages. Nil discards.
	Logger *slog.Logger
	// AccessLogger gets one record at the end of each session. Nil means none.
	AccessLogger *slog.Logger
}

// Failover says how an upstream is found for a new session.
type Failover struct {
	// Attempts is the largest number of upstreams tried for one client. Default 3.
	Attempts int
	// ConnectTimeout bounds the connect of one attempt. Default 2 s.
	ConnectTimeout time.Duration
	// HandshakeTimeout bounds one whole attempt, connect included. Default 5 s.
	HandshakeTimeout time.Duration
}

// Down says what happens to the sessions of an upstream that has been down for
// Grace. They are closed only while their clients would find another place.
type Down struct {
	// Action is what happens. Default Keep.
	Action Action
	// Grace is how long the upstream has to be down first, and with Keep how long
	// a session has to be silent. Default 15 s.
	Grace time.Duration
	// Rate is the largest number of closes per second and upstream, with Keep and
	// DrainAll. Default 200.
	Rate int
}

// Action is what happens to the sessions of an upstream that is down.
type Action uint8

// The actions.
const (
	// Keep keeps sessions whose upstream still sends, and drains those that are
	// silent.
	Keep Action = iota
	// DrainAll drains all.
	DrainAll
	// CloseAll closes all at once.
	CloseAll
)

// Failback says how sessions that were opened on an upstream of a worse role
// are led home, when one of a better role takes its full share of new sessions
// again.
type Failback struct {
	// Stay leaves them where they are.
	Stay bool
	// Rate is the largest number of closes per second and upstream. Default 50.
	Rate int
	// Order is the order of the closes. Default idle first.
	Order drain.Order
	// Code and Reason stand in the Close frame. Defaults 1012 and
	// "moved to primary".
	Code   uint16
	Reason string
	// Deadline bounds the whole; negative means no limit. Default 10 min.
	Deadline time.Duration
	// Then is what happens to the rest at the deadline. Default: it is left.
	Then drain.Then
}

// Scale says how upstreams are added and removed while the proxy runs.
type Scale struct {
	// Timeout is how long an added upstream may take to become healthy before an
	// error is logged, and how long the sessions of a removed one may take to
	// find another place before they are closed. Default 5 min.
	Timeout time.Duration
	// Rate is the largest number of closes per second and removed upstream.
	// Default 200.
	Rate int
}

// Limits bound what clients may cost.
type Limits struct {
	// HeaderTimeout is how long a client may take to send its request head.
	// Default 5 s.
	HeaderTimeout time.Duration
	// Head bounds the head itself.
	Head handshake.Limits
	// Sessions is the largest number of open sessions; above it new ones get
	// 503. 0 means no limit but that of the descriptors.
	Sessions int
	// SessionsPerAddress is the largest number of sessions of one client address,
	// from their admission to their end; above it new ones get 429. Of IPv6 the
	// /64 network is counted. Behind a trusted proxy it is the address that the
	// proxy names, and all clients without an address are one. Sessions that were
	// admitted before there was a limit are not counted. 0 means no limit.
	SessionsPerAddress int
	// HandshakesPerSecond is the largest number of handshakes that each listener
	// admits in a second; above it clients wait for a moment, then they get 503.
	// 0 means no limit. The same for one upstream stands in [pool.Options].
	HandshakesPerSecond int
	// MemoryHigh is the resident memory of the process, in bytes, from which on
	// new clients get 503, or before TLS the end of the connection, until it is
	// below MemoryLow. 0 means 90 % of the memory limit of the control group, if
	// there is one; negative means no limit. MemoryLow is 90 % of MemoryHigh
	// unless set.
	MemoryHigh, MemoryLow int64
}

// Shutdown says how [Proxy.Run] ends.
type Shutdown struct {
	// Lead is how long new clients are still taken after [Proxy.Ready] has turned
	// false, so that load balancers notice first. Default none.
	Lead time.Duration
	// Rate is the largest number of sessions closed in a second. It is raised
	// if the deadline demands it. Default 200.
	Rate int
	// Deadline bounds the whole end, Lead included. Default 30 s.
	Deadline time.Duration
}

func (o Options) withDefaults() Options {
	fill(&o.Failover.Attempts, 3)
	fill(&o.Failover.ConnectTimeout, 2*time.Second)
	fill(&o.Failover.HandshakeTimeout, 5*time.Second)
	fill(&o.Down.Grace, 15*time.Second)
	fill(&o.Down.Rate, 200)
	fill(&o.Failback.Rate, 50)
	if o.Failback.Code == 0 {
		o.Failback.Code = wsframe.CodeServiceRestart
	}
	if o.Failback.Reason == "" {
		o.Failback.Reason = "moved to primary"
	}
	switch {
	case o.Failback.Deadline == 0:
		o.Failback.Deadline = 10 * time.Minute
	case o.Failback.Deadline < 0:
		o.Failback.Deadline = 0
	}
	fill(&o.Scale.Timeout, 5*time.Minute)
	fill(&o.Scale.Rate, 200)
	fill(&o.Limits.HeaderTimeout, 5*time.Second)
	fill(&o.Limits.Head.Size, handshake.DefaultSize)
	fill(&o.Shutdown.Rate, 200)
	fill(&o.Shutdown.Deadline, 30*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// fill gives a number its default.
func fill[T int | time.Duration](value *T, unset T) {
	if *value <= 0 {
		*value = unset
	}
}
