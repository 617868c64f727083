package signalr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/crew"
	"github.com/pointsman/pointsman/internal/emulator/webhook"
)

// Categories of what an app server is told of.
const (
	categoryConnections = "connections"
	categoryMessages    = "messages"
)

// Types of the messages about connections, as the trigger of Azure Functions
// knows them.
const (
	typeOpenConnection  = 10
	typeCloseConnection = 11
)

// upstream tells the app server what clients do: the serverless protocol of the
// service. All methods may be called concurrently.
type upstream struct {
	hook *webhook.Hook
	keys []azure.Key
	crew *crew.Crew
	life context.Context // ends with the service, see [Service]
	log  *slog.Logger
}

// post sends one message to the app server.
func (u *upstream) post(ctx context.Context, c *client, category, event string, body []byte) (*webhook.Answer, error) {
	target := u.hook.URL(webhook.Names{"hub": c.hub, "category": category, "event": event})
	return u.hook.Do(ctx, http.MethodPost, target, map[string]string{
		"Content-Type":         "application/json",
		"X-ASRS-Connection-Id": c.id,
		"X-ASRS-Hub":           c.hub,
		"X-ASRS-Category":      category,
		"X-ASRS-Event":         event,
		"X-ASRS-Signature":     webhook.Sign(u.keys, c.id),
		"X-ASRS-User-Id":       c.user,
		"X-ASRS-User-Claims":   strings.Join(c.claims, ", "),
		"X-ASRS-Client-Query":  c.query,
	}, body)
}

// connected tells of a new client, and waits for the answer whatever it is: what
// the client sends afterwards comes afterwards.
func (u *upstream) connected(ctx context.Context, c *client) {
	defer close(c.announced)
	if !u.hook.Set() {
		return
	}
	answer, err := u.post(ctx, c, categoryConnections, "connected", encode(struct {
		Type int `json:"Type"`
	}{typeOpenConnection}))
	u.report("connected", c, answer, err)
}

// disconnected tells, in the background, of the end of a client that it has told
// of before.
func (u *upstream) disconnected(c *client, reason string) {
	if !u.hook.Set() {
		return
	}
	began := u.crew.Go(func() {
		<-c.announced
		answer, err := u.post(u.life, c, categoryConnections, "disconnected", encode(struct {
			Type  int    `json:"Type"`
			Error string `json:"Error,omitempty"`
		}{typeCloseConnection, reason}))
		u.report("disconnected", c, answer, err)
	})
	if !began {
		u.log.Debug("event dropped", "event", "disconnected", "connection", c.id)
	}
}

func (u *upstream) report(event string, c *client, answer *webhook.Answer, err error) {
	switch {
	case err != nil:
		u.log.Debug("event not taken", "event", event, "connection", c.id, "error", err)
	case answer.Status != http.StatusOK && answer.Status != http.StatusNoContent:
		u.log.Debug("event not taken", "event", event, "connection", c.id, "status", answer.Status)
	}
}

// invoke sends an invocation of a client, whose JSON is text, and hands the
// answer to the client if it wants one. Without an app server the client is
// closed: the service cannot deliver what it sends.
func (u *upstream) invoke(ctx context.Context, c *client, m hubMessage, text []byte) {
	if !u.hook.Set() {
		c.fault("The client has sent an invocation, and there is no upstream.")
		return
	}
	if !isEventName(m.Target) {
		u.answer(c, m.InvocationID, completionError(m.InvocationID, "The name of a method has 1 to %d printable ASCII characters.", maxTarget))
		return
	}
	answer, err := u.post(ctx, c, categoryMessages, m.Target, bytes.Clone(text))
	u.report(m.Target, c, answer, err)
	var completion []byte
	switch {
	case err != nil:
		completion = completionError(m.InvocationID, "Invocation failed, the upstream did not answer.")
	case answer.Status == http.StatusNoContent || answer.Status == http.StatusOK && len(answer.Body) == 0:
		completion = record(hubMessage{Type: typeCompletion, InvocationID: m.InvocationID})
	case answer.Status != http.StatusOK:
		completion = completionError(m.InvocationID, "Invocation failed, status code %d", answer.Status)
	default:
		if completion, err = readCompletion(answer.Body, m.InvocationID); err != nil {
			completion = completionError(m.InvocationID, "Invocation failed, the upstream did not answer with a completion.")
		}
	}
	u.answer(c, m.InvocationID, completion)
}

// answer sends a completion to a client that wants one.
func (u *upstream) answer(c *client, invocationID string, completion []byte) {
	if invocationID != "" {
		c.put(completion)
	}
}

// readCompletion reads the body of an app server's answer: a completion of the
// hub protocol, with or without the separator.
func readCompletion(body []byte, invocationID string) ([]byte, error) {
	body = bytes.TrimRight(body, "\x1e\r\n ")
	m, err := readMessage(body)
	if err != nil {
		return nil, err
	}
	if m.Type != typeCompletion || m.InvocationID != invocationID {
		return nil, errors.New("not the completion of this invocation")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		return nil, err
	}
	return append(compact.Bytes(), separator), nil
}

// encode is [record] without the separator.
func encode(value any) []byte {
	text := record(value)
	return text[:len(text)-1]
}

// maxTarget is the longest name of a method that can be told of, in bytes.
const maxTarget = 256

// isEventName reports whether a name can go into a header field.
func isEventName(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return name != "" && len(name) <= maxTarget
}
