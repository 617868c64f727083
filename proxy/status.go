package proxy

import (
	"sync/atomic"

	"github.com/pointsman/pointsman/proxy/relay"
)

// counters are the totals of a Proxy.
type counters struct {
	atGate        atomic.Int64 // client connections that are not joined yet
	open          atomic.Int64 // sessions open or being opened
	streams       atomic.Int64 // streams of HTTP/2
	streamsAtGate atomic.Int64 // those of atGate: they have no descriptor
	streamFiles   atomic.Int64 // descriptors of streams, besides those of their sessions
	spares        atomic.Int64 // spare connections open or being opened
	handshakes    atomic.Uint64
	accepted      atomic.Uint64
	refused       atomic.Uint64
	abandoned     atomic.Uint64
	plain         atomic.Uint64 // requests answered at the desk of a route
	failovers     atomic.Uint64
	ended         atomic.Uint64
	acceptErrors  atomic.Uint64
	refusals      refusals
	ends          ends
}

// ends count ended sessions, by cause.
type ends [maxCauses]atomic.Uint64

// maxCauses is more than there are.
const maxCauses = 32

func (e *ends) count(c relay.Cause) {
	if int(c) < len(e) {
		e[c].Add(1)
	}
}

// totals are those that are not 0.
func (e *ends) totals() map[string]uint64 {
	all := make(map[string]uint64)
	for c := range e {
		if n := e[c].Load(); n > 0 {
			all[relay.Cause(c).String()] = n
		}
	}
	return all
}

// Totals count what a Proxy has done since it was made.
type Totals struct {
	// Handshakes is the number of checked handshakes for which an upstream was
	// sought. Each was Accepted (joined to an upstream), Refused or Abandoned.
	Handshakes uint64
	// Accepted is the number of sessions joined.
	Accepted uint64
	// Refused is the number of requests answered with anything but 101,
	// malformed ones included.
	Refused uint64
	// Abandoned is the number of clients that left before they were answered.
	Abandoned uint64
	// Answered is the number of plain requests that a route with a [Service] has
	// answered, whatever the answer.
	Answered uint64
	// Failovers is the number of attempts beyond the first of a handshake.
	Failovers uint64
	// Ended is the number of sessions that have ended.
	Ended uint64
	// Slowed is the number of sessions whose client was slowed down, once or more,
	// because it sent more than [relay.Rate] allows.
	Slowed uint64
	// AcceptErrors is how often the system had no descriptor for a client.
	AcceptErrors uint64
	// AccessDropped is the number of access records that a slow log lost.
	AccessDropped uint64
}

// Totals returns the totals. It may be called at any time.
func (p *Proxy) Totals() Totals {
	c := &p.counters
	t := Totals{
		Handshakes: c.handshakes.Load(), Accepted: c.accepted.Load(),
		Refused: c.refused.Load(), Abandoned: c.abandoned.Load(),
		Answered: c.plain.Load(), Failovers: c.failovers.Load(), Ended: c.ended.Load(),
		Slowed:       p.relay.Totals().Slowed,
		AcceptErrors: c.acceptErrors.Load(),
	}
	if p.access != nil {
		t.AccessDropped = p.access.dropped.Load()
	}
	return t
}

// Refusals returns how many requests were refused, [Totals.Refused], by what was
// refused: a code of docs/refusals.md, or "upstream_answer" for an answer of an
// upstream that was passed on. Those that are 0 are left out. The map is the
// caller's. It may be called at any time.
func (p *Proxy) Refusals() map[string]uint64 { return p.counters.refusals.totals() }

// Ends returns how many sessions have ended, [Totals.Ended], by cause
// ([relay.Cause]). Those that are 0 are left out. The map is the caller's. It may
// be called at any time.
func (p *Proxy) Ends() map[string]uint64 { return p.counters.ends.totals() }

// Sessions returns the number of sessions that are open or being opened.
func (p *Proxy) Sessions() int { return int(p.counters.open.Load()) }
