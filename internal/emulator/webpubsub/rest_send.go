package webpubsub

import (
	"net/http"
	"slices"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/dataplane"
	"github.com/pointsman/pointsman/internal/emulator/filter"
	"github.com/pointsman/pointsman/internal/emulator/roster"
)

// members returns the clients of a list, without those that the parameter
// excluded names.
func (s *Service) members(c *dataplane.Call, list []roster.Entry[*client]) []*client {
	excluded := c.Query["excluded"]
	members := make([]*client, 0, len(list))
	for _, e := range list {
		if !slices.Contains(excluded, e.ID) {
			members = append(members, e.Member)
		}
	}
	return members
}

// matching returns those of a list that a filter is true for.
func (s *Service) matching(list []*client, f filter.Filter) []*client {
	return slices.DeleteFunc(list, func(c *client) bool {
		return !f.Matches(filter.Subject{
			ConnectionID: c.id, UserID: c.user, Protocol: c.subprotocol, Groups: s.roster.Groups(c.hub, c.id),
		})
	})
}

// send answers 202, also if there is nobody to get the message.
func (s *Service) send(to target) func(http.ResponseWriter, *dataplane.Call) error {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		f, err := filterOf(c.Query.Get("filter"))
		if err != nil {
			return err
		}
		ttl, err := c.Int("messageTtlSeconds", 0, 0, maxTTL)
		if err != nil {
			return err
		}
		body, err := c.Body()
		if err != nil {
			return err
		}
		p, known, err := readBody(c.MediaType(), body)
		if !known {
			return dataplane.Unsupported("text/plain, application/json or application/octet-stream")
		}
		if err != nil {
			return dataplane.BadRequest("The body does not fit its Content-Type: %s.", err)
		}
		m := &message{group: c.Name("group"), payload: p, expires: expiry(ttl)}
		for _, one := range s.matching(to(s, c), f) {
			one.post(m)
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
}

// closeAll ends the clients; no answer waits for their sockets.
func (s *Service) closeAll(of target) func(http.ResponseWriter, *dataplane.Call) error {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		for _, one := range of(s, c) {
			one.end(ending{code: websocket.StatusNormalClosure, reason: c.Query.Get("reason"), told: true})
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// generateToken answers with a token for clients of the hub, for the host that
// the call was sent to.
func (s *Service) generateToken(w http.ResponseWriter, c *dataplane.Call) error {
	if kind := c.Query.Get("clientType"); kind != "" && kind != "Default" {
		return dataplane.BadRequest("The only clientType that is emulated is Default.")
	}
	minutes, err := c.Int("minutesToExpire", 60, 1, 60*24*365)
	if err != nil {
		return err
	}
	resource, err := azure.ClientResource(azure.WebPubSub, c.Name("hub"))
	if err != nil {
		return err
	}
	if c.At.IsZero() {
		return dataplane.BadRequest("The Host field names no host.")
	}
	claims := azure.NewClaims(resource.Audience(c.At), time.Now(), time.Duration(minutes)*time.Minute)
	claims.SetUser(azure.WebPubSub, c.Query.Get("userId"))
	claims.SetStrings(azure.ClaimRole, c.Query["role"])
	claims.SetStrings(azure.ClaimGroup, c.Query["group"])
	token, err := azure.Mint(s.keys[0], claims)
	if err != nil {
		return err
	}
	return dataplane.WriteJSON(w, map[string]string{"token": token})
}
