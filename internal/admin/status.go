package admin

import (
	"time"

	"github.com/valyala/fasthttp"

	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/drain"
)

// Status is the answer of /status.
type Status struct {
	Version       string     `json:"version"`
	UptimeSeconds float64    `json:"uptime_seconds"`
	Ready         bool       `json:"ready"`
	Listeners     []string   `json:"listeners"`
	Sessions      Sessions   `json:"sessions"`
	Handshakes    Handshakes `json:"handshakes"`
	Requests      Requests   `json:"requests"`
	Upstreams     []Upstream `json:"upstreams"`
	// Drains are those that have not ended.
	Drains []drain.Status `json:"drains"`
	// Certificates are those that clients are shown; empty without TLS.
	Certificates []Certificate `json:"certificates"`
	// Reload is null when the configuration cannot be reloaded.
	Reload *Reload `json:"reload"`
}

// Upstreams is the answer of /upstreams: the present ones in their order, then
// those that were removed and still have sessions.
type Upstreams struct {
	Upstreams []Upstream `json:"upstreams"`
}

// Drains is the answer of /drains: those that have not ended, and the last
// ones that have, oldest first.
type Drains struct {
	Drains []drain.Status `json:"drains"`
}

// Sessions counts sessions.
type Sessions struct {
	// Open is how many are open or being opened.
	Open int `json:"open"`
	// Total is how many have been joined since the start.
	Total uint64 `json:"total"`
	// Ended is how many of these have ended.
	Ended uint64 `json:"ended"`
	// Ends are the same by cause, as the access log names it. Causes that did not
	// happen are left out.
	Ends map[string]uint64 `json:"ends"`
	// Slowed is how many had a client that was slowed down by its limits.
	Slowed uint64 `json:"slowed"`
	// AccessDropped is how many access records a slow log lost.
	AccessDropped uint64 `json:"access_dropped"`
}

// Handshakes counts what came of clients' requests since the start.
type Handshakes struct {
	// Total is how many valid handshakes looked for an upstream.
	Total uint64 `json:"total"`
	// Accepted is how many of these were answered 101.
	Accepted uint64 `json:"accepted"`
	// Refused is how many requests got another answer, malformed ones included.
	Refused uint64 `json:"refused"`
	// Refusals are the same by the code of the answer, or "upstream_answer". Codes
	// that did not happen are left out.
	Refusals map[string]uint64 `json:"refusals"`
	// Abandoned is how many clients left before their answer.
	Abandoned uint64 `json:"abandoned"`
	// Failovers is how many attempts went to another upstream than the first.
	Failovers uint64 `json:"failovers"`
	// AcceptErrors is how often the system had no descriptor for a client.
	AcceptErrors uint64 `json:"accept_errors"`
}

// Requests counts the plain requests that were no handshakes, since the start.
type Requests struct {
	// Served is how many a route with a service has answered by itself.
	Served uint64 `json:"served"`
	// Passed is for how many an upstream was sought, to pass them on.
	Passed uint64 `json:"passed"`
	// Answered is how many of those have got an upstream's answer, to its end.
	Answered uint64 `json:"answered"`
	// Broken is how many of those got no answer of an upstream, or not all of it.
	Broken uint64 `json:"broken"`
	// Abandoned is how many of those had a client that went away or sent half a body.
	Abandoned uint64 `json:"abandoned"`
	// Ended is how many of those were ended by a drain or the shutdown.
	Ended uint64 `json:"ended"`
}

func (d *Door) alive(*visit) (int, any, error) {
	return fasthttp.StatusOK, plain("alive"), nil
}

func (d *Door) readiness(*visit) (int, any, error) {
	if d.options.Proxy.Ready() {
		return fasthttp.StatusOK, plain("ready"), nil
	}
	return fasthttp.StatusServiceUnavailable, plain("no upstream takes sessions"), nil
}

func (d *Door) tellAll(*visit) (int, any, error) {
	return fasthttp.StatusOK, d.status(), nil
}

func (d *Door) tellUpstreams(*visit) (int, any, error) {
	return fasthttp.StatusOK, Upstreams{d.upstreams()}, nil
}

func (d *Door) tellUpstream(v *visit) (int, any, error) {
	unknown := &proxy.UnknownUpstream{Name: v.of}
	for _, u := range d.upstreams() { // the present ones first
		if u.Name == v.of {
			return fasthttp.StatusOK, u, nil
		}
		unknown.Known = append(unknown.Known, u.Name)
	}
	return 0, nil, unknown
}

func (d *Door) tellDrains(*visit) (int, any, error) {
	return fasthttp.StatusOK, Drains{d.options.Proxy.Drains().List()}, nil
}

func (d *Door) tellDrain(v *visit) (int, any, error) {
	found, err := d.options.Proxy.Drains().Get(v.of)
	if err != nil {
		return 0, nil, err
	}
	return fasthttp.StatusOK, found.Status(), nil
}

// status reads everything once. The parts are read one after the other, so
// they may be apart by what happened meanwhile.
func (d *Door) status() Status {
	p := d.options.Proxy
	totals, passed := p.Totals(), p.HTTPTotals()
	s := Status{
		Version:       d.options.Version,
		UptimeSeconds: time.Since(d.began).Seconds(),
		Ready:         p.Ready(),
		Listeners:     d.options.Listeners,
		Sessions: Sessions{
			Open: p.Sessions(), Total: totals.Accepted, Ended: totals.Ended, Ends: p.Ends(), Slowed: totals.Slowed, AccessDropped: totals.AccessDropped,
		},
		Handshakes: Handshakes{
			Total: totals.Handshakes, Accepted: totals.Accepted, Refused: totals.Refused, Refusals: p.Refusals(),
			Abandoned: totals.Abandoned, Failovers: totals.Failovers, AcceptErrors: totals.AcceptErrors,
		},
		Requests: Requests{
			Served: totals.Answered,
			Passed: passed.Requests, Answered: passed.Answered, Broken: passed.Broken, Abandoned: passed.Abandoned, Ended: passed.Ended,
		},
		Upstreams: d.upstreams(),
		Drains:    []drain.Status{},

		Certificates: []Certificate{},
	}
	for _, one := range p.Drains().List() {
		if !one.State.Final() {
			s.Drains = append(s.Drains, one)
		}
	}
	if d.options.Certificates != nil {
		s.Certificates = d.options.Certificates()
	}
	if d.options.Reloads != nil {
		last := d.options.Reloads()
		s.Reload = &last
	}
	return s
}

// upstreams reads all upstreams, also those that are leaving.
func (d *Door) upstreams() []Upstream {
	now := time.Now()
	list := []Upstream{}
	for _, u := range d.options.Proxy.Upstreams() {
		list = append(list, describe(u, false, now))
	}
	for _, u := range d.options.Proxy.Leaving() {
		list = append(list, describe(u, true, now))
	}
	return list
}
