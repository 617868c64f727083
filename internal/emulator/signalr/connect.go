package signalr

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/dataplane"
)

const negotiatePath = "/client/negotiate"

// serveClient answers all requests of clients.
func (s *Service) serveClient(w http.ResponseWriter, r *http.Request) {
	allowOrigin(w.Header(), r)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	resource, err := azure.ParseClientResource(azure.SignalR, r.URL.EscapedPath(), r.URL.RawQuery)
	switch {
	case errors.Is(err, azure.ErrNotClientPath):
		http.Error(w, "Clients connect to /client/?hub={hub}.", http.StatusNotFound)
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
	claims, problem := s.claims(r, resource)
	if problem != nil {
		problem.Write(w)
		return
	}
	hub := fold(resource.Hub())
	if r.URL.Path == negotiatePath {
		s.negotiate(w, r, hub, query, claims)
		return
	}
	s.serveTransport(w, r, hub, query, claims)
}

// fold makes the name of a hub what it is compared by: case does not count.
func fold(hub string) string { return strings.ToLower(hub) }

// allowOrigin lets pages of all origins in, as the service does unless it is told
// otherwise. The client sends credentials, so the origin must be named.
func allowOrigin(h http.Header, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Add("Vary", "Origin")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
		h.Set("Access-Control-Max-Age", "600")
	}
}

// claims returns what the token of a client says.
func (s *Service) claims(r *http.Request, resource azure.Resource) (*azure.Claims, *dataplane.Problem) {
	token, err := s.guard.Token(r, resource)
	switch {
	case err == nil:
		return token.Claims(), nil
	case errors.Is(err, azure.ErrNoToken) && s.anonymous:
		return new(azure.Claims), nil
	default:
		return nil, dataplane.Refused(err)
	}
}

// An offer is one transport in the answer to negotiate.
type offer struct {
	Transport       string   `json:"transport"`
	TransferFormats []string `json:"transferFormats"`
}

// offers are all transports. Binary needs MessagePack, which is not emulated.
var offers = []offer{
	{"WebSockets", []string{"Text"}},
	{"ServerSentEvents", []string{"Text"}},
	{"LongPolling", []string{"Text"}},
}

// negotiated is the answer to negotiate.
type negotiated struct {
	Version    int     `json:"negotiateVersion"`
	ID         string  `json:"connectionId"`
	Token      string  `json:"connectionToken,omitempty"`
	Transports []offer `json:"availableTransports"`
}

// negotiate makes a client that has some seconds to connect.
func (s *Service) negotiate(w http.ResponseWriter, r *http.Request, hub string, query url.Values, claims *azure.Claims) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "negotiate is a POST.", http.StatusMethodNotAllowed)
		return
	}
	version := 0
	if asked := query.Get("negotiateVersion"); asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil || n < 0 {
			s.write(w, map[string]string{"error": "The value of negotiateVersion is no version."})
			return
		}
		version = min(n, 1)
	}
	c := s.newClient(hub, query, claims)
	answer := negotiated{Version: version, ID: c.id, Token: c.token, Transports: offers}
	if version == 0 {
		c.token, answer.Token = c.id, ""
	}
	if !s.admit(c) {
		full().Write(w)
		return
	}
	s.write(w, answer)
}

func full() *dataplane.Problem {
	return &dataplane.Problem{
		Status: http.StatusTooManyRequests, Code: "ConnectionCountLimitReached",
		Message: "There are as many connections as are allowed.",
	}
}

func (s *Service) write(w http.ResponseWriter, value any) {
	if err := dataplane.WriteJSON(w, value); err != nil {
		panic("BUG: an answer cannot be encoded: " + err.Error())
	}
}

func (s *Service) newClient(hub string, query url.Values, claims *azure.Claims) *client {
	return &client{
		service:   s,
		id:        newID(),
		token:     newID(),
		hub:       hub,
		user:      claims.User(azure.SignalR),
		claims:    claimList(claims),
		query:     clientQuery(query),
		out:       newOutbox(s.limits.QueueRecords, s.limits.QueueBytes),
		announced: make(chan struct{}),
	}
}

// admit gives the client its place and starts its clock.
func (s *Service) admit(c *client) bool {
	if s.roster.Len() >= s.limits.Connections {
		return false
	}
	c.start()
	if !s.clients.add(c) {
		c.clock.Stop()
		return false
	}
	return true
}

// notForApps are the claims that are the service's own business.
var notForApps = []string{azure.ClaimAudience, azure.ClaimExpires, azure.ClaimNotBefore, azure.ClaimIssuedAt, "iss"}

// claimList returns the user's claims as "name: value". The SDK renames those
// that collide with its own.
func claimList(claims *azure.Claims) []string {
	var list []string
	for _, name := range claims.Names() {
		if slices.Contains(notForApps, name) || strings.HasPrefix(name, "asrs.s.") {
			continue
		}
		values := claims.Strings(name)
		if values == nil {
			values = []string{string(claims.Raw(name))}
		}
		for _, value := range values {
			list = append(list, strings.TrimPrefix(name, "asrs.u.")+": "+value)
		}
	}
	return list
}

// clientQuery returns the query of a client's requests as app servers see it.
func clientQuery(query url.Values) string {
	shown := url.Values{}
	for name, values := range query {
		if name != azure.TokenParameter && name != "id" && name != "_" {
			shown[name] = values
		}
	}
	if len(shown) == 0 {
		return ""
	}
	return "?" + shown.Encode()
}

// newID returns an id that cannot be guessed.
func newID() string {
	b := make([]byte, 18)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
