package proxy

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"
	"unique"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/drain"
	"github.com/pointsman/pointsman/proxy/relay"
)

// earlyLoss is the age up to which the loss of a session counts against its
// upstream: it accepted a session that it could not hold. Later losses only ask
// for a probe.
const earlyLoss = 5 * time.Second

// session is what the proxy remembers of a joined pair. There may be very many.
type session struct {
	lease   pool.Lease
	home    *home
	client  netip.Addr
	path    unique.Handle[string] // most clients ask for one of a few
	drain   atomic.Pointer[drain.Drain]
	counted bool   // at the client's address
	expires bool   // it is closed when a token expires
	bound   bool   // its client has been told to come to this upstream, and comes again
	manner  manner // how its client wants to be sent elsewhere
}

// place is what the session takes up.
func (s *session) place() place { return place{s.client, s.counted} }

// noDrain stands in a session that has ended: too late to ask.
var noDrain = new(drain.Drain)

func newSession(c *clientConn, lease pool.Lease) *session {
	held := c.place()
	return &session{
		lease: lease, home: c.route.home, client: held.client, counted: held.counted,
		path:    unique.Make(string(c.request.Path)), // the query is left out: tokens stand in it
		expires: !c.ticket.ends().IsZero(), bound: c.ticket.steered(), manner: c.manner(),
	}
}

// ended takes the end of the session. It runs in an event loop and must not
// block.
func (s *session) ended(end relay.End) {
	p, u := s.home.proxy, s.lease.Upstream()
	s.lease.Release()
	if end.Cause.UpstreamFault() {
		u.CountLost()
		if end.Duration < earlyLoss {
			p.losses.report(loss{u, s.client, end.Duration, end.Cause})
		} else {
			u.Checker().Nudge()
		}
	}
	p.counters.ended.Add(1)
	p.counters.ends.count(end.Cause)
	if p.access != nil {
		p.access.write(accessRecord{s.client, s.path.Value(), u.Name(), end, nil})
	}
	if d := s.drain.Swap(noDrain); d != nil {
		d.Gone()
	}
	if s.expires {
		p.expiries.forget(s)
	}
	p.leave(s.place())
}

// loss is the early abnormal end of a session.
type loss struct {
	upstream *pool.Upstream
	client   netip.Addr
	after    time.Duration
	cause    relay.Cause
}

// losses carries early losses from the loops to the breakers: their verdict may
// be logged, and a log may block. It holds more than any breaker needs; what
// does not fit would say the same once more.
type losses chan loss

func newLosses() losses { return make(losses, 64) }

func (l losses) report(x loss) {
	select {
	case l <- x:
	default:
	}
}

// run tells the breakers until ctx is done.
func (l losses) run(ctx context.Context) {
	for {
		select {
		case x := <-l:
			err := fmt.Errorf("session of %v: %v", x.after.Round(time.Millisecond), x.cause)
			x.upstream.Checker().Lost(health.ByClient(x.client, err))
		case <-ctx.Done():
			return
		}
	}
}
