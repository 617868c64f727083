package signalr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator/crew"
	"github.com/pointsman/pointsman/internal/emulator/dataplane"
	"github.com/pointsman/pointsman/internal/emulator/roster"
	"github.com/pointsman/pointsman/internal/emulator/webhook"
)

// HealthPaths are where the service answers health checks.
var HealthPaths = []string{"/api/health", "/api/v1/health"}

// Limits bound the memory of a service. Zero values are replaced by the
// defaults.
type Limits struct {
	// Connections is the most clients of all hubs together; more are answered 429.
	// As many again may have negotiated and not connected. Default 10,000.
	Connections int
	// Groups is the most different groups of all hubs together, and the most memberships of
	// users; GroupsPerConnection those of one client. More are answered 429.
	// Defaults 100,000 and 10,000.
	Groups, GroupsPerConnection int
	// QueueRecords and QueueBytes are the most that waits to be sent to one client. A
	// client beyond them is closed. Defaults 1,000 and 16 MiB.
	QueueRecords, QueueBytes int
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
		{&l.QueueRecords, 1000}, {&l.QueueBytes, 16 << 20}, {&l.Background, 10_000},
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
	// Upstream is the URL of the app server that gets what clients do, with {hub},
	// {category} and {event} where they shall stand. "" is none: then invocations
	// end the client.
	Upstream string
	// Anonymous lets clients without a token in.
	Anonymous bool
	// Limits bound its memory.
	Limits Limits
	// Transport is how the app server is reached; nil dials.
	Transport http.RoundTripper
	// Logger gets ends of clients and failed calls at Debug. nil discards.
	Logger *slog.Logger
}

// Service is an emulated SignalR Service. All methods may be called
// concurrently.
type Service struct {
	anonymous bool
	limits    Limits
	keys      []azure.Key
	log       *slog.Logger
	guard     *dataplane.Guard
	api       *dataplane.API
	clients   *directory              // all, by what they connect with
	roster    *roster.Roster[*client] // those that have shaken hands
	users     *userGroups
	upstream  *upstream
	crew      *crew.Crew // closed once Run begins to end
	ran       atomic.Bool

	// life ends with Run. It is kept here because what it ends begins in handlers.
	life context.Context
	die  context.CancelFunc
}

// New checks opts and returns a service that has started nothing.
func New(opts Options) (*Service, error) {
	l := opts.Limits.withDefaults()
	if slices.Min([]int{l.Connections, l.Groups, l.GroupsPerConnection, l.QueueRecords, l.QueueBytes, l.Background}) < 0 {
		return nil, errors.New("signalr: limits must not be negative")
	}
	if len(opts.Keys) < 1 || len(opts.Keys) > 2 {
		return nil, fmt.Errorf("signalr has %d access keys, not 1 or 2", len(opts.Keys))
	}
	guard, err := dataplane.NewGuard(opts.Keys, opts.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("signalr: %w", err)
	}
	hook, err := webhook.New(opts.Upstream, opts.Transport, "hub", "category", "event")
	if err != nil {
		return nil, fmt.Errorf("signalr upstream: %w", err)
	}
	s := &Service{
		anonymous: opts.Anonymous,
		limits:    l,
		keys:      slices.Clone(opts.Keys),
		log:       opts.Logger,
		guard:     guard,
		clients:   newDirectory(2 * l.Connections),
		roster:    roster.New[*client](roster.Limits{Connections: l.Connections, Groups: l.Groups, Memberships: l.GroupsPerConnection}),
		users:     newUserGroups(l.Groups),
		crew:      crew.New(l.Background),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.life, s.die = context.WithCancel(context.Background())
	s.upstream = &upstream{hook: hook, keys: s.keys, crew: s.crew, life: s.life, log: s.log}
	s.api = dataplane.NewAPI(azure.SignalR, guard, s.routes())
	return s, nil
}

// ServeHTTP implements http.Handler. It returns from a request that connects a
// client when that transport has ended.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/client" || strings.HasPrefix(r.URL.Path, "/client/") {
		s.serveClient(w, r)
		return
	}
	s.api.ServeHTTP(w, r)
}

// Run lets the service work until ctx ends, tells all clients to come again,
// closes them and returns when all calls of app servers have ended. The app
// server is not told of these ends. A service runs once.
func (s *Service) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return errors.New("signalr: Run called twice")
	}
	<-ctx.Done()
	s.crew.Close()
	all := s.clients.close()
	for _, c := range all {
		c.end(ending{record: closeRecord("", true)})
	}
	s.die()
	for _, c := range all {
		s.clients.remove(c)
		c.stopClock()
	}
	s.crew.Dismiss()
	s.upstream.hook.Close()
	return nil
}

// within returns a context that ends with ctx or with the service.
func (s *Service) within(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}
