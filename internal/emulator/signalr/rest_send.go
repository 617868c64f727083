package signalr

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/dataplane"
	"github.com/pointsman/pointsman/internal/emulator/webhook"
)

// payloadMessage is the body of a call that sends.
type payloadMessage struct {
	Target    string          `json:"target"`
	Arguments json.RawMessage `json:"arguments"`
}

// payloadOf reads the body of a call that sends.
func payloadOf(c *dataplane.Call) (m payloadMessage, err error) {
	if err := c.JSON(&m); err != nil {
		return m, err
	}
	if string(m.Arguments) == "null" || m.Arguments == nil {
		m.Arguments = json.RawMessage("[]")
	}
	if m.Target == "" || !isArray(m.Arguments) {
		return m, dataplane.BadRequest("The body needs a target, and arguments that are an array.")
	}
	return m, nil
}

// send answers 202, also if there is nobody to get the message.
func (s *Service) send(to target) handler {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		list, err := s.chosen(to, c)
		if err != nil {
			return err
		}
		m, err := payloadOf(c)
		if err != nil {
			return err
		}
		text := record(hubMessage{Type: typeInvocation, Target: m.Target, Arguments: m.Arguments})
		for _, one := range list {
			one.put(text)
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
}

// close ends the clients, which may come again; no answer waits for that.
func (s *Service) close(of target, status int) handler {
	return func(w http.ResponseWriter, c *dataplane.Call) error {
		list, err := s.chosen(of, c)
		if err != nil {
			return err
		}
		reason := c.Query.Get("reason")
		for _, one := range list {
			one.end(ending{record: closeRecord(reason, true), reason: reason})
		}
		w.WriteHeader(status)
		return nil
	}
}

// invoke calls a method of a client and waits for its result. The statuses of
// failures were chosen: they are not documented.
func (s *Service) invoke(w http.ResponseWriter, c *dataplane.Call) error {
	list, err := s.chosen(oneConnection, c)
	if err != nil {
		return err
	}
	m, err := payloadOf(c)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return targetConnection
	}
	one := list[0]
	id, results, err := one.invocations.begin()
	if err != nil {
		return invocationProblem(err)
	}
	defer one.invocations.forget(id)
	one.put(record(hubMessage{Type: typeInvocation, InvocationID: id, Target: m.Target, Arguments: m.Arguments}))
	ctx, stop := s.within(c.Context())
	defer stop()
	timer := time.NewTimer(webhook.Timeout)
	defer timer.Stop()
	select {
	case r := <-results:
		if r.err != nil {
			return invocationProblem(r.err)
		}
		return dataplane.WriteJSON(w, struct {
			Result json.RawMessage `json:"result,omitempty"`
		}{r.value})
	case <-timer.C:
		return &dataplane.Problem{Status: http.StatusGatewayTimeout, Code: "InvocationTimeout", Message: "The client did not answer."}
	case <-ctx.Done():
		return &dataplane.Problem{
			Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Message: "The service is shutting down.",
		}
	}
}

func invocationProblem(err error) *dataplane.Problem {
	switch {
	case errors.Is(err, errClientLeft):
		return targetConnection
	case errors.Is(err, errManyWait):
		return &dataplane.Problem{
			Status: http.StatusTooManyRequests, Code: "TooManyInvocations", Message: "Too many invocations wait for this client.",
		}
	default:
		return &dataplane.Problem{Status: http.StatusBadRequest, Code: "InvocationFailed", Message: err.Error()}
	}
}

// generateToken answers with a token for clients of the hub, for the host that
// the call was sent to.
func (s *Service) generateToken(w http.ResponseWriter, c *dataplane.Call) error {
	minutes, err := c.Int("minutesToExpire", 60, 1, 60*24*365)
	if err != nil {
		return err
	}
	resource, err := azure.ClientResource(azure.SignalR, c.Name("hub"))
	if err != nil {
		return err
	}
	if c.At.IsZero() {
		return dataplane.BadRequest("The Host field names no host.")
	}
	claims := azure.NewClaims(resource.Audience(c.At), time.Now(), time.Duration(minutes)*time.Minute)
	claims.SetUser(azure.SignalR, c.Query.Get("userId"))
	token, err := azure.Mint(s.keys[0], claims)
	if err != nil {
		return err
	}
	return dataplane.WriteJSON(w, map[string]string{"token": token})
}
