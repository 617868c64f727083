package proxy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// HTTP says what becomes of requests of a route that are no WebSocket
// handshakes: what WebSocket applications fall back to, such as server-sent
// events and long polling, and their ordinary requests.
//
// A request that is passed counts as a session while it is under way: it takes a
// place with its upstream and under every limit, it goes where the route's router
// says, its failures count with the breaker, and origins are judged as for
// handshakes. It goes to another upstream only if no byte of it was sent to the
// one before.
type HTTP struct {
	// Pass passes requests to an upstream. Default: they are refused, as 426 or 405.
	Pass bool
	// Affinity says how the requests of one client find the same upstream. Default
	// by the ids of the protocols.
	Affinity HTTPAffinity
	// Keys sign what leads clients back to their upstream, 0 to 4: the first signs,
	// all are taken. Routers that share them understand each other. Without any a
	// key is drawn when the route is made; then clients that come back after a
	// restart, or to another router, may find another upstream.
	Keys []azure.Key
	// Cookie is the name of the cookie, with [AffinityByCookie]. Default
	// "pointsman".
	Cookie string
	// AnswerTimeout is how long an upstream may take to begin its answer after the
	// request was sent. It has to be longer than the longest poll. Default 150 s.
	AnswerTimeout time.Duration
	// IdleTimeout is how long the connection of a client waits for the next
	// request. Default 30 s.
	IdleTimeout time.Duration
	// BodyTimeout is how long a client may send nothing within a body. Default 30 s.
	BodyTimeout time.Duration
}

// HTTPAffinity says how the requests of one client find the same upstream.
type HTTPAffinity uint8

// The kinds of it.
const (
	// AffinityByID goes by the ids that the protocols have: the connection token of
	// SignalR (parameter id) and the session of Engine.IO (parameter sid). The
	// answers in which a server gives them out are adapted: a signed hint is
	// appended, which no server gets to see. WebSocket handshakes with such an id
	// go by it as well. A connection whose upstream cannot take it any more is led
	// to another one, which says that it does not know it; then the client begins
	// anew.
	AffinityByID HTTPAffinity = iota
	// AffinityByCookie goes by a signed cookie that is set with the answer to the
	// first request. It is for clients that keep cookies, such as browsers.
	AffinityByCookie
	// WithoutAffinity leaves every request to the router of the route.
	WithoutAffinity
)

const (
	defaultCookie        = "pointsman"
	defaultAnswerTimeout = 150 * time.Second
	defaultIdle          = 30 * time.Second
	defaultBodyTimeout   = 30 * time.Second
	maxHTTPKeys          = 4
)

// check reports every mistake and fills in the defaults.
func (h *HTTP) check() error {
	var errs []error
	if h.Affinity > WithoutAffinity {
		errs = append(errs, fmt.Errorf("affinity %d is not known", h.Affinity))
	}
	if h.Cookie == "" {
		h.Cookie = defaultCookie
	}
	if !isCookieName(h.Cookie) {
		errs = append(errs, fmt.Errorf("cookie %q: expected letters, digits, - and _", h.Cookie))
	}
	if len(h.Keys) > maxHTTPKeys {
		errs = append(errs, fmt.Errorf("more than %d keys", maxHTTPKeys))
	}
	for i, key := range h.Keys {
		if key.IsZero() {
			errs = append(errs, fmt.Errorf("key %d is empty", i+1))
		}
	}
	fill(&h.AnswerTimeout, defaultAnswerTimeout)
	fill(&h.IdleTimeout, defaultIdle)
	fill(&h.BodyTimeout, defaultBodyTimeout)
	return errors.Join(errs...)
}

func isCookieName(name string) bool {
	for i := range len(name) {
		if c := name[i]; !isLetter(c) && !isDigit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return name != ""
}

// pins is the affinity of a route, nil for none.
type pins struct {
	*negotiate.Affinity
	keys      []azure.Key
	names     []string // of the route's upstreams
	upstreams map[string]*pool.Upstream
}

// newPins makes the affinity of a route, or goes on with that of the world before.
func newPins(r *Route, before *pins) (*pins, error) {
	if !r.HTTP.Pass || r.HTTP.Affinity == WithoutAffinity {
		return nil, nil
	}
	p := &pins{keys: slices.Clone(r.HTTP.Keys), upstreams: byName(r.Set.Upstreams())}
	for _, u := range r.Set.Upstreams() {
		p.names = append(p.names, u.Name())
	}
	if before != nil && slices.EqualFunc(before.keys, p.keys, azure.Key.Equal) {
		p.Affinity = before.Affinity
		return p, nil
	}
	var err error
	p.Affinity, err = negotiate.NewAffinity(negotiate.AffinityOptions{Keys: p.keys})
	return p, err
}

// pinsAt returns the affinity of the route with this home, nil if there is none.
func (w *world) pinsAt(h home) *pins {
	if w == nil {
		return nil
	}
	for i := range w.routes {
		if r := &w.routes[i]; *r.home == h {
			return r.pins
		}
	}
	return nil
}
