package webpubsub

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/dataplane"
	"github.com/pointsman/pointsman/internal/emulator/roster"
)

// Subprotocols that the service knows and the emulator does not speak. A client
// that offers nothing else that is known is refused, for it would be taken for
// a raw client.
var notSpoken = []string{"protobuf.webpubsub.azure.v1", "protobuf.reliable.webpubsub.azure.v1", "mqtt"}

// serveClient answers one handshake and, when it accepts, speaks with the client
// until the socket ends.
func (s *Service) serveClient(w http.ResponseWriter, r *http.Request) {
	resource, err := azure.ParseClientResource(azure.WebPubSub, r.URL.EscapedPath(), r.URL.RawQuery)
	switch {
	case errors.Is(err, azure.ErrNotClientPath) || strings.HasPrefix(r.URL.Path, "/clients/"):
		dataplane.NotFound("NotFound", "Clients connect to /client/hubs/{hub}; MQTT and Socket.IO are not emulated.").Write(w)
		return
	case err != nil:
		http.Error(w, "Invalid value of 'hub': "+err.Error()+".", http.StatusBadRequest)
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, "The query is malformed.", http.StatusBadRequest)
		return
	}
	if s.crew.Closed() {
		http.Error(w, "The service is shutting down.", http.StatusServiceUnavailable)
		return
	}
	if status := handshakeFault(r); status != 0 {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Version", "13")
		http.Error(w, "Clients connect by a WebSocket handshake.", status)
		return
	}
	offered := offeredSubprotocols(r.Header)
	if id := query.Get(recoverID); id != "" && slices.Contains(offered, subprotocolReliable) {
		s.recover(w, r, fold(resource.Hub()), id, query.Get(recoverToken))
		return
	}
	c, problem := s.admit(r, resource, query, offered)
	if problem != nil {
		if c != nil {
			c.discard("The client was refused.")
		}
		problem.Write(w)
		return
	}
	s.open(w, r, c)
}

// discard ends a client that was admitted by the app server and gets no socket.
func (c *client) discard(reason string) {
	close(c.announced)
	c.mu.Lock()
	c.attached = false
	c.mu.Unlock()
	c.end(ending{code: websocket.StatusNormalClosure, reason: reason})
}

// handshakeFault returns the status for a request that is no WebSocket handshake
// (RFC 6455 §4.2.1), 0 if it is one: the app server shall not be asked about
// others.
func handshakeFault(r *http.Request) int {
	has := func(field, token string) bool {
		return slices.ContainsFunc(strings.Split(strings.Join(r.Header.Values(field), ","), ","), func(one string) bool {
			return strings.EqualFold(strings.TrimSpace(one), token)
		})
	}
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case !has("Upgrade", "websocket") || !has("Connection", "upgrade") || r.Header.Get("Sec-WebSocket-Version") != "13":
		return http.StatusUpgradeRequired
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed
	case err != nil || len(key) != 16:
		return http.StatusBadRequest
	}
	return 0
}

// fold makes the name of a hub what it is compared by: case does not count.
func fold(hub string) string { return strings.ToLower(hub) }

// admit does all that can refuse a client while its handshake waits, and
// enters it in the roster. A client that is returned with a problem was admitted
// by the app server.
func (s *Service) admit(r *http.Request, resource azure.Resource, query url.Values, offered []string) (*client, *dataplane.Problem) {
	var claims *azure.Claims
	token, err := s.guard.Token(r, resource)
	switch {
	case err == nil:
		claims = token.Claims()
	case errors.Is(err, azure.ErrNoToken) && s.anonymous:
		claims = new(azure.Claims)
	default:
		return nil, dataplane.Refused(err)
	}
	c := &client{
		service:   s,
		id:        newID(),
		hub:       fold(resource.Hub()),
		user:      claims.User(azure.WebPubSub),
		host:      dataplane.At(r).Host(),
		announced: make(chan struct{}),
	}
	if c.host == "" {
		return nil, dataplane.BadRequest("The Host field names no host.")
	}
	known := slices.IndexFunc(offered, func(name string) bool { return name == subprotocolJSON || name == subprotocolReliable })
	if known >= 0 {
		c.subprotocol = offered[known]
	} else if i := slices.IndexFunc(offered, func(name string) bool { return slices.Contains(notSpoken, name) }); i >= 0 {
		return nil, dataplane.BadRequest("The subprotocol %s is not emulated.", offered[i])
	}
	groups := claims.Strings(azure.ClaimGroup)
	c.permissions.addRoles(claims.Strings(azure.ClaimRole))
	if s.events.wants(EventConnect) {
		answer, problem := s.askToConnect(r, c, claims, query, offered)
		if problem != nil {
			return nil, problem
		}
		if answer.UserID != nil {
			c.user = *answer.UserID
		}
		if slices.Contains(offered, answer.Subprotocol) && !slices.Contains(notSpoken, answer.Subprotocol) {
			c.subprotocol = answer.Subprotocol
		}
		groups = append(groups, answer.Groups...)
		c.permissions.addRoles(answer.Roles)
	}
	problem := c.settleMode(query)
	if problem == nil {
		problem = s.enter(c, groups)
	}
	return c, problem
}

