package config

import (
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// Negotiate says how a route answers negotiations.
type Negotiate struct {
	// Via says where clients are led. Default negotiate.ViaProxy.
	Via negotiate.Via
	// Roles and Groups are given to every client; only with ProtocolWebPubSub.
	// Default none.
	Roles, Groups []string
	// UserFromQuery takes the user id from the parameter userId, or if there is
	// none from the caller's token; otherwise from the token only. Default true.
	UserFromQuery bool
	// Open answers negotiations without a token. Default false.
	Open bool
	// Lifetime is that of tokens, 1s to 8760h. Default azure.DefaultLifetime.
	Lifetime time.Duration
}

// Hash says what RouterHash goes by.
type Hash struct {
	// By says what it is. Default HashByClient.
	By HashBy
	// Name is the name of the header field or of the parameter of the query;
	// required with HashByHeader and HashByQuery, empty otherwise.
	Name string
}

// HashBy says what RouterHash goes by.
type HashBy string

// What it can go by.
const (
	// HashByClient is the client's address.
	HashByClient HashBy = "client"
	// HashByUser is the user id in the client's token.
	HashByUser HashBy = "user"
	// HashByHeader is a header field of the handshake.
	HashByHeader HashBy = "header"
	// HashByQuery is a parameter of its query.
	HashByQuery HashBy = "query"
)

// Query says how RouterQuery lets clients name their upstream.
type Query struct {
	// Name is the name of the parameter. Default "endpoint".
	Name string
	// Strict refuses clients without it. Default false.
	Strict bool
}

// GroupPrefix says where groups are.
type GroupPrefix struct {
	// Prefix begins the names of the groups. Required, unique in a route.
	Prefix string
	// Upstreams are the only ones that calls about these groups go to. Required.
	Upstreams []string
}

// Fanout bounds the calls that go to many upstreams.
type Fanout struct {
	// Timeout is the time that each upstream has for a call, 1ms to 24h. Default
	// 5s.
	Timeout time.Duration
	// MaxBody is the longest body of a call, 1KiB to 64MiB. Default 1MiB.
	MaxBody ByteSize
	// Backlog is how many calls of a route are under way at once, 1 to 100000.
	// Default 256.
	Backlog int
	// Retry is how often a failed call is tried again at an upstream, 0 to 3.
	// Default 0.
	Retry int
}

// Connection returns what the connection string of u says; not ok without one.
// In a Config from this package it is right.
func (u *Upstream) Connection() (c azure.ConnectionString, ok bool) {
	if u.ConnectionString == "" {
		return c, false
	}
	c, err := azure.ParseConnectionString(string(u.ConnectionString))
	return c, err == nil
}

// Azure reports whether a route stands for one of the Azure services, and which.
func (p Protocol) Azure() (azure.Service, bool) {
	s, err := azure.ParseService(string(p))
	return s, err == nil
}

// protocolOf is the inverse of Protocol.Azure.
func protocolOf(s azure.Service) Protocol { return Protocol(s.String()) }

// HTTP says what becomes of requests that are no WebSocket handshakes.
type HTTP struct {
	// Pass passes them to an upstream. Default false: they are refused.
	Pass bool
	// Affinity says how the requests of one client find the same upstream. Default
	// proxy.AffinityByID.
	Affinity proxy.HTTPAffinity
	// Cookie is the name of the cookie with proxy.AffinityByCookie. Default
	// "pointsman".
	Cookie string
	// AnswerTimeout is how long an upstream may take to begin its answer, 1ms to
	// 24h. Default 150s.
	AnswerTimeout time.Duration
	// IdleTimeout is how long the connection of a client waits for its next
	// request, 1ms to 24h. Default 30s.
	IdleTimeout time.Duration
	// BodyTimeout is how long a client may send nothing within a body, 1ms to 24h.
	// Default 30s.
	BodyTimeout time.Duration
}
