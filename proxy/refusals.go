package proxy

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// own are the refusals of the router itself, in the order in which they are made.
var own []*handshake.Refusal

// refuse makes one of them. The codes are in docs/refusals.md, with those of
// package handshake.
func refuse(status int, code, reason string) *handshake.Refusal {
	r := &handshake.Refusal{Status: status, Code: code, Reason: reason}
	own = append(own, r)
	return r
}

// challenge adds the field that a 401 has to have (RFC 9110 §11.6.1).
func challenge(r *handshake.Refusal) *handshake.Refusal {
	r.Header = [][2]string{{"WWW-Authenticate", "Bearer"}}
	return r
}

// What the router refuses besides malformed heads.
var (
	errNoTLS     = refuse(400, "tls_required", "This port speaks TLS (wss); what came is plain HTTP.")
	errHeadLate  = refuse(408, "head_timeout", "The request head did not come in time.")
	errNotFound  = refuse(404, "no_route", "No route serves this host and path.")
	errOrigin    = refuse(403, "origin_not_allowed", "Pages of this origin may not open sessions here.")
	errBadOrigin = refuse(403, "bad_origin", "The Origin field is malformed.")
	errOrigins   = refuse(403, "two_origins", "There is more than one Origin field.")

	errParameter      = refuse(400, "missing_parameter", "Invalid request")
	errHub            = refuse(400, "bad_hub", "Invalid value of 'hub'")
	errUnauthorized   = challenge(refuse(401, "unauthorized", "The access token is missing or not valid."))
	errTokenLong      = refuse(431, "token_too_long", "The access token is too long.")
	errGoneConnection = refuse(404, "no_connection", "No Connection with that ID")

	errStopping = refuse(503, "shutting_down", "This router is shutting down.")
	errFull     = refuse(503, "too_many_sessions", "This router carries as many sessions as it may.")
	errFiles    = refuse(503, "no_descriptors", "This router has no room for more connections.")
	errMemory   = refuse(503, "no_memory", "This router is short of memory.")
	errAddress  = refuse(429, "too_many_sessions_of_address", "This client address has as many sessions as it may.")
	errBusy     = refuse(503, "too_many_handshakes", "Too many clients connect at this moment.")

	errNoUpstream  = refuse(503, "no_upstream", "No upstream takes sessions now.")
	errUnreachable = refuse(503, "upstream_unreachable", "No upstream could be reached.")
	errBadAnswer   = refuse(502, "bad_upstream_answer", "No upstream gave a valid answer.")
	errLateAnswer  = refuse(504, "upstream_timeout", "No upstream answered in time.")
	errInternal    = refuse(500, "internal", "Internal error.")
)

// codeRelayed stands for the answers of upstreams that are passed on.
const codeRelayed = "upstream_answer"

// Clients that are turned away are asked to come back after a random time, so
// that they do not all come back at once. A place at a client address becomes
// free when a session ends, which is seldom soon.
const (
	retryAfter        = "Retry-After"
	retryAfterLeast   = 1 // seconds
	retryAfterMost    = 5
	retryAddressLeast = 5
	retryAddressMost  = 15
)

// again is a refusal with the time after which the client should try again.
func again(r *handshake.Refusal, seconds int) *handshake.Refusal {
	return &handshake.Refusal{
		Status: r.Status, Code: r.Code, Reason: r.Reason,
		Header: [][2]string{{retryAfter, strconv.Itoa(seconds)}},
	}
}

// refusalOf is what a client is told that gets no session because of err, unless
// it gets the answer of an upstream.
func refusalOf(err error) *handshake.Refusal {
	r := errInternal
	var all *refusedByAll
	if errors.As(err, &all) {
		r = all.refusal()
	} else {
		errors.As(err, &r)
	}
	least, most := 0, 0
	switch {
	case len(r.Header) > 0:
	case r.Status >= 502 && r.Status <= 504:
		least, most = retryAfterLeast, retryAfterMost
	case r.Status == errAddress.Status:
		least, most = retryAddressLeast, retryAddressMost
	}
	if most > 0 {
		r = again(r, least+rand.IntN(most-least+1))
	}
	return r
}

// refusals count what was refused, by code.
type refusals map[string]*atomic.Uint64

func newRefusals() refusals {
	counts := refusals{codeRelayed: new(atomic.Uint64)}
	for _, r := range slices.Concat(handshake.Refusals(), own) {
		counts[r.Code] = new(atomic.Uint64)
	}
	return counts
}

// count counts one more.
func (counts refusals) count(code string) {
	if n := counts[code]; n != nil {
		n.Add(1)
	}
}

// totals are those that are not 0.
func (counts refusals) totals() map[string]uint64 {
	all := make(map[string]uint64)
	for code, n := range counts {
		if n := n.Load(); n > 0 {
			all[code] = n
		}
	}
	return all
}
