package negotiate

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"github.com/pointsman/pointsman/internal/azure"
)

// Negotiate answers a client that asks where to connect.
//
//   - Web PubSub: GET or POST with hub and userId in the query, answered {"url":"wss://…?access_token=…"}.
//   - SignalR: POST with hub, userId and negotiateVersion, answered {"url":…,"accessToken":…,"availableTransports":[]}, from version 1
//     on with "negotiateVersion":1. What else is in the query goes into the url, where the upstream and the routers here find it. A
//     version that is no number or below 0 gets {"error":…}, one above 1 gets version 1, as from a server.
//
// Refusals: 400 for a hub that is missing, bad, given twice or not the route's, and for a query that cannot be read; 401 for a token
// that is missing or bad, whatever is wrong with it; 403 for an origin that is not admitted; 405 for another method; 413 when the
// token would be too long; 414 and 431 when the caller's is; 503 with Retry-After when no upstream is available; what a [Refusal]
// says. A preflight request of an admitted origin gets 204. The body of a request is not looked at.
func (n *Negotiator) Negotiate(r Request) Answer {
	methods := "GET, POST"
	if n.o.Service == azure.SignalR {
		methods = "POST"
	}
	if a, done := n.crossOrigin(r, methods); done {
		return a
	}
	if r.Method != http.MethodPost && (r.Method != http.MethodGet || n.o.Service == azure.SignalR) {
		return n.readable(r, notAllowed(methods+", OPTIONS"))
	}
	return n.readable(r, n.negotiate(r))
}

func (n *Negotiator) negotiate(r Request) Answer {
	q, err := parseQuery(r.Query)
	if err != nil {
		return badQuery(err)
	}
	token, refused := n.authenticate(r)
	if refused != nil {
		return *refused
	}
	hub, err := n.hubOf(q)
	if err != nil {
		return refuseHub(err)
	}
	user, err := n.userOf(q, token)
	if err != nil {
		return badQuery(err)
	}
	resource, err := azure.ClientResource(n.o.Service, hub)
	if err != nil {
		return badHub()
	}
	version := 0
	if n.o.Service == azure.SignalR {
		var wrong string
		if version, wrong = versionOf(q); wrong != "" {
			return encoded(http.StatusOK, map[string]string{"error": wrong})
		}
	}
	p, upstream, refused := n.pick(r)
	if refused != nil {
		return *refused
	}
	g := grant{user: user, roles: n.o.Roles, groups: n.o.Groups, lifetime: n.o.Lifetime}
	access, err := n.mint(p, resource, g)
	if err != nil {
		return cannotMint(err)
	}
	a := encoded(http.StatusOK, n.where(r, p, resource, access, version))
	a.Upstream = upstream
	return a
}

// redirect is what sends a SignalR client elsewhere. The list of transports is empty there, as the service's SDK has it.
type redirect struct {
	Version    int      `json:"negotiateVersion,omitempty"`
	URL        string   `json:"url"`
	Token      string   `json:"accessToken"`
	Transports []string `json:"availableTransports"`
}

func (n *Negotiator) where(r Request, p place, resource azure.Resource, token string, version int) any {
	if n.o.Service == azure.WebPubSub {
		return map[string]string{"url": withToken(resource.WebSocketURL(p.at), token)}
	}
	to := resource.URL(p.at)
	if rest := without(r.Query, consumed...); rest != "" {
		to += "&" + rest
	}
	return redirect{Version: version, URL: to, Token: token, Transports: []string{}}
}

// consumed are the parameters, in lower case, that do not go into the URL of a redirect: they are answered by it, or the client gives
// them again.
var consumed = []string{"hub", "userid", "negotiateversion", "usestatefulreconnect", azure.TokenParameter, "id", SteerParameter}

// withToken is a URL without a query and the token in it, as clients of Web PubSub take it.
func withToken(to, token string) string {
	return to + "?" + azure.TokenParameter + "=" + url.QueryEscape(token)
}

// maxVersion is the newest version of SignalR's negotiation.
const maxVersion = 1

// versionOf finds the version to answer with, or what is wrong with the one that was asked for.
func versionOf(q query) (version int, wrong string) {
	asked, err := q.one("negotiateVersion")
	if err != nil {
		return 0, "The negotiation protocol version is given more than once."
	}
	if asked == "" {
		return 0, ""
	}
	version, err = strconv.Atoi(asked)
	switch {
	case errors.Is(err, strconv.ErrRange) && asked[0] != '-':
		return maxVersion, ""
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, "The negotiation protocol version is not a number."
	case version < 0:
		return 0, "The negotiation protocol version is not supported."
	default:
		return min(version, maxVersion), ""
	}
}
