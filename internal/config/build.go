package config

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/relay"
)

// Build turns a checked configuration into the options of a router, all of it
// new. It opens no port and starts nothing; it reads the files for TLS with
// upstreams. The logger is for the router and its
// health checkers; access, which may be nil, gets one record per ended session.
func (c *Config) Build(logger, access *slog.Logger) (proxy.Options, error) {
	return c.build(nil, proxy.Options{Logger: logger, AccessLogger: access})
}

// Rebuild turns c into the options that a router takes on with [proxy.Proxy.Apply]
// when it runs with running, which old was built into, by Build or by an earlier
// Rebuild. It keeps what did not change. For an upstream of the same name and
// URL, letter by letter:
//
//   - nothing has changed for it: it is the same [pool.Upstream];
//   - its role, weight, limits, spares or access key have: it is a new one that
//     replaces the old, with the same [health.Checker];
//   - what its checker was told has (health, failback apart from its drain,
//     failover.handshake_timeout, TLS, the PROXY protocol and where a connection
//     string has the REST API): both are new and replace the old.
//
// Files of authorities are read again. A file whose certificates are others is a
// change of TLS; a file of a client certificate is none, it is followed by itself.
//
// Any other upstream is new. Loggers and the number of event loops, which cannot
// change, are those of running. Nothing is opened or started, and running stays
// as it is: what Rebuild returns may be thrown away.
func (c *Config) Rebuild(old *Config, running proxy.Options) (proxy.Options, error) {
	return c.build(&world{old, running}, proxy.Options{
		Relay:        relay.Options{Loops: running.Relay.Loops},
		Logger:       running.Logger,
		AccessLogger: running.AccessLogger,
	})
}

// world is what was built, and what it was built from.
type world struct {
	config  *Config
	options proxy.Options
}

// build completes o. Without an old world everything is new.
func (c *Config) build(old *world, o proxy.Options) (proxy.Options, error) {
	c.setRelay(&o.Relay)
	o.Failover = proxy.Failover{
		Attempts:         c.Failover.Attempts,
		ConnectTimeout:   c.Failover.ConnectTimeout,
		HandshakeTimeout: c.Failover.HandshakeTimeout,
	}
	o.Down = proxy.Down{Action: c.Failover.OnDown, Grace: c.Failover.Grace, Rate: c.Failover.DrainRate}
	o.Failback = c.buildFailback()
	o.Scale = proxy.Scale{Timeout: c.Reload.ScaleTimeout, Rate: c.Reload.DrainRate}
	o.Limits = proxy.Limits{
		HeaderTimeout:       c.Limits.HeaderTimeout,
		Head:                handshake.Limits{Size: int(c.Limits.HeaderSize)},
		Sessions:            c.Limits.Sessions,
		SessionsPerAddress:  c.Limits.SessionsPerAddress,
		HandshakesPerSecond: c.Limits.HandshakesPerSecond,
		MemoryHigh:          int64(c.Limits.MemoryHigh),
		MemoryLow:           int64(c.Limits.MemoryLow),
	}
	o.Fanout = proxy.Fanout{
		Deadline: c.Fanout.Timeout, MaxBody: int64(c.Fanout.MaxBody), Backlog: c.Fanout.Backlog, Retries: c.Fanout.Retry,
	}
	o.Forwarded = proxy.Forwarded{Trusted: c.Forwarded.Trusted, Style: c.Forwarded.Style}
	o.Shutdown = proxy.Shutdown{Lead: c.Shutdown.Lead, Rate: c.Shutdown.DrainRate, Deadline: c.Shutdown.Deadline}

	byName := make(map[string]*pool.Upstream, len(c.Upstreams))
	for _, u := range c.Upstreams {
		built, err := c.buildUpstream(u, old.upstream(u), o.Logger)
		if err != nil {
			return proxy.Options{}, fmt.Errorf("upstream %q: %w", u.Name, err)
		}
		byName[u.Name] = built
		o.Upstreams = append(o.Upstreams, built)
	}
	var maxAge time.Duration
	if c.Health.OnDemand {
		maxAge = c.Health.MaxAge
	}
	for i, r := range c.Routes {
		built, err := r.build(byName, maxAge)
		if err != nil {
			return proxy.Options{}, fmt.Errorf("route %d: %w", i+1, err)
		}
		o.Routes = append(o.Routes, built)
	}
	return o, nil
}

func (c *Config) setRelay(o *relay.Options) {
	o.IdleTimeout = c.Relay.IdleTimeout
	o.MaxAge = c.Relay.MaxAge
	o.PingInterval = orOff(c.Relay.PingInterval)
	o.PingTimeout = c.Relay.PingTimeout
	o.WriteTimeout = c.Relay.WriteTimeout
	o.CloseWait = c.Relay.CloseWait
	o.MaxFrame = int64(c.Relay.MaxFrame)
	o.MaxMessage = int64(c.Limits.MessageSize)
	o.Rate = relay.Rate{
		Messages: c.Limits.MessagesPerSecond, MessageBurst: c.Limits.MessageBurst,
		Bytes: int64(c.Limits.BytesPerSecond), ByteBurst: int64(c.Limits.ByteBurst),
		Close: c.Limits.CloseOnExcess,
	}
}

func (c *Config) buildFailback() proxy.Failback {
	d := c.Failback.Drain
	return proxy.Failback{
		Stay: !d.Enabled, Rate: d.Rate, Order: d.Order,
		Code: d.CloseCode, Reason: d.Reason,
		Deadline: orOff(d.Deadline), Then: d.Then,
	}
}

// orOff is a duration for options whose zero value means their default.
func orOff(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}
