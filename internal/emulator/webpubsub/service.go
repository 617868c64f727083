package webpubsub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/crew"
	"github.com/pointsman/pointsman/internal/emulator/dataplane"
	"github.com/pointsman/pointsman/internal/emulator/roster"
	"github.com/pointsman/pointsman/internal/emulator/webhook"
)

// Limits bound the memory of a service. Zero values are replaced by the
// defaults.
type Limits struct {
	// Connections is the most clients of all hubs together, those included that
	// may still be recovered; more are answered 429. Default 10,000.
	Connections int
	// Groups is the most different groups of all hubs together, and GroupsPerConnection
	// those of one client; more are refused with an error. Defaults 100,000 and
	// 10,000.
	Groups, GroupsPerConnection int
	// QueueFrames and QueueBytes are the most that waits for one client: to be
	// written, or to be acknowledged. A client beyond them is closed with 1008.
	// Defaults 1,000 and 16 MiB, which the service documents for messages that are
	// not acknowledged.
	QueueFrames, QueueBytes int
	// Background is the most calls of app servers that nobody waits for, at the same
	// time; more are dropped. Default 10,000.
	Background int
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.Connections, 10_000}, {&l.Groups, 100_000}, {&l.GroupsPerConnection, 10_000},
		{&l.QueueFrames, 1000}, {&l.QueueBytes, 16 << 20}, {&l.Background, 10_000},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return l
}

// Options describe a service.
type Options struct {
	// Keys are its access keys, one or two. Tokens signed with either are taken; the
	// first one signs.
	Keys []azure.Key
	// Endpoint is a name under which the service is known besides the one that each
	// request was sent to: tokens for it are taken. Zero is none.
	Endpoint azure.Base
	// EventHandler is the URL of the app server that gets events, with {hub} and
	// {event} where they shall stand. "" is none: then user events end the client.
	EventHandler string
	// Events are the system events that the app server gets besides all user
	// events: those of [SystemEvents] by default, none if it is not nil and empty.
	Events []string
	// Anonymous lets clients without a token in.
	Anonymous bool
	// Limits bound its memory.
	Limits Limits
	// Transport is how the app server is reached; nil dials.
	Transport http.RoundTripper
	// Logger gets ends of clients and failed events at Debug. nil discards.
	Logger *slog.Logger
}

// Service is an emulated Web PubSub. All methods may be called concurrently.
type Service struct {
	anonymous bool
	limits    Limits
	keys      []azure.Key
	log       *slog.Logger
	guard     *dataplane.Guard
	api       *dataplane.API
	roster    *roster.Roster[*client]
	events    *events
	secret    []byte // signs reconnection tokens

	crew *crew.Crew // closed once Run begins to end
	ran  atomic.Bool

	// life ends with Run. It is kept here because what it ends begins in handlers,
	// whose own contexts end with the handshake.
	life context.Context
	die  context.CancelFunc
}

// New checks opts and returns a service that has started nothing.
func New(opts Options) (*Service, error) {
	limits := opts.Limits.withDefaults()
	if slices.Min([]int{
		limits.Connections, limits.Groups, limits.GroupsPerConnection, limits.QueueFrames, limits.QueueBytes, limits.Background,
	}) < 0 {
		return nil, errors.New("web pubsub: limits must not be negative")
	}
	if len(opts.Keys) < 1 || len(opts.Keys) > 2 {
		return nil, fmt.Errorf("web pubsub has %d access keys, not 1 or 2", len(opts.Keys))
	}
	guard, err := dataplane.NewGuard(opts.Keys, opts.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("web pubsub: %w", err)
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Service{
		anonymous: opts.Anonymous,
		limits:    limits,
		keys:      slices.Clone(opts.Keys),
		log:       log,
		guard:     guard,
		roster: roster.New[*client](roster.Limits{
			Connections: limits.Connections, Groups: limits.Groups, Memberships: limits.GroupsPerConnection,
		}),
		secret: make([]byte, 32),
		crew:   crew.New(limits.Background),
	}
	_, _ = rand.Read(s.secret) // never fails
	s.life, s.die = context.WithCancel(context.Background())
	if s.events, err = newEvents(s, opts); err != nil {
		return nil, fmt.Errorf("web pubsub: %w", err)
	}
	s.api = dataplane.NewAPI(azure.WebPubSub, guard, s.routes())
	return s, nil
}

func newEvents(s *Service, opts Options) (*events, error) {
	system := opts.Events
	if system == nil {
		system = SystemEvents
	}
	for _, name := range system {
		if !slices.Contains(SystemEvents, name) {
			return nil, fmt.Errorf("system event %q is none of %s", name, strings.Join(SystemEvents, ", "))
		}
	}
	hook, err := webhook.New(opts.EventHandler, opts.Transport, "hub", "event")
	if err != nil {
		return nil, fmt.Errorf("event handler: %w", err)
	}
	known, err := newApprovals(hook)
	if err != nil {
		return nil, err
	}
	return &events{
		hook: hook, system: slices.Clone(system), keys: s.keys, approvals: known, crew: s.crew, life: s.life, log: s.log,
	}, nil
}

// ServeHTTP implements http.Handler. It returns from a request of a client when
// its socket has ended.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case path == "/client" || strings.HasPrefix(path, "/client/") || strings.HasPrefix(path, "/clients/"):
		s.serveClient(w, r)
	default:
		s.api.ServeHTTP(w, r)
	}
}

// Run lets the service work until ctx ends, closes all clients with 1001 and
// returns when all calls of app servers have ended. The app server is not told
// of these ends. A service runs once.
func (s *Service) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return errors.New("web pubsub: Run called twice")
	}
	<-ctx.Done()
	s.crew.Close()
	s.die()
	for _, e := range s.roster.Everybody() {
		e.Member.end(ending{code: websocket.StatusGoingAway, reason: "The service is shutting down.", told: true})
	}
	s.crew.Dismiss()
	s.events.hook.Close()
	return nil
}

// sendToGroup sends what a client sent to the members of a group.
func (s *Service) sendToGroup(from *client, group string, p payload, noEcho bool, expires time.Time) {
	m := &message{group: group, fromUser: from.user, payload: p, expires: expires}
	for _, e := range s.roster.Group(from.hub, group) {
		if !noEcho || e.Member != from {
			e.Member.post(m)
		}
	}
}
