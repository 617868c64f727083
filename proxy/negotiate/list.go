package negotiate

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
)

// listed is one upstream in the form that the binding of Azure Functions gives it.
type listed struct {
	Type       string    `json:"endpointType"`
	Name       string    `json:"name"`
	Endpoint   string    `json:"endpoint"`
	Online     bool      `json:"online"`
	Connection *howToGet `json:"connectionInfo,omitempty"`
}

var errForm = errors.New("form is not one of negotiation, endpoints")

// howToGet is where and with what a client connects. Clients of Web PubSub take URL alone, which has the token in it.
type howToGet struct {
	URL     string `json:"url"`
	BaseURL string `json:"baseUrl,omitempty"`
	Token   string `json:"accessToken"`
}

// List answers GET /api/upstreams: all upstreams of the route in their order. The query has hub, userId and form:
//
//   - form=negotiation, the default: {"endpoints":[{"endpointType":"Primary","name":…,"endpoint":…,"online":…,"connectionInfo":
//     {"url":…,"accessToken":…}}]}, as from the binding signalRNegotiation. connectionInfo lets a client connect to this very
//     upstream.
//   - form=endpoints: an array of the same objects without connectionInfo, as from signalREndpoints. It needs no hub.
//
// online is true while the upstream takes new sessions, full or not. With [ViaProxy] the endpoint and the URLs are those of this
// router, and [Options.Steer] says whether the URLs lead to their upstreams.
//
// The call needs a token that a key of the route has signed for its URL, also on an open route. Refusals are those of
// [Negotiator.Negotiate], but 503: an empty prospect is what the list is for.
func (n *Negotiator) List(r Request) Answer {
	if r.Method != http.MethodGet {
		return notAllowed("GET")
	}
	token, err := n.caller(r)
	if err != nil {
		return refuseCaller(r, err)
	}
	q, err := parseQuery(r.Query)
	if err != nil {
		return badQuery(err)
	}
	form, err := q.one("form")
	if err == nil && form != "" && form != "negotiation" && form != "endpoints" {
		err = errForm
	}
	if err != nil {
		return badQuery(err)
	}
	own, known := n.own(r)
	if n.o.Via == ViaProxy && !known {
		return text(http.StatusBadRequest, "Invalid request: the Host field is no host")
	}
	list := make([]listed, len(n.o.Upstreams))
	for i, u := range n.o.Upstreams {
		list[i] = listed{Type: "Primary", Name: u.Name(), Endpoint: u.Connection.Endpoint.String(), Online: u.Usable()}
		if u.Role() == pool.Secondary {
			list[i].Type = "Secondary"
		}
		if n.o.Via == ViaProxy {
			list[i].Endpoint = own.at.String()
		}
	}
	if form == "endpoints" {
		return encoded(http.StatusOK, list)
	}
	if refused := n.connect(list, q, token, own); refused != nil {
		return *refused
	}
	return encoded(http.StatusOK, map[string][]listed{"endpoints": list})
}

// connect says for each upstream of list how a client connects to it.
func (n *Negotiator) connect(list []listed, q query, token *azure.Token, own place) *Answer {
	refuse := func(a Answer) *Answer { return &a }
	hub, err := n.hubOf(q)
	if err != nil {
		return refuse(refuseHub(err))
	}
	user, err := n.userOf(q, token)
	if err != nil {
		return refuse(badQuery(err))
	}
	resource, err := azure.ClientResource(n.o.Service, hub)
	if err != nil {
		return refuse(badHub())
	}
	g := grant{user: user, roles: n.o.Roles, groups: n.o.Groups, lifetime: n.o.Lifetime}
	for i, u := range n.o.Upstreams {
		p, steer := own, ""
		if n.o.Via == ViaDirect {
			p = direct(u.Connection)
		} else if n.o.Steer != nil {
			steer = SteerParameter + "=" + url.QueryEscape(n.o.Steer.Issue(u.Name()))
		}
		access, err := n.mint(p, resource, g)
		if err != nil {
			return refuse(cannotMint(err))
		}
		list[i].Connection = n.howToGet(p, resource, access, steer)
	}
	return nil
}

func (n *Negotiator) howToGet(p place, resource azure.Resource, token, steer string) *howToGet {
	if n.o.Service == azure.SignalR {
		to := resource.URL(p.at)
		if steer != "" {
			to += "&" + steer
		}
		return &howToGet{URL: to, Token: token}
	}
	base := resource.WebSocketURL(p.at)
	to := withToken(base, token)
	if steer != "" {
		to += "&" + steer
		base += "?" + steer
	}
	return &howToGet{URL: to, BaseURL: base, Token: token}
}
