package negotiate

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
)

const (
	defaultMinutes = 60
	maxMinutes     = int(maxLifetime / time.Minute)
)

// What is wrong with the parameters of a call.
var (
	errVersion = errors.New("api-version is missing or given twice")
	errMinutes = fmt.Errorf("minutesToExpire is not a number from 1 to %d", maxMinutes)
	errKind    = errors.New("clientType is not one of Default, MQTT, SocketIO")
)

// generated is the answer of the REST API. URL is not part of it: it comes with [ViaDirect], because the token is of no use without
// it.
type generated struct {
	Token string `json:"token"`
	URL   string `json:"url,omitempty"`
}

// GenerateToken answers the call POST /api/hubs/{hub}/:generateToken of both REST APIs. hub is unescaped. The query has api-version,
// userId and minutesToExpire (1 to a year, default 60), and for Web PubSub any number of role and group, and clientType, which is
// Default, MQTT or SocketIO. The call needs a token that a key of the route has signed for its URL, also on an open route.
//
// The answer is {"token":…}. Errors have the form of the REST API, but for 401, which has always the same, and 414 and 431, when the
// caller's token is too long: 400 for a hub or parameter that is bad, 405, 413, 503 with Retry-After, and what a [Refusal] says.
func (n *Negotiator) GenerateToken(r Request, hub string) Answer {
	if r.Method != http.MethodPost {
		return notAllowed("POST")
	}
	if _, err := n.caller(r); err != nil {
		return refuseCaller(r, err)
	}
	q, err := parseQuery(r.Query)
	if err != nil {
		return badQuery(err)
	}
	if _, ok := n.serves(hub); !ok {
		return restError(http.StatusBadRequest, "BadRequest", "hub", "Invalid value of 'hub'.")
	}
	g, resource, target, err := n.asked(q, hub)
	if err != nil {
		return restError(http.StatusBadRequest, "BadRequest", target, "Invalid request: "+err.Error()+".")
	}
	p, upstream, refused := n.pick(r)
	if refused != nil {
		return *refused
	}
	token, err := n.mint(p, resource, g)
	if err != nil {
		return cannotMint(err)
	}
	body := generated{Token: token}
	if n.o.Via == ViaDirect {
		body.URL = resource.WebSocketURL(p.at)
		if n.o.Service == azure.SignalR {
			body.URL = resource.URL(p.at)
		}
	}
	a := encoded(http.StatusOK, body)
	a.Upstream = upstream
	return a
}

// asked reads what a call asks for. target is the parameter that is at fault.
func (n *Negotiator) asked(q query, hub string) (g grant, resource azure.Resource, target string, err error) {
	if version, err := q.one("api-version"); err != nil || version == "" {
		return g, resource, "api-version", errVersion
	}
	if g.user, err = q.one("userId"); err == nil {
		err = checkText("userId", g.user)
	}
	if err != nil {
		return g, resource, "userId", err
	}
	if g.lifetime, err = lifetimeOf(q); err != nil {
		return g, resource, "minutesToExpire", err
	}
	if n.o.Service == azure.SignalR {
		resource, err = azure.ClientResource(azure.SignalR, hub)
		return g, resource, "hub", err
	}
	g.roles, g.groups = q.many("role"), q.many("group")
	for _, role := range g.roles {
		if err := checkText("role", role); err != nil {
			return g, resource, "role", err
		}
	}
	for _, group := range g.groups {
		if err := checkGroup(group); err != nil {
			return g, resource, "group", err
		}
	}
	kind, err := q.one("clientType")
	if err != nil {
		return g, resource, "clientType", err
	}
	switch strings.ToLower(kind) {
	case "", "default":
		resource, err = azure.ClientResource(azure.WebPubSub, hub)
	case "mqtt":
		resource, err = azure.MQTTResource(hub)
	case "socketio": // in previews; unverified
		resource, err = azure.SocketIOResource(hub)
	default:
		err = errKind
	}
	return g, resource, "clientType", err
}

func lifetimeOf(q query) (time.Duration, error) {
	word, err := q.one("minutesToExpire")
	if err != nil || word == "" {
		return defaultMinutes * time.Minute, err
	}
	minutes, err := strconv.Atoi(word)
	if err != nil || minutes < 1 || minutes > maxMinutes {
		return 0, errMinutes
	}
	return time.Duration(minutes) * time.Minute, nil
}
