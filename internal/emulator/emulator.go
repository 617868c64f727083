package emulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// NameHeader is the response header of every 101 and every health answer that
// carries [Options.Name], so that a client behind a router can tell which
// upstream it reached.
const NameHeader = "X-Upstream"

const (
	defaultName       = "emulator"
	defaultListen     = "127.0.0.1:0"
	defaultMaxMessage = 16 << 20

	// headerTimeout bounds how long a stranger may take over a request head.
	headerTimeout = 10 * time.Second
	// closeGrace is how long Run waits for clients to answer the Close frame
	// before it cuts them.
	closeGrace = 2 * time.Second
)

// ErrClosed is returned by switches that need the listener once Run has ended.
var ErrClosed = errors.New("emulator: closed")

// Options describe an emulator. The zero value works: an echo upstream named
// "emulator" on a free port of 127.0.0.1 with its controls on the same port.
type Options struct {
	// Name is sent back in [NameHeader]. It must be printable ASCII.
	// Default "emulator".
	Name string

	// Listen is the TCP address for clients. Port 0 takes a free one.
	// Default "127.0.0.1:0".
	Listen string

	// Control is a TCP address of its own for /control/. Without it the
	// controls are served on Listen, where they cannot be reached while the
	// emulator refuses or resets connections; with it Listen has no /control/.
	Control string

	// MaxMessage is the largest message in bytes that is echoed; a larger one
	// ends the session with 1009. Default 16 MiB.
	MaxMessage int64

	// Service answers in the place of the echo. nil echoes.
	Service Service

	// HealthPaths are the paths at which the emulator answers health checks
	// itself. Default /api/health.
	HealthPaths []string

	// Logger gets switch changes at Info and session ends at Debug.
	// nil discards.
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = defaultName
	}
	if o.Listen == "" {
		o.Listen = defaultListen
	}
	if o.MaxMessage == 0 {
		o.MaxMessage = defaultMaxMessage
	}
	if len(o.HealthPaths) == 0 {
		o.HealthPaths = []string{healthPath}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Emulator is one emulated upstream. All methods may be called concurrently.
type Emulator struct {
	// Fixed after New.
	opts Options
	log  *slog.Logger

	door     *door
	switches switches
	restores restores

	// modeMu serialises changes of the mode: leaving refuse binds a port and
	// may take a while.
	modeMu sync.Mutex

	// closing is closed when Run begins to shut down.
	closing chan struct{}

	total    atomic.Int64 // sessions since Run began
	asked    atomic.Int64 // handshakes seen, refused ones included
	refused  atomic.Int64 // handshakes answered with an error on purpose
	messages atomic.Int64 // messages whose echo was begun

	mu       sync.Mutex
	control  net.Listener // nil when the controls share the door
	bound    bool
	ran      bool
	ended    bool                         // no new handler may begin
	handlers sync.WaitGroup               // guarded by ended: Add only while it is false
	sessions map[*websocket.Conn]struct{} // open sessions
}

// New checks opts and returns an emulator that has opened nothing yet.
func New(opts Options) (*Emulator, error) {
	o := opts.withDefaults()
	if strings.ContainsFunc(o.Name, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return nil, fmt.Errorf("emulator name %q: only printable ASCII can be sent in a header", o.Name)
	}
	if o.MaxMessage < 0 {
		return nil, fmt.Errorf("emulator max message %d: must not be negative", o.MaxMessage)
	}
	for _, addr := range []string{o.Listen, o.Control} {
		if addr == "" {
			continue
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, fmt.Errorf("emulator address: %w", err)
		}
	}
	return &Emulator{
		opts:     o,
		log:      o.Logger.With("upstream", o.Name),
		door:     newDoor(),
		switches: newSwitches(),
		closing:  make(chan struct{}),
		sessions: make(map[*websocket.Conn]struct{}),
	}, nil
}

// Listen binds the addresses, after which [Emulator.URL] is valid and the
// kernel queues connections. Run calls it when nobody did. Only the end of Run
// releases the ports. Calling it twice is fine.
func (e *Emulator) Listen() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.bound {
		return nil
	}
	if err := e.door.open(e.opts.Listen); err != nil {
		return fmt.Errorf("emulator listen: %w", err)
	}
	if e.opts.Control != "" {
		ln, err := net.Listen("tcp", e.opts.Control)
		if err != nil {
			return errors.Join(fmt.Errorf("emulator control listen: %w", err), e.door.Close())
		}
		e.control = ln
	}
	e.bound = true
	return nil
}

// Addr returns the bound address for clients as host:port, "" before Listen.
// It stays the same while connections are refused.
func (e *Emulator) Addr() string { return e.door.address() }

