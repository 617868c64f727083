package config

import (
	"errors"
	"strings"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
)

func upstreamKeys() []field[Upstream] {
	name := text("name", nameRule,
		"Identifies the upstream in routes, logs and status. Unique. 1 to 63 of a-z, 0-9 and \"-\". The form `<name>:<role>` says the role as well.",
		func(u *Upstream) *string { return &u.Name }, readName)
	name.initial = "required; with a connection string the first label of its host"
	name.set = func(u *Upstream, s string) (err error) {
		s, word, given := strings.Cut(s, ":")
		if given {
			role, err := azure.ParseRole(word)
			if err != nil {
				return errors.New("has a role that is neither primary nor secondary behind its colon")
			}
			u.Role = Role(role.String())
		}
		u.Name, err = readName(s)
		return err
	}
	url := text("url", "a URL such as ws://10.0.0.1:9001 or wss://chat.example/prefix",
		"Where the upstream listens: `ws://host[:port][/prefix]`, or `wss://` with TLS; `http://` and `https://` mean the same. Unique; user information, query and fragment are refused.",
		func(u *Upstream) *string { return &u.URL }, readUpstreamURL)
	url.initial = "required without a connection string"
	url.omit = func(u *Upstream) bool { return u.ConnectionString != "" }
	url.get = func(u *Upstream) string { return quote(redactURL(u.URL)) }
	keys := []field[Upstream]{name, url}
	keys = append(keys, connectionKeys()...)
	keys = append(keys,
		choice("role", words(RolePrimary, RoleSecondary),
			"This router's view of the upstream. Secondaries get new sessions only while no primary takes them.",
			func(u *Upstream) *Role { return &u.Role }),
		integer("weight", 1, 1000, "",
			"Share of new sessions among upstreams of the same role. Raise it for a larger instance.",
			func(u *Upstream) *int { return &u.Weight }),
		integer("max_sessions", 0, most, "no limit",
			"Most sessions open at once on this upstream; further ones go to the next candidate. Set it to what the instance is known to carry.",
			func(u *Upstream) *int { return &u.MaxSessions }),
		integer("handshakes_per_second", 0, most, "no limit",
			"Handshakes that this upstream is asked for in a second. Above it clients wait for up to one second, and others go to the next candidate or get 503. Set it when the instance suffers from a rush, as after a failover.",
			func(u *Upstream) *int { return &u.HandshakesPerSecond }),
		choice("proxy_protocol", proxyHeaders(),
			"Begins each connection, before TLS, with a header of the PROXY protocol in this version, which names the client. Only for an upstream that demands it. It rules out `pool.spares`.",
			func(u *Upstream) *pool.ProxyHeader { return &u.ProxyProtocol }),
	)
	return append(keys, upstreamTLSKeys()...)
}

func proxyHeaders() []option[pool.ProxyHeader] {
	var out []option[pool.ProxyHeader]
	for _, h := range []pool.ProxyHeader{pool.NoProxyHeader, pool.ProxyHeaderV1, pool.ProxyHeaderV2} {
		out = append(out, option[pool.ProxyHeader]{h.String(), h})
	}
	return out
}

// upstreamTLSKeys are those of the section tls of an upstream.
func upstreamTLSKeys() []field[Upstream] {
	ca := optionalPath("tls.ca",
		"File with the authorities (PEM) that vouch for the upstream's certificate, in place of those of the system. A change of its content needs a reload."+relative,
		func(u *Upstream) *string { return &u.TLS.CA })
	ca.initial = "those of the system"
	server := text("tls.server_name", "a host name or an IP address, without port",
		"Name, or address, that the upstream is asked for and that its certificate has to be for. Set it when that is not the host of the URL.",
		func(u *Upstream) *string { return &u.TLS.ServerName }, readServerName)
	server.initial = "the host of the URL"
	server.omit = func(u *Upstream) bool { return u.TLS.ServerName == "" }
	insecure := toggle("tls.insecure",
		"Takes every certificate, so that whoever is on the way can read and change everything. Only to try things; a warning is logged at each start. Name the authority in `ca` instead.",
		func(u *Upstream) *bool { return &u.TLS.Insecure })
	return []field[Upstream]{
		ca,
		server,
		optionalPath("tls.cert",
			"File with this router's own certificate (PEM), for an upstream that demands one: mutual TLS. Changed files are taken on by themselves."+relative,
			func(u *Upstream) *string { return &u.TLS.Cert }),
		optionalPath("tls.key",
			"File with the private key of `cert` (PEM), not encrypted. It may be the same file."+relative,
			func(u *Upstream) *string { return &u.TLS.Key }),
		when(insecure, (*Upstream).encrypted),
	}
}

func poolKeys() []field[Config] {
	return []field[Config]{
		integer("pool.spares", 0, mostSpares, "none",
			"Connections to each upstream, TLS included, that are opened before anybody needs them, so that a new session costs one round trip less, and three with TLS. A few; each is a connection that the upstream keeps for nothing.",
			func(c *Config) *int { return &c.Pool.Spares }),
		duration("pool.spare_age", time.Second, day, "",
			"How long such a connection may wait at most before another one takes its place. Less than the time after which the upstream closes a connection on which nothing is asked.",
			func(c *Config) *time.Duration { return &c.Pool.SpareAge }),
	}
}

// mostSpares is far above what a few connections in advance are good for.
const mostSpares = 1000
