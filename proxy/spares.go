package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/relay"
)

const (
	// spareLook is how often a keeper looks at its connections.
	spareLook = 250 * time.Millisecond
	// sparesAtOnce is how many it opens at the same time.
	sparesAtOnce = 4
	// No spare connection is opened unless one in sparesOpenAt of the clients'
	// descriptors is free, and none is kept unless one in sparesKeptAt is. The
	// one that is opened shall not be the one too many.
	sparesOpenAt = 4
	sparesKeptAt = 8
	// After a failure a keeper pauses, each time twice as long, within these.
	sparePauseLeast = time.Second
	sparePauseMost  = 30 * time.Second
	// spareLives is how long an upstream has to keep an idle connection for that
	// not to be a failure. What lives longer is opened anew at once.
	spareLives = 5 * time.Second
)

// keeper keeps spare connections to one upstream, while that takes sessions and
// this router has plenty of descriptors and memory. Each is opened as far as it
// goes without a client, TLS included. Idle they have no goroutine: run looks
// at them now and then.
type keeper struct {
	proxy  *Proxy
	up     *pool.Upstream
	target *target
	store  *pool.Spares
	taken  chan struct{} // room for one: run shall look for a new one
	lost   atomic.Bool   // one was of no use soon after it was opened
	served atomic.Bool   // one was of use

	// For run only.
	opening int
	opened  chan error
	pause   time.Duration // the last one, 0 if none since all was well
	resume  time.Time     // when it ends
	told    bool          // the log knows that not all is well
}

// newKeeper returns nil if u wants no spares.
func newKeeper(p *Proxy, u *pool.Upstream, t *target) *keeper {
	if u.Spares() == 0 {
		return nil
	}
	k := &keeper{
		proxy: p, up: u, target: t,
		taken: make(chan struct{}, 1), opened: make(chan error, sparesAtOnce),
	}
	k.store = u.NewSpares(k.drop)
	return k
}

// drop closes a connection that nobody has taken.
func (k *keeper) drop(conn net.Conn) {
	conn.Close()
	k.proxy.counters.spares.Add(-1)
}

// take returns a spare connection for a session, or nil. Whoever gets one says what
// became of it: used or stale.
func (k *keeper) take() net.Conn {
	if k == nil {
		return nil
	}
	conn := k.store.Take(k.good)
	if conn == nil {
		return nil
	}
	k.proxy.counters.spares.Add(-1)
	select {
	case k.taken <- struct{}{}:
	default:
	}
	return conn
}

// good reports whether a connection is as good as new.
func (k *keeper) good(conn net.Conn, age time.Duration) bool {
	good := relay.Quiet(conn)
	if !good && age < spareLives {
		k.lost.Store(true)
	}
	return good
}

// used notes that a handshake was asked for on a spare connection.
func (k *keeper) used(conn net.Conn) {
	k.up.CountSpare(true)
	k.served.Store(true)
	relay.SetUserTimeout(conn, 0)
}

// stale closes a spare connection that the upstream had closed, and the others,
// too: what has ended one may have ended all, unseen.
func (k *keeper) stale(conn net.Conn) {
	k.up.CountSpare(false)
	cut(conn)
	k.store.Clear()
}

// run keeps the connections until ctx is done or the router takes no more
// sessions, and then closes them.
func (k *keeper) run(ctx context.Context) {
	var dials sync.WaitGroup
	defer dials.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer k.store.Close()
	look := time.NewTicker(spareLook)
	defer look.Stop()
	for {
		for k.wants() {
			k.opening++
			k.proxy.counters.spares.Add(1)
			dials.Go(func() { k.opened <- k.open(ctx) })
		}
		select {
		case <-look.C:
			k.look()
		case <-k.taken:
		case err := <-k.opened:
			if k.opening--; err != nil {
				k.failed(err)
			}
		case <-k.proxy.ending:
			return
		case <-ctx.Done():
			return
		}
	}
}

