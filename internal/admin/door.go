package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/internal/listener"
	"github.com/pointsman/pointsman/proxy"
)

// Options configure a [Door]. Proxy is required.
type Options struct {
	// Proxy is the router that the door tells about and that it controls.
	Proxy *proxy.Proxy
	// Listeners are the addresses for clients, for display.
	Listeners []string
	// Version is the version of the program, for display.
	Version string
	// Token is what a caller must know to change something. Without one only
	// callers on this machine may: the listener must be on loopback or a Unix
	// socket.
	Token string
	// Host is one more name by which callers that change something may address
	// the door, besides localhost and IP addresses: the host of the configured
	// address. "" for none.
	Host string
	// Certificates tells about those that clients are shown. Nil means that there
	// are none.
	Certificates func() []Certificate
	// Reload takes on the configuration as it is now; why is for the log. Nil
	// means that there is nothing to reload. It may be called concurrently.
	Reload func(why string) error
	// Reloads tells about the reloads. Nil means that there are none.
	Reloads func() Reload
	// Logger gets the door's own messages. Nil discards.
	Logger *slog.Logger
}

// Door serves the operator. Make one with [New].
type Door struct {
	options  Options // but for the token
	guard    guard
	began    time.Time
	registry *prometheus.Registry
	server   *fasthttp.Server
}

const (
	// timeout bounds every phase of a visit.
	timeout = 5 * time.Second
	// visitors is how many may stand in the door at once.
	visitors = 64
	// longestBody is the largest body of a request, in bytes.
	longestBody = 64 << 10
)

// New returns a Door that has not started anything.
func New(o Options) (*Door, error) {
	if o.Proxy == nil {
		return nil, errors.New("admin: no proxy")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Door{guard: newGuard(o.Token, o.Host), began: time.Now()}
	o.Token = ""
	d.options = o
	d.registry = newRegistry(d)
	d.server = &fasthttp.Server{
		Handler:                      d.serve,
		ErrorHandler:                 refuseBytes,
		Concurrency:                  visitors,
		ReadTimeout:                  timeout,
		WriteTimeout:                 timeout,
		IdleTimeout:                  timeout,
		MaxRequestBodySize:           longestBody,
		DisablePreParseMultipartForm: true, // it would write a stranger's files to disk
		NoDefaultServerHeader:        true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		Logger:                       quiet{o.Logger},
	}
	return d, nil
}

// Run serves ln until ctx is done, closes it, and returns when every visitor
// has left, at the latest after a few seconds. It may be called once.
func (d *Door) Run(ctx context.Context, ln net.Listener) error {
	d.guard.local = isLocal(ln.Addr())
	served := make(chan error, 1)
	go func() { served <- d.server.Serve(listener.Patient(ln, nil)) }()
	select {
	case err := <-served:
		if err == nil {
			err = net.ErrClosed
		}
		return fmt.Errorf("admin %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	bounded, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := d.server.ShutdownWithContext(bounded)
	<-served
	if errors.Is(err, context.DeadlineExceeded) {
		return nil // visitors who linger are cut by their own deadlines
	}
	return err
}

// quiet passes what the HTTP server has to say to slog, for debugging only, and
// without its arguments: they repeat bytes of strangers, and of callers who have
// misspelt the header with the token.
type quiet struct{ logger *slog.Logger }

// Printf implements [fasthttp.Logger].
func (q quiet) Printf(format string, _ ...any) { q.logger.Debug("admin server", "message", format) }
