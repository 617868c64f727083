package proxy

import (
	"errors"
	"fmt"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// Service says that a route stands for Azure SignalR Service or Azure Web PubSub:
// applications and clients speak to it as to one instance, with a key of its own.
//
// The path of the route is no part of what the upstreams see. Below it are
// answered, beside the WebSockets of clients:
//
//   - negotiate, for clients that ask where to connect;
//   - api/health, 200 while at least one upstream is healthy;
//   - api/upstreams, the upstreams with what routing believes of them;
//   - the calls of the REST API, which go to all upstreams that they concern.
//
// A route of SignalR whose upstreams have no connection strings stands for servers
// that applications host themselves. Their tokens are their own business, and
// there is no REST API; negotiations go to an upstream, and what follows them
// goes there as well.
type Service struct {
	// Kind is what the upstreams speak.
	Kind azure.Service
	// AccessKeys are the keys of the route, 1 to 4, two being what rotation needs:
	// tokens that one of them has signed are taken, and the first signs. Required,
	// unless the upstreams have no connection strings; then they sign only the
	// hints about where a connection is.
	AccessKeys []azure.Key
	// Hubs are the hubs that clients may ask for, in any case of letters; none means
	// all. With exactly one it is the hub of clients that name none.
	Hubs []string
	// Public is the URL by which clients reach the route, its path included: clients
	// are led there, and tokens of the route are for it. Zero means the URL that a
	// request came to, by its Host field and by what trusted proxies say.
	Public azure.Base
	// Open answers negotiations without a token. Then whoever reaches the route can
	// connect.
	Open bool
	// Negotiate says how negotiations are answered.
	Negotiate Negotiate
	// CloseAtExpiry closes sessions when the token expires that they were opened
	// with, with Close 1008.
	CloseAtExpiry bool
}

// Negotiate says how a route answers negotiations.
type Negotiate struct {
	// Via says whether clients are led to this router or to the upstream itself.
	// Default this router.
	Via negotiate.Via
	// User says where the user id comes from. Default the query, then the token.
	User negotiate.User
	// Roles and Groups are given to every client of Web PubSub that negotiates.
	Roles, Groups []string
	// Lifetime is that of tokens. Default an hour.
	Lifetime time.Duration
	// MaxAge is how old the last probe of an upstream may be when a client
	// negotiates: older ones are probed first, all at once, and one that fails is
	// taken only if there is no other. 0 means that the probes come by themselves.
	MaxAge time.Duration
}

// Affinity is what the router [pool.Hash] goes by.
type Affinity struct {
	// By says what it is. Default nothing.
	By AffinityBy
	// Name is the name of the header field, in any case of letters, or of the
	// parameter of the query.
	Name string
}

// AffinityBy says what an affinity is made of.
type AffinityBy uint8

// What it can be made of.
const (
	NoAffinity       AffinityBy = iota
	AffinityByClient            // the client's address
	AffinityByHeader            // a header field
	AffinityByQuery             // a parameter of the query
	AffinityByUser              // the user id in the client's token; only with a Service
)

// Fanout bounds the calls that go to many upstreams. Zero values mean the
// defaults of package fanout.
type Fanout struct {
	// Deadline is the time that each upstream has for a call. Default 5 s.
	Deadline time.Duration
	// MaxBody is the longest body of a call, in bytes. Default 1 MiB.
	MaxBody int64
	// Backlog is how many calls of a route are under way at once; those beyond get
	// 503. Default 256.
	Backlog int
	// Retries is how often a failed call is tried again at an upstream, 0 to 3, if
	// that makes no difference. Messages are sent once.
	Retries int
}

// check reports what is wrong with a route's own settings of a service.
func (s *Service) check(upstreams []*pool.Upstream) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Kind > azure.SignalR {
		bad("%v is unknown", s.Kind)
	}
	for _, hub := range s.Hubs {
		if err := azure.CheckHub(hub); err != nil {
			bad("hub %q: %w", hub, err)
		}
	}
	with := 0
	for _, u := range upstreams {
		if _, ok := u.Connection(); ok {
			with++
		}
	}
	switch {
	case with == 0 && s.Kind == azure.SignalR: // servers of the application's own
		if s.CloseAtExpiry {
			bad("close at expiry needs upstreams with connection strings: the tokens of other servers are not read")
		}
	case with < len(upstreams):
		for _, u := range upstreams {
			if _, ok := u.Connection(); !ok {
				bad("upstream %q has no connection string", u.Name())
			}
		}
	case len(s.AccessKeys) == 0:
		bad("access keys are missing")
	}
	if len(s.AccessKeys) > maxAccessKeys {
		bad("more than %d access keys", maxAccessKeys)
	}
	return errors.Join(errs...)
}

const maxAccessKeys = 4