// may reports whether there may be spare connections now: one in so many of the
// descriptors is free.
func (k *keeper) may(oneIn int64) bool {
	p := k.proxy
	return k.up.Usable() && !p.stopping.Load() && !p.memory.tight.Load() &&
		!p.files.short(p.filesUsed(), p.files.limit/oneIn)
}

// look throws away what cannot be used any more.
func (k *keeper) look() {
	if !k.may(sparesKeptAt) {
		k.store.Clear()
		k.lost.Store(false)
		k.pause, k.resume, k.told = 0, time.Time{}, false
		return
	}
	aged, served := k.store.Tidy(k.good), k.served.Swap(false)
	if k.lost.Swap(false) {
		k.failed(errSpareLost)
		return
	}
	if aged > 0 || served {
		k.pause = 0
	}
	if aged > 0 && k.told {
		k.told = false
		k.proxy.logger.Info("spare connections are kept again", "upstream", k.up.Name())
	}
}

var (
	errSpareLost = errors.New("the upstream soon ended an idle connection, or sent something on it")
	errNoSpare   = fmt.Errorf("opened and not needed any more: %w", health.ErrLocal)
)

// wants reports whether one more connection is to be opened now. With its
// sessions an upstream is not to get more than it takes.
func (k *keeper) wants() bool {
	want, together := k.up.Spares(), sparesAtOnce
	if most := k.up.MaxSessions(); most > 0 {
		want = min(want, most-k.up.Sessions())
	}
	if k.pause > 0 {
		together = 1
	}
	return k.opening < together && k.store.Ready()+k.opening < want &&
		!time.Now().Before(k.resume) && k.may(sparesOpenAt) && k.target.admission.leftOver(k.up.HandshakesPerSecond())
}

// failed takes note of a connection that could not be opened or was not kept: the
// upstream is left alone for a while, and somebody should look whether it is
// well. That is all; the breaker learns nothing from spares.
func (k *keeper) failed(err error) {
	now := time.Now()
	if now.Before(k.resume) || errors.Is(err, context.Canceled) || k.proxy.stopping.Load() {
		return
	}
	if !k.told && !errors.Is(err, errNoSpare) {
		k.told = true
		k.proxy.logger.Info("spare connections are not kept", "upstream", k.up.Name(), "error", err)
	}
	k.pause = min(max(2*k.pause, sparePauseLeast), sparePauseMost)
	k.resume = now.Add(k.pause/2 + rand.N(k.pause/2))
	if !local(err) {
		k.up.Checker().Nudge()
	}
}

// open opens one connection, which is counted already, and stores it.
func (k *keeper) open(ctx context.Context) error {
	conn, err := k.dial(ctx)
	switch {
	case err != nil:
		k.proxy.counters.spares.Add(-1)
	case k.may(sparesKeptAt):
		k.store.Add(conn)
	default:
		k.drop(conn)
		err = errNoSpare
	}
	return err
}

// dial is the dial for nobody yet.
func (k *keeper) dial(ctx context.Context) (net.Conn, error) {
	p := k.proxy
	limits := &p.world.Load().options.Failover
	deadline := time.Now().Add(limits.HandshakeTimeout)
	conn, err := p.connectTo(k.target, nil, limits, deadline)
	if err != nil {
		return nil, err
	}
	leave := context.AfterFunc(ctx, func() { conn.Close() })
	ready, err := p.begin(k.target, conn, nil, deadline)
	if !leave() {
		err = ctx.Err()
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	// A client that gets it shall not wait longer for an upstream that has
	// vanished than for a connection to it.
	relay.SetUserTimeout(ready, limits.ConnectTimeout)
	return ready, nil
}

// giveUpSpares closes all spare connections and reports whether there were any.
func (p *Proxy) giveUpSpares() (some bool) {
	if p.counters.spares.Load() == 0 {
		return false
	}
	for _, t := range p.world.Load().targets {
		if t.spares != nil && t.spares.store.Clear() > 0 {
			some = true
		}
	}
	return some
}
