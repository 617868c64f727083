package negotiate

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pointsman/pointsman/internal/azure"
)

// grant is what a client is let do.
type grant struct {
	user          string
	roles, groups []string
	lifetime      time.Duration
}

// place is where a client is led, and what signs for it.
type place struct {
	at       azure.Base // its URL
	endpoint azure.Base // what its tokens are for
	key      azure.Key
}

// own is this router, as the client of r sees it; not ok if nobody knows what that is.
func (n *Negotiator) own(r Request) (place, bool) {
	base := r.Base
	if len(n.o.Public) > 0 {
		base = n.o.Public[0]
	}
	return place{at: base, endpoint: base, key: n.o.Keys[0]}, !base.IsZero()
}

// direct is an upstream.
func direct(c azure.ConnectionString) place {
	return place{at: c.ClientBase(), endpoint: c.Endpoint, key: c.Key}
}

// pick picks the place for a new client, and the answer if there is none.
func (n *Negotiator) pick(r Request) (p place, upstream string, refused *Answer) {
	picked, err := n.o.Pick(r.Request)
	var refusal *Refusal
	switch {
	case errors.As(err, &refusal):
		a := text(refusal.Status, refusal.Text)
		return place{}, "", &a
	case err != nil:
		a := unavailable()
		return place{}, "", &a
	}
	for _, u := range n.o.Upstreams {
		if !u.Same(picked) {
			continue
		}
		if n.o.Via == ViaDirect {
			return direct(u.Connection), u.Name(), nil
		}
		p, known := n.own(r)
		if !known {
			a := text(http.StatusBadRequest, "Invalid request: the Host field is no host")
			return place{}, "", &a
		}
		return p, u.Name(), nil
	}
	a := unavailable() // picked from another set, such as that of a later configuration
	return place{}, "", &a
}

// mint makes the token of a client.
func (n *Negotiator) mint(p place, resource azure.Resource, g grant) (string, error) {
	claims := azure.NewClaims(resource.Audience(p.endpoint), time.Now(), g.lifetime)
	claims.SetUser(n.o.Service, g.user)
	claims.SetStrings(azure.ClaimRole, g.roles)
	claims.SetStrings(azure.ClaimGroup, g.groups)
	token, err := azure.Mint(p.key, claims)
	if err != nil {
		return "", err
	}
	limit := azure.MaxToken
	if n.o.Service == azure.SignalR {
		limit = azure.MaxClientToken
	}
	if len(token) > limit {
		return "", azure.ErrTokenTooLong
	}
	return token, nil
}

// cannotMint is the answer to a request whose token cannot be made: it asks for too much.
func cannotMint(err error) Answer {
	if errors.Is(err, azure.ErrTokenTooLong) {
		return text(http.StatusRequestEntityTooLarge, "The access token would be too long")
	}
	return text(http.StatusInternalServerError, "Internal error")
}

// caller verifies the token of a request for the path that it was sent to.
func (n *Negotiator) caller(r Request) (*azure.Token, error) {
	token, err := azure.FindToken(r.Authorization, r.Query)
	if err != nil {
		return nil, err
	}
	return n.verifier.Verify(token, r.Base, azure.RESTResource(n.o.Service, r.Path))
}

// refuseCaller is the answer to a request whose token is not taken.
func refuseCaller(r Request, err error) Answer {
	switch {
	case !errors.Is(err, azure.ErrTokenTooLong):
		return unauthorized()
	case len(r.Query) > azure.MaxToken:
		return text(http.StatusRequestURITooLong, "The access token is too long")
	default:
		return text(http.StatusRequestHeaderFieldsTooLarge, "The access token is too long")
	}
}

// authenticate is [Negotiator.caller] for negotiations: on an open route a token is welcome, but none is needed.
func (n *Negotiator) authenticate(r Request) (*azure.Token, *Answer) {
	token, err := n.caller(r)
	if err == nil || n.o.Open {
		return token, nil
	}
	a := refuseCaller(r, err)
	return nil, &a
}

// userOf finds the user id of a negotiation. token may be nil.
func (n *Negotiator) userOf(q query, token *azure.Token) (string, error) {
	asked, err := q.one("userId")
	if err != nil {
		return "", err
	}
	known := ""
	if token != nil {
		known = token.Claims().User(n.o.Service)
	}
	switch {
	case n.o.User == NoUser:
		return "", nil
	case n.o.User == UserFromQuery && asked != "":
		return asked, checkText("userId", asked)
	default:
		return known, nil
	}
}

// hubOf finds the hub of a request: the one that it names, or else the only one that the route has.
func (n *Negotiator) hubOf(q query) (string, error) {
	hub, err := q.one("hub")
	switch {
	case err != nil:
		return "", err
	case hub == "" && len(n.o.Hubs) == 1:
		return n.o.Hubs[0], nil
	}
	hub, ok := n.serves(hub)
	if !ok {
		return "", errHub
	}
	return hub, nil
}

// serves returns a hub that clients may ask for, as the route writes it.
func (n *Negotiator) serves(hub string) (string, bool) {
	if len(n.o.Hubs) == 0 {
		return hub, azure.CheckHub(hub) == nil
	}
	at := slices.IndexFunc(n.o.Hubs, func(h string) bool { return azure.SameHub(h, hub) })
	if at < 0 {
		return "", false
	}
	return n.o.Hubs[at], true
}

// errHub means a hub that is missing, or none, or not the route's.
var errHub = errors.New("invalid hub")

// badHub is the answer to it; it begins as that of Web PubSub does.
func badHub() Answer { return text(http.StatusBadRequest, "Invalid value of 'hub'") }

// refuseHub is the answer to an error of hubOf.
func refuseHub(err error) Answer {
	if errors.Is(err, errHub) {
		return badHub()
	}
	return badQuery(err)
}

// checkText refuses what would not survive the way through JSON.
func checkText(name, value string) error {
	if !utf8.ValidString(value) {
		return fmt.Errorf("%s is not UTF-8", name)
	}
	return nil
}

// checkGroup checks the name of a group by the rule of Web PubSub: 1 to 1024 characters, not all of them blanks.
func checkGroup(name string) error {
	if strings.TrimSpace(name) == "" || utf8.RuneCountInString(name) > maxGroup {
		return fmt.Errorf("the name of a group is not 1 to %d characters, not all blank", maxGroup)
	}
	return checkText("the name of a group", name)
}
