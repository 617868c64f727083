package proxy

import (
	"errors"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// refusedByAll is the end of the search for an upstream.
type refusedByAll struct {
	last error // of the last attempt; nil if none was usable
}

// Error tells what happened last.
func (r *refusedByAll) Error() string {
	if r.last == nil {
		return "no upstream takes sessions"
	}
	return "no upstream took the session: " + r.last.Error()
}

// Unwrap returns the error of the last attempt.
func (r *refusedByAll) Unwrap() error { return r.last }

// refusal is what the client is told: nothing about which upstream or why.
func (r *refusedByAll) refusal() *handshake.Refusal {
	switch {
	case r.last == nil || local(r.last):
		return errNoUpstream
	case timedOut(r.last):
		return errLateAnswer
	case badAnswer(r.last):
		return errBadAnswer
	default:
		return errUnreachable
	}
}

// turnDown counts a client that gets no session because of err, and returns its
// answer, as bytes: that of the upstream, or our own.
func (p *Proxy) turnDown(err error, method []byte) []byte {
	p.counters.refused.Add(1)
	if relayed, ok := errors.AsType[*relayedAnswer](err); ok {
		p.counters.refusals.count(codeRelayed)
		return relayed.bytes
	}
	r := refusalOf(err)
	p.counters.refusals.count(r.Code)
	return r.AppendAnswer(nil, method)
}
