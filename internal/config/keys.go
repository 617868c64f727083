package config

import (
	"time"

	"github.com/pointsman/pointsman/proxy"
)

const (
	shortest = time.Millisecond
	day      = 24 * time.Hour
	most     = 1_000_000_000
)

// configKeys is the table of all keys. What a key is called, takes, defaults to
// and means is said here and nowhere else.
func configKeys() []field[Config] {
	keys := []field[Config]{
		listenKey(),
	}
	keys = append(keys, adminKeys()...)
	keys = append(keys,
		choice("router", routers(),
			"Policy that picks the upstream of a new session, for routes that name none. "+routersDoc,
			func(c *Config) *Router { return &c.Router }),
	)
	keys = append(keys, commonAccessKeys()...)
	keys = append(keys,
		sections("upstreams", "a list of sections with at least name and url, or connection_string",
			"The service instances behind this router. Connection strings in the environment, by the names that the Azure SDKs read, are added to them; see docs/azure.md.",
			upstreamKeys, newUpstream, func(c *Config) *[]Upstream { return &c.Upstreams }),
		routesKey(),
	)
	for _, section := range [][]field[Config]{
		healthKeys(), failoverKeys(), failbackKeys(), poolKeys(), fanoutKeys(), relayKeys(), forwardedKeys(), limitsKeys(),
		shutdownKeys(), reloadKeys(), logKeys(),
	} {
		keys = append(keys, section...)
	}
	return keys
}

// routesKey shows that without routes there is one.
func routesKey() field[Config] {
	f := sections("routes", "a list of sections with match, upstreams, router or protocol",
		"Rules tried in order; the first that matches takes the request. A route that an earlier one leaves nothing for is refused.",
		routeKeys, newRoute, func(c *Config) *[]Route { return &c.Routes })
	f.initial = "every path to every upstream"
	return f
}

func routeKeys() []field[Route] {
	upstreams := list("upstreams", "a list of names of upstreams such as [east, west]", "the name of an upstream",
		"Names of the candidates of this route.",
		func(s string) (string, error) { return s, nil }, asIs, func(r *Route) *[]string { return &r.Upstreams })
	upstreams.initial = "all, but of those that the environment names only what speaks the protocol"
	router := choice("router", routers(),
		"Policy of this route; see the key `router` at the top level.",
		func(r *Route) *Router { return &r.Router })
	router.initial = "the top-level `router`"
	host := text("match.host", "a host name such as chat.example or *.chat.example, without port",
		"Takes only requests for this host name, in any case and with any port; `*.chat.example` is every name below it. Empty takes every host.",
		func(r *Route) *string { return &r.Match.Host }, readMatchHost)
	host.initial = "every host"
	origins := list("origins", "a list of origins such as [\"https://chat.example\", \"https://*.chat.example\"]", anOrigin,
		"Origins of the web pages that may open sessions on this route; others get 403. `https://*.chat.example` is every name below it, `null` is a page without an origin. What is no browser sends no origin and is let in.",
		func(s string) (string, error) { return s, proxy.CheckOrigin(s) }, asIs, func(r *Route) *[]string { return &r.Origins })
	origins.initial = "every origin"
	keys := []field[Route]{
		host,
		text("match.path", "a path that begins with /, without query and escapes",
			"Takes requests whose path begins with this, on whole segments: `/chat` takes `/chat` and `/chat/1`, not `/chatter`.",
			func(r *Route) *string { return &r.Match.Path }, readMatchPath),
		upstreams,
		router,
		choice("protocol", words(ProtocolWebSocket, ProtocolWebPubSub, ProtocolSignalR),
			"What is spoken on the route. `websocket`: plain WebSocket, whatever is in it. `webpubsub` and `signalr`: the route stands for one instance of Azure Web PubSub or Azure SignalR Service, and takes negotiations, clients and calls of the REST API below its path; see docs/azure.md. `signalr` with upstreams that have no connection strings stands for SignalR servers of one's own.",
			func(r *Route) *Protocol { return &r.Protocol }),
		origins,
	}
	keys = append(keys, routerKeys()...)
	keys = append(keys, httpKeys()...)
	return append(keys, serviceKeys()...)
}