// settleMode takes the last decisions that depend on the subprotocol.
func (c *client) settleMode(query url.Values) *dataplane.Problem {
	switch c.subprotocol {
	case subprotocolJSON:
		c.protocol = protocolJSON
	case subprotocolReliable:
		c.protocol = protocolReliable
	}
	c.out = newOutbox(c.protocol, c.service.limits.QueueFrames, c.service.limits.QueueBytes)
	if c.protocol != protocolRaw {
		return nil
	}
	switch mode := query.Get("webpubsub_mode"); mode {
	case "", "sendEvent":
		return nil
	case "sendToGroup":
		groups := query["group"]
		if len(groups) != 1 || dataplane.CheckGroup(groups[0]) != nil {
			return dataplane.BadRequest("webpubsub_mode=sendToGroup needs exactly one group.")
		}
		if !c.permissions.allows(sendToGroup, groups[0]) {
			return &dataplane.Problem{
				Status: http.StatusForbidden, Code: faultForbidden, Message: "The client may not send to this group.",
			}
		}
		c.sendsTo = groups[0]
		return nil
	default:
		return dataplane.BadRequest("webpubsub_mode is sendEvent or sendToGroup.")
	}
}

// enter puts the client into the roster and its first groups. What is sent to it
// from now on waits for the socket.
func (s *Service) enter(c *client, groups []string) *dataplane.Problem {
	var first *frame
	if c.protocol != protocolRaw {
		f := c.connectedFrame()
		first = &f
	}
	c.attach(nil, first)
	if err := s.roster.Join(c.hub, roster.Entry[*client]{ID: c.id, User: c.user, Member: c}); err != nil {
		return &dataplane.Problem{
			Status: http.StatusTooManyRequests, Code: "ConnectionCountLimitReached",
			Message: "There are as many connections as are allowed.",
		}
	}
	for _, group := range groups {
		if dataplane.CheckGroup(group) != nil {
			continue
		}
		if err := s.roster.Enter(c.hub, c.id, group); err != nil {
			s.roster.Leave(c.hub, c.id)
			return tooManyGroups
		}
	}
	return nil
}

func (c *client) connectedFrame() frame {
	token := ""
	if c.protocol == protocolReliable {
		token = c.service.reconnectionToken(c.id)
	}
	return connectedFrame(c.user, c.id, token)
}

// open finishes the handshake of a client that was admitted, and speaks with it.
func (s *Service) open(w http.ResponseWriter, r *http.Request, c *client) {
	conn, err := accept(w, r, c.subprotocol)
	if err != nil {
		c.discard("The handshake was not finished.") // Accept has answered already
		return
	}
	defer conn.CloseNow()
	c.mu.Lock()
	c.conn = conn
	c.mu.Unlock()
	if s.crew.Closed() {
		// Run may have looked for clients before this one was there.
		c.end(ending{code: websocket.StatusGoingAway, reason: "The service is shutting down.", told: true})
	}
	s.events.connected(c)
	c.run(conn, c.socket)
}

func accept(w http.ResponseWriter, r *http.Request, subprotocol string) (*websocket.Conn, error) {
	opts := &websocket.AcceptOptions{
		InsecureSkipVerify: true, // the service takes clients of all origins
		CompressionMode:    websocket.CompressionDisabled,
	}
	if subprotocol != "" {
		opts.Subprotocols = []string{subprotocol}
	}
	return websocket.Accept(w, r, opts)
}

// askToConnect sends the connect event and makes an answer of a refusal.
func (s *Service) askToConnect(
	r *http.Request, c *client, claims *azure.Claims, query url.Values, offered []string,
) (*connectAnswer, *dataplane.Problem) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	query.Del(azure.TokenParameter)
	answer, err := s.events.connect(ctx, c, connectEvent{
		Claims: claimLists(claims), Query: query, Headers: headerLists(r.Header), Subprotocols: offered,
		ClientCertificates: []struct{}{},
	})
	if err == nil {
		return answer, nil
	}
	s.log.Debug("connect event", "hub", c.hub, "error", err)
	var refused *refusal
	if errors.As(err, &refused) && refused.status >= 400 && refused.status <= 599 {
		return nil, &dataplane.Problem{Status: refused.status, Code: "ConnectRefused", Message: refused.detail}
	}
	return nil, &dataplane.Problem{
		Status: http.StatusInternalServerError, Code: faultInternal, Message: "The event handler could not be asked.",
	}
}

// connectEvent is the body of the connect event.
type connectEvent struct {
	Claims             map[string][]string `json:"claims"`
	Query              map[string][]string `json:"query"`
	Headers            map[string][]string `json:"headers"`
	Subprotocols       []string            `json:"subprotocols"`
	ClientCertificates []struct{}          `json:"clientCertificates"` // the emulator knows no TLS
}

func claimLists(claims *azure.Claims) map[string][]string {
	lists := make(map[string][]string)
	for _, name := range claims.Names() {
		list := claims.Strings(name)
		if list == nil {
			// Numbers, objects and whatever else is there go as their JSON.
			list = []string{string(json.RawMessage(claims.Raw(name)))}
		}
		lists[name] = list
	}
	return lists
}

// headerLists leaves out what would let the app server act as the client.
func headerLists(h http.Header) map[string][]string {
	lists := make(map[string][]string)
	for name, values := range h {
		if name != "Authorization" {
			lists[name] = values
		}
	}
	return lists
}

func offeredSubprotocols(h http.Header) []string {
	offered := []string{}
	for _, line := range h.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name != "" {
				offered = append(offered, name)
			}
		}
	}
	return offered
}

// newID returns an id that cannot be guessed.
func newID() string {
	b := make([]byte, 18)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
