package proxy

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/fanout"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// desk is what a route has at hand to stand for a service. It is made with its
// world and does not change; what it has learned goes on in the next world.
type desk struct {
	*Service
	set    *pool.Set
	policy pool.Policy
	names  []string // of the upstreams
	prefix string   // of the route's path, without a slash at its end

	// places knows which upstream has which connection: by the connection tokens
	// of SignalR and by the tokens that sessions were opened with.
	places *negotiate.Affinity

	// Nil where the upstreams are servers of the application's own.
	guard      *azure.Verifier
	negotiator *negotiate.Negotiator
	fanout     *fanout.Fanout
}

// own is the issuer of a route's own tokens, which no upstream is called.
const ownIssuer = ""

// newDesk makes the desk of a route that was checked. before, which may be nil, is
// the one in the world before.
func newDesk(r *Route, o *Options, before *desk) (*desk, error) {
	d := &desk{Service: r.Service, set: r.Set, policy: r.Policy, prefix: trimSlash(r.Path)}
	upstreams := r.Set.Upstreams()
	for _, u := range upstreams {
		d.names = append(d.names, u.Name())
	}
	if err := d.keepPlaces(before); err != nil {
		return nil, err
	}
	if _, ok := upstreams[0].Connection(); !ok {
		return d, nil
	}
	issuers := []azure.Issuer{{Name: ownIssuer, Keys: d.AccessKeys, Bases: d.public()}}
	known := make([]negotiate.Upstream, 0, len(upstreams))
	for _, u := range upstreams {
		c, _ := u.Connection()
		issuers = append(issuers, c.Issuer(u.Name()))
		known = append(known, negotiate.Upstream{Upstream: u, Connection: c})
	}
	var err error
	if d.guard, err = azure.NewVerifier(azure.VerifierOptions{Issuers: issuers}); err != nil {
		return nil, err
	}
	if d.negotiator, err = negotiate.New(negotiate.Options{
		Service: d.Kind, Upstreams: known, Pick: d.pickFor(r), Keys: d.AccessKeys, Public: d.public(), Via: d.Negotiate.Via,
		Hubs: d.Hubs, Open: d.Open, User: d.Negotiate.User, Roles: d.Negotiate.Roles, Groups: d.Negotiate.Groups,
		Lifetime: d.Negotiate.Lifetime, Origins: r.Origins, Admits: r.allowed.admits, Steer: d.places,
	}); err != nil {
		return nil, err
	}
	var directory *fanout.Directory
	if before != nil && before.fanout != nil && before.Kind == d.Kind {
		directory = before.fanout.Directory()
	}
	d.fanout, err = fanout.New(fanout.Options{
		Service: d.Kind, Upstreams: reachable(upstreams), Deadline: o.Fanout.Deadline, MaxBody: o.Fanout.MaxBody,
		Backlog: o.Fanout.Backlog, Retries: o.Fanout.Retries, Directory: directory, Logger: o.Logger,
	})
	return d, err
}

// keepPlaces takes over what the desk before has learned, unless the keys that
// sign hints are others.
func (d *desk) keepPlaces(before *desk) error {
	if before != nil && slices.EqualFunc(before.AccessKeys, d.AccessKeys, azure.Key.Equal) {
		d.places = before.places
		return nil
	}
	var err error
	d.places, err = negotiate.NewAffinity(negotiate.AffinityOptions{Keys: d.AccessKeys})
	return err
}

// reachable is what the fan-out has to know of upstreams with connection strings.
// An upstream that takes no new sessions still has its clients, and gets the
// calls for them.
func reachable(upstreams []*pool.Upstream) []fanout.Upstream {
	list := make([]fanout.Upstream, 0, len(upstreams))
	for _, u := range upstreams {
		c, _ := u.Connection()
		list = append(list, fanout.Upstream{
			Name: u.Name(), Base: c.ServerBase(), Endpoint: c.Endpoint, Key: c.Key, TLS: u.ServiceTLS(), Healthy: u.Healthy,
		})
	}
	return list
}

func (d *desk) public() []azure.Base {
	if d.Public.IsZero() {
		return nil
	}
	return []azure.Base{d.Public}
}

// transparent reports whether the upstreams are servers of the application's own,
// whose tokens are not ours to read.
func (d *desk) transparent() bool { return d.guard == nil }

// below returns the part of a raw path behind that of the route.
func (d *desk) below(path []byte) (string, bool) {
	rest, ok := bytes.CutPrefix(path, []byte(d.prefix))
	switch {
	case !ok: // written in another way than the route's
		return "", false
	case len(rest) == 0:
		return "/", true
	}
	return string(rest), rest[0] == '/'
}

// base is where a request was sent to, as the client sees it: with what trusted
// proxies say, and the path of the route. It is zero if that is no URL.
func (d *desk) base(c *clientConn) azure.Base {
	if !d.Public.IsZero() {
		return d.Public
	}
	proto, host := c.proto(), c.request.Host
	if p := c.trail.Proto(); p != nil {
		proto = string(p)
	}
	if h := c.trail.Host(); h != nil {
		host = h
	}
	b, err := azure.ParseBase(proto + "://" + string(host) + d.prefix)
	if err != nil {
		return azure.Base{}
	}
	return b
}

// serves reports whether clients may ask for a hub.
func (d *desk) serves(hub string) bool {
	return len(d.Hubs) == 0 || slices.ContainsFunc(d.Hubs, func(h string) bool { return azure.SameHub(h, hub) })
}

// upstream finds one by its name, nil if it is not there.
func (d *desk) upstream(name string) *pool.Upstream {
	for _, u := range d.set.Upstreams() {
		if u.Name() == name {
			return u
		}
	}
	return nil
}

// field returns the value of a header field as text, "" if it is missing.
func field(r *handshake.Request, name string) string {
	value, _ := r.Value(name)
	return string(value)
}

func trimSlash(path string) string {
	for len(path) > 0 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path
}

// pickFor returns how a negotiation on r picks an upstream.
func (d *desk) pickFor(r *Route) func(pool.Request) (*pool.Upstream, error) {
	set, required := r.Set, r.RequireQuery
	return func(request pool.Request) (*pool.Upstream, error) {
		if required != "" {
			if _, ok := pool.QueryValue(request.Query, required); !ok {
				return nil, negotiate.Refuse(errParameter.Status, errParameter.Reason)
			}
		}
		lease, err := set.Pick(request, d.doubted())
		if err != nil { // rather one in doubt than none
			lease, err = set.Pick(request, pool.Tried{})
		}
		if err != nil {
			return nil, fmt.Errorf("negotiation: %w", err)
		}
		defer lease.Release()
		return lease.Upstream(), nil
	}
}

// signalR reports whether the route's clients speak SignalR.
func (d *desk) signalR() bool { return d.Kind == azure.SignalR }