// URL returns the ws:// URL for clients, without a path; "" before Listen. An
// address that stands for all interfaces is shown as 127.0.0.1.
func (e *Emulator) URL() string { return urlOf("ws", e.Addr()) }

// ControlURL returns the http:// URL below which /control/ is served; "" before
// Listen.
func (e *Emulator) ControlURL() string {
	e.mu.Lock()
	ln := e.control
	e.mu.Unlock()
	if ln != nil {
		return urlOf("http", ln.Addr().String())
	}
	return urlOf("http", e.Addr())
}

func urlOf(scheme, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Start listens and runs the emulator in a goroutine of its own. stop ends it
// and returns when everything has ended; it may be called more than once.
func (e *Emulator) Start() (stop func(), err error) {
	if err := e.Listen(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := e.Run(ctx); err != nil {
			e.log.Error("emulator stopped", "error", err)
		}
	}()
	return func() {
		cancel()
		<-ended
	}, nil
}

// Run serves until ctx ends or a listener fails, closes all sessions with 1001
// (cutting those that do not answer within 2 s) and returns when every
// goroutine it started has ended. It returns nil when ctx ended it. An emulator
// runs once.
//
// Controls, all answering with the [State] that follows:
//
//	GET  /control/state
//	POST /control/ok                                everything normal again
//	POST /control/health?status=503                 what GET /api/health answers
//	POST /control/handshake?status=503&share=0.3    that share of handshakes fails
//	POST /control/slow?delay=200ms                  before each answer and echo
//	POST /control/hang                              TCP accepts, HTTP never answers
//	POST /control/refuse?sessions=cut               port closed; sessions=stay is the default
//	POST /control/reset                             RST for everything old and new
//
// A switch given for=10s restores itself after that time.
func (e *Emulator) Run(ctx context.Context) error {
	if err := e.Listen(); err != nil {
		return err
	}
	e.mu.Lock()
	if e.ran {
		e.mu.Unlock()
		return errors.New("emulator: Run called twice")
	}
	e.ran = true
	control := e.control
	e.mu.Unlock()

	// The library behind net/http's error log repeats what a stranger sent.
	errorLog := slog.NewLogLogger(e.log.Handler(), slog.LevelDebug)
	servers := []*http.Server{{
		Handler:           e.dataHandler(),
		ReadHeaderTimeout: headerTimeout,
		ErrorLog:          errorLog,
		ConnContext:       withDoorConn,
	}}
	listeners := []net.Listener{e.door}
	if control != nil {
		servers = append(servers, &http.Server{
			Handler:           e.controlHandler(),
			ReadHeaderTimeout: headerTimeout,
			ErrorLog:          errorLog,
		})
		listeners = append(listeners, control)
	}

	stopService := e.runService()
	served := make(chan error, len(servers))
	for i, s := range servers {
		go func() { served <- s.Serve(listeners[i]) }()
	}

	var err error
	left := len(servers)
	select {
	case <-ctx.Done():
	case err = <-served:
		left--
	}
	err = errors.Join(err, e.shutdown(servers, stopService))
	for range left {
		if e := <-served; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return fmt.Errorf("emulator serve: %w", err)
	}
	return nil
}

// shutdown ends sessions, the service and handlers, and waits for them.
func (e *Emulator) shutdown(servers []*http.Server, stopService func() error) error {
	close(e.closing)

	e.mu.Lock()
	e.ended = true
	open := make([]*websocket.Conn, 0, len(e.sessions))
	for c := range e.sessions {
		open = append(open, c)
	}
	e.mu.Unlock()

	// Closes the listeners and every connection that is not a session.
	for _, s := range servers {
		if err := s.Close(); err != nil {
			e.log.Debug("close server", "error", err)
		}
	}

	var closers sync.WaitGroup
	for _, c := range open {
		closers.Go(func() { closeGoingAway(c) })
	}
	// Close itself waits up to ten seconds for a silent peer: cutting the
	// connection wakes it.
	cut := time.AfterFunc(closeGrace, func() { e.door.cut(anyConn) })
	err := stopService()
	closers.Wait()
	e.handlers.Wait()
	e.restores.end()
	cut.Stop()
	// A connection accepted while the server closed is in nobody's books but
	// the door's.
	e.door.cut(anyConn)
	return err
}

// closeGoingAway says good-bye as RFC 6455 §7.4.1 asks of a server that goes
// down. A peer that is already gone needs no good-bye.
func closeGoingAway(c *websocket.Conn) {
	_ = c.Close(websocket.StatusGoingAway, "upstream shutting down")
}

// enter lets a handler begin, and reports false once the emulator shuts down.
// The caller calls e.handlers.Done when it was let in.
func (e *Emulator) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return false
	}
	e.handlers.Add(1)
	return true
}
