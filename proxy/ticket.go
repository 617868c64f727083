package proxy

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// ticket is what a client of a service has shown to be let in, and where it
// belongs. Nil stands for a client of a plain route. It holds secrets.
type ticket struct {
	desk     *desk
	resource azure.Resource // what it asks for; zero where the tokens are not ours to read
	path     string         // behind that of the route
	query    string         // as the upstream gets it, but for the token
	text     string         // the token as it came, "" if there was none
	token    *azure.Token   // the same, verified; nil without
	to       *pool.Upstream // where the client belongs; nil if that is for the router to say
	only     bool           // and nowhere else
	again    bool           // it wants a connection of Web PubSub back that it has lost
}

// The parameters that clients tell a connection by.
const (
	signalRID       = "id"
	lostConnection  = "awps_connection_id"
	reliableMarking = ".reliable."
)

// showTicket finds out what a client of a service may do, and where it belongs.
// For a client of a plain route there is nothing to find out. A browser that only
// asks whether it may ask has no token yet, and needs none.
func (c *clientConn) showTicket(method string) error {
	d := c.route.desk
	if d == nil {
		return nil
	}
	path, ok := d.below(c.request.Path)
	if !ok {
		return errNotFound
	}
	t := &ticket{desk: d, path: path, query: string(c.request.Query)}
	if !d.transparent() && method != http.MethodOptions {
		if err := t.verify(c); err != nil {
			return err
		}
	}
	if err := t.settle(); err != nil {
		return err
	}
	c.ticket = t
	return nil
}

// verify reads the token, which has to be there and for what is asked for. Who
// wants a connection back is judged by its upstream, by another token that it has
// from there: the first one may have expired meanwhile.
func (t *ticket) verify(c *clientConn) error {
	d := t.desk
	var err error
	if t.resource, err = azure.ParseClientResource(d.Kind, t.path, t.query); err != nil {
		return refuseResource(err)
	}
	if !d.serves(t.resource.Hub()) {
		return errHub
	}
	if id, ok := parameter(t.query, lostConnection); ok && id != "" && d.Kind == azure.WebPubSub && c.reliable() {
		t.again = true
	}
	t.text, err = azure.FindToken(field(&c.request, "Authorization"), t.query)
	if err == nil {
		t.token, err = d.guard.Verify(t.text, d.base(c), t.resource)
	}
	if err == nil || t.again && (errors.Is(err, azure.ErrNoToken) || errors.Is(err, azure.ErrTokenExpired)) {
		return nil
	}
	return refuseToken(err)
}

// refuseToken is the answer to who shows none that is taken: the same, whatever is
// wrong, unless it was too long to be looked at.
func refuseToken(err error) error {
	if errors.Is(err, azure.ErrTokenTooLong) {
		return errTokenLong
	}
	return errUnauthorized
}

// refuseResource is the answer to who asks for no hub, or for more than one.
func refuseResource(err error) error {
	if errors.Is(err, azure.ErrNotClientPath) {
		return errNotFound
	}
	return errHub
}

// reliable reports whether a client offers a subprotocol whose connections can be
// taken up again.
func (c *clientConn) reliable() bool { return c.reliableProtocol() != "" }

// reliableProtocol is that subprotocol.
func (c *clientConn) reliableProtocol() string {
	for _, p := range c.request.Protocols {
		if strings.Contains(string(p), reliableMarking) {
			return string(p)
		}
	}
	return ""
}

// settle finds out where the client belongs: to the upstream that has its
// connection, to the one that it was steered to, or to the one that has signed its
// token.
func (t *ticket) settle() error {
	d := t.desk
	if to, ok := parameter(t.query, negotiate.SteerParameter); ok {
		t.query = withoutParameter(t.query, negotiate.SteerParameter)
		if _, name, found := d.places.Find(to, d.names); found {
			t.to = d.upstream(name)
		}
	}
	if t.token != nil && t.token.Issuer() != ownIssuer {
		t.to = d.upstream(t.token.Issuer())
	}
	switch {
	case t.again:
		if name, found := t.whereLost(); found {
			t.to, t.only = d.upstream(name), true
		}
		return nil
	case d.Kind != azure.SignalR:
		return nil
	}
	id, ok := parameter(t.query, signalRID)
	if !ok {
		return nil
	}
	bare, name, found := d.places.Find(id, d.names)
	if !found {
		return nil
	}
	if bare != id {
		t.query = replaceParameter(t.query, signalRID, bare)
	}
	if t.to, t.only = d.upstream(name), true; t.to == nil {
		return errGoneConnection
	}
	return nil
}

