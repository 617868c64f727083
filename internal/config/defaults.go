package config

import (
	"log/slog"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/drain"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/wsframe"
)

// Default returns the configuration of a file that sets nothing. It has no
// upstream and therefore does not pass the checks of [Parse].
func Default() Config {
	return Config{
		Listen: []Listener{defaultListener()},
		Admin:  Admin{Address: "127.0.0.1:9090"},
		Router: RouterPriority,
		Health: Health{
			Probe:    ProbeHTTP,
			Path:     "/api/health",
			Interval: 2 * time.Second,
			Recheck:  500 * time.Millisecond,
			Timeout:  time.Second,
			Jitter:   0.1,
			Rise:     2,
			Fall:     3,
			Initial:  InitialDown,
			MaxAge:   time.Second,
		},
		Failover: Failover{
			Attempts:         3,
			ConnectTimeout:   2 * time.Second,
			HandshakeTimeout: 5 * time.Second,
			OnDown:           proxy.Keep,
			Grace:            15 * time.Second,
			DrainRate:        200,
		},
		Failback: Failback{
			Hold:       10 * time.Second,
			MaxHold:    5 * time.Minute,
			FlapWindow: 5 * time.Minute,
			Drain: Drain{
				Enabled:   true,
				Rate:      50,
				Order:     drain.IdleFirst,
				CloseCode: wsframe.CodeServiceRestart,
				Reason:    "moved to primary",
				Deadline:  10 * time.Minute,
				Then:      drain.Leave,
			},
		},
		Pool:   Pool{SpareAge: pool.DefaultSpareAge},
		Fanout: Fanout{Timeout: 5 * time.Second, MaxBody: MiB, Backlog: 256},
		Relay: Relay{
			PingInterval: 30 * time.Second,
			PingTimeout:  15 * time.Second,
			WriteTimeout: 30 * time.Second,
			MaxFrame:     16 * MiB,
			CloseWait:    5 * time.Second,
		},
		Forwarded: Forwarded{Style: handshake.ForwardX},
		Limits: Limits{
			HeaderTimeout: 5 * time.Second,
			HeaderSize:    16 * KiB,
		},
		Shutdown: Shutdown{DrainRate: 200, Deadline: 30 * time.Second},
		Reload:   Reload{Watch: true, ScaleTimeout: 5 * time.Minute, DrainRate: 200},
		Log:      Log{Level: slog.LevelInfo, Format: FormatText},
	}
}

// newListener returns a listener with its defaults; the address is required.
func newListener() Listener {
	return Listener{TLS: TLS{MinVersion: TLS12, ACME: ACME{Challenge: ChallengeTLS}}}
}

// defaultListener is the one of a file that names none.
func defaultListener() Listener {
	l := newListener()
	l.Address = ":8080"
	return l
}

// newUpstream returns an upstream with its defaults; name and URL are filled in
// by checkConnections where there is a connection string.
func newUpstream() Upstream {
	return Upstream{Role: RolePrimary, Weight: 1}
}

// newRoute returns a route with its own defaults. Upstreams, router and access
// keys depend on the rest of the file and are filled in by complete.
func newRoute() Route {
	return Route{
		Match: Match{Path: "/"}, Protocol: ProtocolWebSocket,
		Hash: Hash{By: HashByClient}, Query: Query{Name: "endpoint"},
		HTTP: HTTP{
			Cookie: "pointsman", AnswerTimeout: 150 * time.Second, IdleTimeout: 30 * time.Second, BodyTimeout: 30 * time.Second,
		},
		Negotiate: Negotiate{UserFromQuery: true, Lifetime: azure.DefaultLifetime},
	}
}

// complete fills in the defaults that depend on other keys. named says which
// upstreams the environment has named, and what they speak.
func (c *Config) complete(named map[string]azure.Service) {
	if len(c.Routes) == 0 {
		r := newRoute()
		r.Protocol = c.onlyProtocol(named)
		c.Routes = []Route{r}
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		if r.Router == "" {
			r.Router = c.Router
		}
		service, isAzure := r.Protocol.Azure()
		if len(r.Upstreams) == 0 {
			for _, u := range c.Upstreams {
				// Nobody has asked for plain WebSockets with what the environment names.
				if speaks, ok := named[u.Name]; !ok || isAzure && speaks == service {
					r.Upstreams = append(r.Upstreams, u.Name)
				}
			}
		}
		if (isAzure || r.HTTP.Pass) && len(r.AccessKeys) == 0 {
			r.AccessKeys, r.AccessKeyFiles = c.AccessKeys, c.AccessKeyFiles
		}
	}
}

// onlyProtocol is that of the only route if no other is given: what all upstreams
// speak if the environment has named all of them.
func (c *Config) onlyProtocol(named map[string]azure.Service) Protocol {
	protocol := ProtocolWebSocket
	for i, u := range c.Upstreams {
		service, ok := named[u.Name]
		if !ok || i > 0 && protocolOf(service) != protocol {
			return ProtocolWebSocket
		}
		protocol = protocolOf(service)
	}
	return protocol
}
