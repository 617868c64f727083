package proxy

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/fanout"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// The paths of what is answered here, behind that of the route.
const (
	restPaths         = "/api/"
	healthPath        = "/api/health"
	healthPath1       = "/api/v1/health" // of the REST API of SignalR, version 1.0
	listPath          = "/api/upstreams"
	negotiatePath     = "/negotiate"
	clientNegotiation = "/client/negotiate" // of SignalR, at the service itself
)

// EndpointsField is the header field in which a call of the REST API may name the
// upstreams that it is for, separated by commas. Without it the route's policy
// says.
const EndpointsField = "X-Pointsman-Endpoints"

// takes reports whether a plain request is one that the desk answers.
func (d *desk) takes(r *handshake.Request) bool {
	path, ok := d.below(r.Path)
	switch {
	case !ok:
		return false
	case strings.HasPrefix(path, restPaths):
		return !d.transparent()
	case d.Kind == azure.SignalR: // below any path: that of the application's hub
		return strings.HasSuffix(path, negotiatePath)
	default:
		return path == negotiatePath
	}
}

// serveDesk answers a plain request that the desk takes.
func (p *Proxy) serveDesk(c *clientConn, in *content) (reply, error) {
	d := c.route.desk
	path, _ := d.below(c.request.Path)
	switch {
	case p.stopping.Load():
		return reply{}, errStopping
	case path == healthPath || path == healthPath1 && d.Kind == azure.SignalR:
		return d.health(string(c.request.Method), p.unready.Load()), nil
	case p.memory.isShort():
		return reply{}, errMemory
	case path == listPath:
		return negotiated(d.negotiator.List(d.asks(c, path))), nil
	case path == clientNegotiation && d.Kind == azure.SignalR, d.transparent():
		return p.negotiateThere(c)
	case !strings.HasPrefix(path, restPaths):
		return negotiated(d.negotiator.Negotiate(d.asks(c, path))), nil
	}
	return p.callREST(c, path, in)
}

// asks is a request as package negotiate sees it.
func (d *desk) asks(c *clientConn, path string) negotiate.Request {
	query := string(c.request.Query)
	return negotiate.Request{
		Request: pool.Request{
			Host: string(c.request.Host), Path: path, Query: query, Client: c.address(), Affinity: c.affinity(query),
		},
		Method:        string(c.request.Method),
		Base:          d.base(c),
		Authorization: field(&c.request, "Authorization"),
		Origin:        field(&c.request, "Origin"),
		AskedMethod:   field(&c.request, "Access-Control-Request-Method"),
	}
}

// health says whether a client would find an upstream here, and is wanted.
func (d *desk) health(method string, leaving bool) reply {
	switch {
	case method != http.MethodGet && method != http.MethodHead:
		return notAllowed("GET, HEAD")
	case !leaving && slices.ContainsFunc(d.set.Upstreams(), (*pool.Upstream).Usable):
		return reply{status: http.StatusOK, fields: [][2]string{{"Cache-Control", "no-store"}}}
	}
	wait := retryAfterLeast + rand.IntN(retryAfterMost-retryAfterLeast+1)
	return reply{status: http.StatusServiceUnavailable, fields: [][2]string{{retryAfter, strconv.Itoa(wait)}, {"Cache-Control", "no-store"}}}
}

// callREST answers a call of the REST API.
func (p *Proxy) callREST(c *clientConn, path string, in *content) (reply, error) {
	d := c.route.desk
	call, err := fanout.Match(d.Kind, string(c.request.Method), path)
	switch {
	case err != nil:
		return fannedOut(fanout.Refuse(err)), nil
	case call.Kind == fanout.Local: // :generateToken; the others were answered before
		return negotiated(d.negotiator.GenerateToken(d.asks(c, path), call.Hub)), nil
	}
	base := d.base(c)
	var token *azure.Token
	text, err := azure.FindToken(field(&c.request, "Authorization"), string(c.request.Query))
	if err == nil {
		token, err = d.guard.Verify(text, base, azure.RESTResource(d.Kind, path))
	}
	if err != nil {
		return reply{}, refuseToken(err)
	}
	if call.Hub != "" && !d.serves(call.Hub) {
		return reply{}, errHub
	}
	fields := make([][2]string, 0, len(c.request.Fields))
	for _, f := range c.request.Fields {
		fields = append(fields, [2]string{string(f.Name), string(f.Value)})
	}
	// Not until the client has gone, but until the process ends: half of a
	// broadcast is worse than all of it.
	return fannedOut(d.fanout.Do(p.cut, call, fanout.Request{
		Query: string(c.request.Query), Base: base, Token: token, Fields: fields,
		Body: in, Length: in.length, Targets: d.targets(call, c),
	})), nil
}

// targets are the names of the upstreams that a call is for, nil for all.
func (d *desk) targets(call fanout.Call, c *clientConn) []string {
	if names, given := c.request.Value(EndpointsField); given {
		list := []string{}
		for name := range strings.SplitSeq(string(names), ",") {
			list = append(list, strings.TrimSpace(name))
		}
		return list
	}
	list := d.set.Upstreams()
	chosen := list
	by := func(decide func(string, []*pool.Upstream) []*pool.Upstream, what string) {
		if what != "" && decide != nil {
			chosen = decide(what, chosen)
		}
	}
	switch {
	case call.ConnectionID != "":
		by(d.policy.Connection, call.ConnectionID)
	case call.Group != "" || call.User != "":
		by(d.policy.Group, call.Group)
		by(d.policy.User, call.User)
	case d.policy.Broadcast != nil:
		chosen = d.policy.Broadcast(list)
	}
	if len(chosen) == len(list) {
		return nil
	}
	names := []string{}
	for _, u := range chosen {
		names = append(names, u.Name())
	}
	return names
}
