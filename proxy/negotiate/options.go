package negotiate

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
)

// Via says where clients are led.
type Via uint8

const (
	// ViaProxy leads them to this router, with a token that a key of the route has signed. The upstream is picked when they connect.
	ViaProxy Via = iota
	// ViaDirect leads them to the upstream that was picked, with a token of that upstream; this router carries none of their frames.
	ViaDirect
)

// String returns "proxy" or "direct".
func (v Via) String() string {
	if v == ViaDirect {
		return "direct"
	}
	return "proxy"
}

// ParseVia is the inverse of [Via.String]. The error names the value and what is allowed.
func ParseVia(text string) (Via, error) {
	switch text {
	case "proxy":
		return ViaProxy, nil
	case "direct":
		return ViaDirect, nil
	default:
		return 0, fmt.Errorf("via %q is not one of proxy, direct", text)
	}
}

// User says where a negotiation takes the user id from.
type User uint8

const (
	// UserFromQuery takes it from the parameter userId, or if there is none from the caller's token.
	UserFromQuery User = iota
	// UserFromToken takes it from the caller's token only.
	UserFromToken
	// NoUser makes every client anonymous.
	NoUser
)

// Upstream is one service instance.
type Upstream struct {
	// Upstream is what routing knows of it. Its name is the one that [Options.Pick] returns it by.
	*pool.Upstream
	// Connection is how it is reached; its key signs the tokens for it.
	Connection azure.ConnectionString
}

// Options configures a [Negotiator].
type Options struct {
	// Service is what the route speaks.
	Service azure.Service
	// Upstreams are those of the route's set, one at least, in the order in which they are listed.
	Upstreams []Upstream
	// Pick picks one of them for a new client, usually with [pool.Set.Pick] and an immediate release. An error that is a [Refusal]
	// is answered as it says, any other with 503. Required.
	Pick func(pool.Request) (*pool.Upstream, error)
	// Keys are the route's own access keys, 1 to 4: all are taken for requests, the first signs. Required.
	Keys []azure.Key
	// Public are the URLs of this router that clients may be told and tokens may be for, the first being the one that is told. None
	// means the one that the request came to.
	Public []azure.Base
	// Via says where clients are led.
	Via Via
	// Hubs are the hubs that clients may ask for, in any case of letters; none means all. With exactly one it is the hub of requests
	// that name none.
	Hubs []string
	// Open answers negotiations without a token. Then whoever reaches the route can connect, with UserFromQuery as any user.
	// Without it, a negotiation needs a token that a key of the route has signed for its URL.
	Open bool
	// User says where the user id comes from.
	User User
	// Roles and Groups are given to every client of Web PubSub that negotiates.
	Roles, Groups []string
	// Lifetime is that of tokens from negotiations, a second to a year. 0 means [azure.DefaultLifetime].
	Lifetime time.Duration
	// Origins are those whose pages may negotiate from a browser; "*" stands for every one. With some, all other origins get 403;
	// with none, only pages of this origin can read the answer, because browsers keep it from others.
	Origins []string
	// Admits reports whether an origin is one of them, for lists in another form than that; nil compares.
	Admits func(origin string) bool
	// Steer puts into the URLs of [Negotiator.List] which upstream they are for, with [ViaProxy]. Nil leaves it out; then all of
	// them lead to the upstream that routing picks.
	Steer *Affinity
}

const (
	maxLifetime = 365 * 24 * time.Hour
	maxList     = 256 // roles, groups, origins
	maxGroup    = 1024
)

// ownIssuer is the name of the route among the issuers of tokens.
const ownIssuer = "route"

// Negotiator answers negotiations of one route. Make one with [New].
type Negotiator struct {
	o        Options // a copy with defaults
	verifier *azure.Verifier
}

// New makes a negotiator. It reports all mistakes in o together, copies it, and starts nothing.
func New(o Options) (*Negotiator, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if o.Pick == nil {
		bad("pick is missing")
	}
	if len(o.Upstreams) == 0 {
		bad("no upstreams")
	}
	names := make(map[string]bool)
	for i, u := range o.Upstreams {
		switch {
		case u.Upstream == nil:
			bad("upstream %d is nil", i)
		case names[u.Name()]:
			bad("upstream %q is given twice", u.Name())
		case u.Connection.Key.IsZero() || u.Connection.Endpoint.IsZero():
			bad("upstream %q has no connection string", u.Name())
		default:
			names[u.Name()] = true
		}
	}
	for _, hub := range o.Hubs {
		if err := azure.CheckHub(hub); err != nil {
			bad("hub %q: %w", hub, err)
		}
	}
	if o.Lifetime == 0 {
		o.Lifetime = azure.DefaultLifetime
	}
	if o.Lifetime < time.Second || o.Lifetime > maxLifetime {
		bad("lifetime %v is not between 1s and %v", o.Lifetime, maxLifetime)
	}
	if slices.ContainsFunc(o.Public, azure.Base.IsZero) {
		bad("a public URL is empty")
	}
	for _, g := range o.Groups {
		if err := checkGroup(g); err != nil {
			bad("groups: %w", err)
		}
	}
	if len(o.Roles) > maxList || len(o.Groups) > maxList || len(o.Origins) > maxList {
		bad("more than %d roles, groups or origins", maxList)
	}
	if o.Service == azure.SignalR && (len(o.Roles) > 0 || len(o.Groups) > 0) {
		bad("roles and groups are for Web PubSub, not for SignalR")
	}
	if o.Via > ViaDirect || o.User > NoUser || o.Service > azure.SignalR {
		bad("via, user or service is unknown")
	}
	verifier, err := azure.NewVerifier(azure.VerifierOptions{Issuers: []azure.Issuer{{Name: ownIssuer, Keys: o.Keys, Bases: o.Public}}})
	if err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("negotiation: %w", err)
	}
	o.Upstreams, o.Keys, o.Public = slices.Clone(o.Upstreams), slices.Clone(o.Keys), slices.Clone(o.Public)
	o.Roles, o.Groups, o.Origins = slices.Clone(o.Roles), slices.Clone(o.Groups), slices.Clone(o.Origins)
	o.Hubs = slices.Clone(o.Hubs)
	return &Negotiator{o: o, verifier: verifier}, nil
}