// whereLost finds the upstream of a connection that a client wants back: by its id
// if a call has told, else by the token that it was opened with, which the client
// repeats. A token that many clients share says where the last of them was.
func (t *ticket) whereLost() (upstream string, found bool) {
	id, _ := parameter(t.query, lostConnection)
	if upstream, found = t.desk.fanout.Directory().Find(id); found || t.text == "" {
		return upstream, found
	}
	_, upstream, found = t.desk.places.Find(tokenPlace(t.text), nil)
	return upstream, found
}

// tokenPlace is the name under which it is remembered where a token was used.
func tokenPlace(token string) string { return "token " + token }

// used remembers where the connection was opened, if that is asked about when it
// is lost.
func (t *ticket) used(c *clientConn, u *pool.Upstream) {
	if t != nil && t.text != "" && t.desk.Kind == azure.WebPubSub && c.reliable() {
		t.desk.places.Remember(tokenPlace(t.text), u.Name())
	}
}

// dress returns the request as the upstream u gets it: with a token of its own.
func (t *ticket) dress(r *handshake.Request, u *pool.Upstream) (*handshake.Request, error) {
	if t == nil {
		return r, nil
	}
	out := *r
	out.Path = []byte(t.path)
	query := t.query
	if !t.desk.transparent() {
		token, err := t.tokenFor(u)
		if err != nil {
			return nil, err
		}
		query = azure.ReplaceToken(query, token)
		out.Fields = withBearer(r.Fields, token)
	}
	if r.Query != nil {
		out.Query = []byte(query)
	}
	return &out, nil
}

// tokenFor is the token for u, "" if the client has shown none that was good. One
// that u has signed itself stays as it is.
func (t *ticket) tokenFor(u *pool.Upstream) (string, error) {
	switch {
	case t.token == nil:
		return "", nil
	case t.token.Issuer() == u.Name():
		return t.text, nil
	}
	c, _ := u.Connection()
	return t.token.Mint(c.Key, t.resource.Audience(c.Endpoint))
}

// withBearer returns the fields with another token in Authorization, or without
// such a field if there is none.
func withBearer(fields []handshake.Field, token string) []handshake.Field {
	is := func(f handshake.Field) bool { return strings.EqualFold(string(f.Name), "Authorization") }
	if !slices.ContainsFunc(fields, is) {
		return fields
	}
	fields = slices.Clone(fields)
	if token == "" {
		return slices.DeleteFunc(fields, is)
	}
	for i := range fields {
		if is(fields[i]) {
			fields[i].Value = []byte("Bearer " + token)
		}
	}
	return fields
}

// user is the user id, "" if there is none.
func (t *ticket) user() string {
	if t == nil || t.token == nil {
		return ""
	}
	return t.token.Claims().User(t.desk.Kind)
}

// steered reports whether the client was told where to go before it came, and will
// come there again.
func (t *ticket) steered() bool {
	return t != nil && t.to != nil && !t.only || t != nil && t.token != nil && t.token.Issuer() != ownIssuer
}

// bound reports whether the client belongs to one upstream and to no other.
func (t *ticket) bound() bool { return t != nil && t.only }

// recovers reports whether the client wants a connection back.
func (t *ticket) recovers() bool { return t != nil && t.again }

// ends returns when the session of the client has to end, zero if it need not. A
// token that was taken though it had expired has its leeway.
func (t *ticket) ends() time.Time {
	if t == nil || t.token == nil || !t.desk.CloseAtExpiry {
		return time.Time{}
	}
	if at := t.token.Expires(); time.Now().Before(at) {
		return at
	}
	return t.token.Expires().Add(azure.Leeway)
}
