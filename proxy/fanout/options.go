package fanout

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
)

// Upstream is what a fan-out needs to know of an upstream.
type Upstream struct {
	// Name is unique among the upstreams, printable ASCII without comma; answers tell it.
	Name string
	// Base is where its REST API is ([azure.ConnectionString.ServerBase]).
	Base azure.Base
	// Endpoint is what tokens for it are for.
	Endpoint azure.Base
	// Key signs them.
	Key azure.Key
	// TLS says how TLS is done if Base is https; it is copied. ServerName defaults to the host. Nil means TLS 1.2 or later and the
	// system's roots.
	TLS *tls.Config
	// Healthy reports whether calls go there now. It must not block. Nil means always.
	Healthy func() bool
}

// Options configures a [Fanout].
type Options struct {
	// Service is what the upstreams speak.
	Service azure.Service
	// Upstreams, one at least. Where answers are equal, that of the first is handed on.
	Upstreams []Upstream
	// Deadline is the time that each upstream has for a call, waiting, repeating and connecting included. 0 means 5 s.
	Deadline time.Duration
	// MaxBody is the longest body of a call, in bytes; 0 means 1 MiB, which is what the services take.
	MaxBody int64
	// Backlog is how many calls are under way at once; those beyond get 503. 0 means 256. Bodies take at most Backlog times MaxBody.
	Backlog int
	// Connections is how many connections there are to each upstream at most; calls beyond wait for one, within their deadline. 0
	// means 32.
	Connections int
	// Retries is how often a failed call is tried again at an upstream, 0 to 3, if the table says that it makes no difference, or
	// if nothing of it has left.
	Retries int
	// RetryWait is the time before the first repetition; it doubles with each. 0 means 100 ms.
	RetryWait time.Duration
	// Directory knows where connections are. Nil makes a new one.
	Directory *Directory
	// Dial opens connections to "host:port". Nil means a [net.Dialer].
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Logger gets a Debug record for each upstream that has failed a call. Nil discards.
	Logger *slog.Logger
}

const (
	defaultDeadline    = 5 * time.Second
	defaultMaxBody     = 1 << 20
	defaultBacklog     = 256
	defaultConnections = 32
	defaultRetryWait   = 100 * time.Millisecond
	maxRetries         = 3

	// maxAnswer is the longest body of an upstream's answer, in bytes. The longest real one is a page of 200 connections.
	maxAnswer = 1 << 20
	// keepIdle is how long an idle connection is kept. Services close theirs after minutes.
	keepIdle = 30 * time.Second
)

// withDefaults reports every mistake in o and returns a copy with defaults filled in.
func (o Options) withDefaults() (Options, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.Upstreams) == 0 {
		bad("no upstreams")
	}
	names := make(map[string]bool)
	for _, u := range o.Upstreams {
		switch {
		case u.Name == "" || strings.ContainsFunc(u.Name, func(c rune) bool {
			return c < ' ' || c > '~' ||
				strings.ContainsRune(`,"\`, c)
		}):
			bad("upstream %q has a name that is empty or holds more than printable ASCII without comma, quote and backslash", u.Name)
		case names[u.Name]:
			bad("upstream %q is given twice", u.Name)
		case u.Base.IsZero() || u.Endpoint.IsZero():
			bad("upstream %q has no place", u.Name)
		case u.Key.IsZero():
			bad("upstream %q has no access key", u.Name)
		case u.TLS != nil && u.Base.Scheme() != "https":
			bad("upstream %q has settings of TLS for a URL without it", u.Name)
		}
		names[u.Name] = true
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"deadline", int64(o.Deadline)}, {"max body", o.MaxBody}, {"backlog", int64(o.Backlog)},
		{"connections", int64(o.Connections)}, {"retries", int64(o.Retries)}, {"retry wait", int64(o.RetryWait)},
	} {
		if n.value < 0 {
			bad("%s %d is negative", n.name, n.value)
		}
	}
	if o.Retries > maxRetries {
		bad("retries %d is more than %d", o.Retries, maxRetries)
	}
	if o.Service > azure.SignalR {
		bad("%v is unknown", o.Service)
	}
	o.Deadline = cmp.Or(o.Deadline, defaultDeadline)
	o.MaxBody = cmp.Or(o.MaxBody, defaultMaxBody)
	o.Backlog = cmp.Or(o.Backlog, defaultBacklog)
	o.Connections = cmp.Or(o.Connections, defaultConnections)
	o.RetryWait = cmp.Or(o.RetryWait, defaultRetryWait)
	if o.Dial == nil {
		var d net.Dialer
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) { return d.DialContext(ctx, "tcp", address) }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := errors.Join(errs...); err != nil {
		return o, err
	}
	if o.Directory == nil {
		d, err := NewDirectory(0)
		if err != nil {
			return o, err
		}
		o.Directory = d
	}
	return o, nil
}
