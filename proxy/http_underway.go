package proxy

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/proxy/drain"
	"github.com/pointsman/pointsman/proxy/exchange"
	"github.com/pointsman/pointsman/proxy/handshake"
	"github.com/pointsman/pointsman/proxy/relay"
)

// exchanges are the requests that are passed at this moment, and the clients'
// connections that wait for the next one. The zero value is empty.
type exchanges struct {
	mu    sync.Mutex
	open  map[*passed]struct{}
	idle  map[*exchange.Client]struct{}
	ended bool // nobody waits any more

	requests  atomic.Uint64
	answered  atomic.Uint64
	broken    atomic.Uint64
	abandoned atomic.Uint64
	left      atomic.Uint64
}

// HTTPTotals count the requests that a Proxy has passed to upstreams.
type HTTPTotals struct {
	// Requests is the number of requests for which an upstream was sought.
	Requests uint64
	// Answered is the number of those whose answer has reached its end.
	Answered uint64
	// Broken is the number of those to which an upstream gave no answer, or an
	// answer that was not whole.
	Broken uint64
	// Abandoned is the number of those whose client went away, or sent a body that
	// was not whole.
	Abandoned uint64
	// Ended is the number of those that were ended by a drain or the shutdown.
	Ended uint64
}

// HTTPTotals returns the totals. It may be called at any time.
func (p *Proxy) HTTPTotals() HTTPTotals {
	x := &p.exchanges
	return HTTPTotals{
		Requests: x.requests.Load(), Answered: x.answered.Load(),
		Broken: x.broken.Load(), Abandoned: x.abandoned.Load(), Ended: x.left.Load(),
	}
}

// count counts an exchange that has ended.
func (x *exchanges) count(r *exchange.Result) {
	switch r.Err {
	case nil:
		x.answered.Add(1)
	case exchange.ErrLeft:
		x.left.Add(1)
	case exchange.ErrClient, exchange.ErrBody, exchange.ErrBodyLate:
		x.abandoned.Add(1)
	default:
		x.broken.Add(1)
	}
}

func (x *exchanges) enter(e *passed) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.open == nil {
		x.open = make(map[*passed]struct{})
	}
	x.open[e] = struct{}{}
}

// exit takes an exchange out that has ended.
func (x *exchanges) exit(e *passed) {
	x.mu.Lock()
	delete(x.open, e)
	x.mu.Unlock()
	if d := e.session.drain.Swap(noDrain); d != nil {
		d.Gone()
	}
}

// await waits for the next request of a client, and reports whether it has begun.
func (x *exchanges) await(client *exchange.Client, idle time.Duration) bool {
	x.mu.Lock()
	if x.ended {
		x.mu.Unlock()
		return false
	}
	if x.idle == nil {
		x.idle = make(map[*exchange.Client]struct{})
	}
	x.idle[client] = struct{}{}
	x.mu.Unlock()
	err := client.Await(idle)
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.idle, client)
	return err == nil && !x.ended
}

// hangUp ends the connections that wait for a request, for good.
func (x *exchanges) hangUp() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	for client := range x.idle {
		client.HangUp()
	}
}

// hangsAfter is the age from which a request without an answer counts as one that
// hangs on purpose, as polls do.
const hangsAfter = time.Second

// candidates appends those that a plan selects and that can be ended without harm:
// streams of events, whose clients ask for another one, and polls of a client
// that has to go where its id leads, who begins anew after a refusal. All others
// end by themselves.
func (x *exchanges) candidates(list []drain.Candidate, w *world, plan *drain.Plan) []drain.Candidate {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	for e := range x.open {
		age := now.Sub(e.began)
		hangs := e.belongs && e.Waits() && age >= hangsAfter
		if (hangs || e.Streams()) && age >= plan.Selection.OlderThan && age >= plan.Selection.SilentFor && w.selects(plan, e.session) {
			list = append(list, drain.Candidate{Session: e, Age: age, Idle: age})
		}
	}
	return list
}

// passed is one request under way.
type passed struct {
	*exchange.Exchange
	*session
	score   health.Attempt
	scored  sync.Once
	began   time.Time
	timeout time.Duration                     // of a handshake
	belongs bool                              // an id says that its client belongs to this upstream
	ended   atomic.Pointer[handshake.Refusal] // why, if not by the shutdown
}

// MayLeave implements [drain.Session].
func (x *passed) MayLeave(cause drain.Cause) bool {
	return leaver{x.session, relay.Session{}}.MayLeave(cause)
}

// Leave implements [drain.Session].
func (x *passed) Leave(d *drain.Drain, _ uint16, _ string) bool {
	if !x.Waits() && !x.Streams() || !x.session.drain.CompareAndSwap(nil, d) {
		return false
	}
	if !x.home.proxy.stopping.Load() {
		x.ended.Store(errMoved)
	}
	x.Exchange.Leave() // an answer that has begun in this very moment goes on to its end
	d.Said()
	return true
}

// expire ends it when the client's token has expired.
func (x *passed) expire() {
	x.ended.Store(errUnauthorized)
	x.Exchange.Leave()
}

// cut ends it when the router cuts what is left.
func (x *passed) cut() {
	if x.Waits() {
		x.Exchange.Leave() // its client can still be told
		return
	}
	x.Abort()
}
