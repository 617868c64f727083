package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/proxy/drain"
	"github.com/pointsman/pointsman/proxy/relay"
)

// Proxy is the router. Make one with [New]. Its methods may be called
// concurrently.
type Proxy struct {
	// Fixed after New.
	logger *slog.Logger
	relay  *relay.Relay
	places *relay.Places // of TLS handshakes
	server *fasthttp.Server
	drains *drain.Engine
	access *accessLog
	losses losses
	files  files

	// What reloads change.
	applying sync.Mutex // held by Apply
	world    atomic.Pointer[world]
	minders  minders
	leaving  leaving
	expiries expiries

	// What handshakes and sessions change.
	counters  counters
	exchanges exchanges
	memory    memory
	addresses perAddress
	clients   sync.WaitGroup // connections that have come through the gate and have not left it

	// The end.
	unready  atomic.Bool     // Ready says no
	stopping atomic.Bool     // no new session
	ending   chan struct{}   // closed when stopping
	shut     atomic.Bool     // nobody comes to the gates any more
	drained  vacancy         // told when stopping and no session is open
	vacated  vacancy         // told when shut and nobody is at the gates
	cut      context.Context // done when what is left is cut: nobody waits for anything any more
	cutOff   context.CancelFunc
}

// Check validates o as [New] does, and opens nothing. The error names every
// mistake.
func Check(o Options) error {
	o = o.withDefaults()
	routes, _, err := o.check()
	if err != nil {
		return err
	}
	var errs []error
	for i := range routes {
		if routes[i].Service != nil {
			if _, err := newDesk(&routes[i], &o, nil); err != nil {
				errs = append(errs, fmt.Errorf("route %d: %w", i+1, err))
			}
		}
	}
	return errors.Join(errs...)
}

// New validates o and returns a Proxy that has not started anything. The error
// names every mistake.
func New(o Options) (*Proxy, error) {
	p := &Proxy{ending: make(chan struct{}), drained: newVacancy(), vacated: newVacancy(), losses: newLosses(), expiries: newExpiries()}
	p.memory.bell = make(chan struct{}, 1)
	p.cut, p.cutOff = context.WithCancel(context.Background())
	p.counters.refusals = newRefusals()
	w, err := newWorld(p, o, nil)
	if err != nil {
		return nil, err
	}
	p.world.Store(w)
	p.logger = w.options.Logger
	if p.relay, err = relay.New(o.Relay); err != nil {
		return nil, err
	}
	loops := p.relay.Options().Loops
	p.places = relay.NewPlaces(loops-1, p.cut.Done()) // a flood of hellos leaves one processor to the sessions
	p.files = newFiles(loops)
	p.drains = drain.New(census{p}, p.logger)
	p.access = newAccessLog(o.AccessLogger)
	p.server = &fasthttp.Server{
		Handler:                       p.serve,
		ReadBufferSize:                readBuffer,
		Concurrency:                   math.MaxInt32, // the limits are ours
		WriteTimeout:                  w.options.Limits.HeaderTimeout,
		NoDefaultServerHeader:         true,
		NoDefaultDate:                 true,
		NoDefaultContentType:          true,
		DisableHeaderNamesNormalizing: true,
		SecureErrorLogMessage:         true,
		CloseOnShutdown:               true,
		Logger:                        serverLog{p.logger},
	}
	return p, nil
}

// Run serves the listeners until ctx is done, then ends in an orderly way: it
// turns unready, stops accepting after the lead, ends every session with Close
// 1001 at the pace of the drain, and shortly before the shutdown deadline it
// cuts what is left. It closes the listeners and returns when everything it
// started has ended. It returns the first error that kept it from serving, or
// nil. Run may be called once.
func (p *Proxy) Run(ctx context.Context, listeners ...net.Listener) error {
	gates, err := p.gates(listeners)
	if err != nil {
		return err
	}
	var background, serving sync.WaitGroup
	stopped, stop := context.WithCancel(context.Background())
	defer stop()
	p.applying.Lock()
	p.minders.begin(stopped, p.world.Load())
	p.applying.Unlock()
	background.Go(func() { p.access.run(stopped) })
	background.Go(func() { p.losses.run(stopped) })
	background.Go(func() { p.expiries.run(stopped) })
	background.Go(func() { p.tidy(stopped) })
	background.Go(func() { p.watchMemory(stopped) })
	background.Go(func() { p.drains.Run(stopped) })
	leading, stopLeading := context.WithCancel(ctx)
	defer stopLeading()
	var leader sync.WaitGroup
	leader.Go(func() { newLeader(p).run(leading) })

	errs := make(chan error, len(listeners)+1)
	defer p.cutOff()
	relayDone := make(chan struct{})
	go func() {
		defer close(relayDone)
		if err := p.relay.Run(p.cut); err != nil {
			errs <- fmt.Errorf("relay: %w", err)
		}
	}()
	for _, ln := range gates {
		serving.Go(func() {
			if err := p.server.Serve(ln); err != nil && !p.stopping.Load() {
				errs <- fmt.Errorf("serve %s: %w", ln.Addr(), err)
			}
		})
	}

	var failed error
	select {
	case <-ctx.Done():
	case failed = <-errs:
	}
	stopLeading()
	leader.Wait() // it begins no drain beside the last one
	p.shutDown(gates)
	p.cutOff() // cuts what is left, handshakes under way included
	serving.Wait()
	p.clients.Wait()
	p.world.Load().closeDesks()
	<-relayDone
	stop()
	p.minders.wait()
	background.Wait()
	return failed
}

// Ready reports whether a new client would find an upstream.
func (p *Proxy) Ready() bool {
	if p.unready.Load() {
		return false
	}
	for _, u := range p.world.Load().options.Upstreams {
		if u.Usable() {
			return true
		}
	}
	return false
}

// serverLog passes what the HTTP server has to say to slog.
type serverLog struct{ logger *slog.Logger }

// Printf implements [fasthttp.Logger]. The texts are about single connections
// of strangers, so they are for debugging only.
func (l serverLog) Printf(format string, args ...any) {
	if l.logger.Enabled(context.Background(), slog.LevelDebug) {
		l.logger.Debug("http server", "message", fmt.Sprintf(format, args...))
	}
}
