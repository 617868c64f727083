package webpubsub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/crew"
	"github.com/pointsman/pointsman/internal/emulator/webhook"
)

// The system events.
const (
	EventConnect      = "connect"
	EventConnected    = "connected"
	EventDisconnected = "disconnected"
)

// SystemEvents are all system events.
var SystemEvents = []string{EventConnect, EventConnected, EventDisconnected}

// retries are the pauses before an event that nobody waits for is sent again.
var retries = []time.Duration{time.Second, 3 * time.Second, 5 * time.Second}

// A refusal is an answer of an app server other than 2xx.
type refusal struct {
	status int
	detail string
}

func (r *refusal) Error() string { return fmt.Sprintf("event handler answered %d", r.status) }

// events sends CloudEvents to the app server in HTTP binary mode. All methods
// may be called concurrently.
type events struct {
	hook      *webhook.Hook
	system    []string
	keys      []azure.Key
	approvals *approvals
	crew      *crew.Crew
	life      context.Context // ends with the service, see [Service]
	lastID    atomic.Uint64
	log       *slog.Logger
}

// url is the template for a hub and an event.
func (e *events) url(hub, event string) string {
	return e.hook.URL(webhook.Names{"hub": hub, "event": event})
}

// wants reports whether the app server gets a system event.
func (e *events) wants(event string) bool {
	return e.hook.Set() && slices.Contains(e.system, event)
}

// connectAnswer is what an app server may answer to connect.
type connectAnswer struct {
	UserID      *string  `json:"userId"`
	Groups      []string `json:"groups"`
	Roles       []string `json:"roles"`
	Subprotocol string   `json:"subprotocol"`
}

// connect asks the app server whether a client may connect. The error is a
// [refusal], or says why it could not be asked.
func (e *events) connect(ctx context.Context, c *client, body any) (*connectAnswer, error) {
	answer := new(connectAnswer)
	got, err := e.send(ctx, c, "azure.webpubsub.sys.connect", EventConnect, jsonType, encode(body), "")
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(got.Body)) == 0 {
		return answer, nil
	}
	if err := json.Unmarshal(got.Body, answer); err != nil {
		return nil, errors.New("event handler answered connect with something else than the JSON that is wanted")
	}
	return answer, nil
}

// user sends a user event and returns what the client is to get, nil for
// nothing.
func (e *events) user(ctx context.Context, c *client, name string, p payload) (*payload, error) {
	if !e.hook.Set() {
		return nil, webhook.ErrNone
	}
	got, err := e.send(ctx, c, "azure.webpubsub.user."+name, name, p.mediaType(), p.data, "")
	if err != nil || len(got.Body) == 0 {
		return nil, err
	}
	mediaType, _, err := mime.ParseMediaType(got.Header.Get("Content-Type"))
	if err != nil {
		mediaType = ""
	}
	answer, known, err := readBody(mediaType, got.Body)
	if !known {
		// A handler that names no type, or another one, is taken to send bytes.
		answer = payload{dataBinary, got.Body}
	}
	return &answer, err
}

// connected tells the app server, in the background, that a client is.
func (e *events) connected(c *client) {
	e.tell(c, EventConnected, []byte("{}"), func() { close(c.announced) }, nil)
}

// disconnected tells the app server, in the background, that a client is no
// more, once it has been told that it was.
func (e *events) disconnected(c *client, reason string) {
	e.tell(c, EventDisconnected, encode(map[string]string{"reason": reason}), func() {}, c.announced)
}

// tell sends a system event that nobody waits for, several times if need be: as
// the id of the event stays the same, an app server can tell.
func (e *events) tell(c *client, name string, body []byte, done func(), after <-chan struct{}) {
	if !e.wants(name) {
		done()
		return
	}
	began := e.crew.Go(func() {
		defer done()
		if after != nil {
			<-after
		}
		id := e.nextID()
		for i := 0; ; i++ {
			_, err := e.send(e.life, c, "azure.webpubsub.sys."+name, name, jsonType, body, id)
			if err == nil {
				return
			}
			e.log.Debug("event not taken", "event", name, "connection", c.id, "error", err)
			if !worthRetrying(err) || i == len(retries) || !e.pause(retries[i]) {
				return
			}
		}
	})
	if !began {
		e.log.Debug("event dropped", "event", name, "connection", c.id)
		done()
	}
}

func (e *events) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-e.life.Done():
		return false
	}
}

func worthRetrying(err error) bool {
	var r *refusal
	return !errors.As(err, &r) || r.status == http.StatusRequestTimeout || r.status >= 500
}

func (e *events) nextID() string { return strconv.FormatUint(e.lastID.Add(1), 10) }

// send posts one event and returns its answer, which is 2xx. The state that comes
// with it is kept with the client.
func (e *events) send(
	ctx context.Context, c *client, eventType, name, contentType string, body []byte, id string,
) (*webhook.Answer, error) {
	if err := e.approvals.check(ctx, e.url(c.hub, "validate"), c.host); err != nil {
		return nil, err
	}
	if id == "" {
		id = e.nextID()
	}
	answer, err := e.hook.Do(ctx, http.MethodPost, e.url(c.hub, name), map[string]string{
		"WebHook-Request-Origin": c.host,
		"Content-Type":           contentType,
		"ce-specversion":         "1.0",
		"ce-awpsversion":         "1.0",
		"ce-type":                eventType,
		"ce-source":              "/hubs/" + c.hub + "/client/" + c.id,
		"ce-id":                  id,
		"ce-time":                time.Now().UTC().Format(time.RFC3339),
		"ce-signature":           webhook.Sign(e.keys, c.id),
		"ce-userId":              c.user,
		"ce-connectionId":        c.id,
		"ce-hub":                 c.hub,
		"ce-eventName":           name,
		"ce-subprotocol":         c.subprotocol,
		"ce-connectionState":     c.connectionState(),
	}, body)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", name, err)
	}
	if answer.Status < 200 || answer.Status > 299 {
		return nil, &refusal{answer.Status, string(answer.Body)}
	}
	c.keep(answer.Header.Get("ce-connectionState"))
	return answer, nil
}
