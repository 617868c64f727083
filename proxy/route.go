package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/handshake"
)

// Route maps a host and a path to a set of upstreams and their router.
type Route struct {
	// Host is the host name that the client asks for, without port, in any case
	// of letters. "*.example.org" matches every name below example.org. ""
	// matches every host.
	Host string
	// Path is a prefix of whole segments of the normal form of the path
	// ([handshake.Request.NormalPath]): "/chat" and "/chat/" match /chat and
	// everything below it. "" and "/" match every path.
	Path string
	// Set holds the upstreams of the route and their router.
	Set *pool.Set
	// Origins are the origins (RFC 6454) of the pages that may open sessions;
	// none means all. An entry is "https://app.example", with a port if it is not
	// the scheme's default, "https://*.app.example" for every host below that one,
	// not itself, or "null" for pages without an origin of their own. Scheme, host
	// and port have to be the same, in any case of letters. Other pages get 403, as
	// does an Origin field that is malformed or stands there twice.
	//
	// A client without an Origin field is let in: browsers always send it with a
	// WebSocket, so this is none, and a program that is no browser can send any.
	Origins []string
	// HTTP says what becomes of requests that are no WebSocket handshakes. Default:
	// they are refused.
	HTTP HTTP
	// Service says that the route stands for an Azure service; nil means plain
	// WebSockets.
	Service *Service
	// Policy says to which upstreams the calls of a Service's REST API go; a func
	// that is nil means all. Session is not looked at: the router of Set picks.
	Policy pool.Policy
	// Affinity is what the router [pool.Hash] goes by.
	Affinity Affinity
	// RequireQuery is the name of a parameter that the query of each handshake and
	// negotiation must have, for a router that goes by it ([pool.Query]); without
	// it the client gets 400. "" means none.
	RequireQuery string

	allowed *origins // set by newWorld
	home    *home    // set by newWorld
	pins    *pins    // set by newWorld; nil unless HTTP passes
	desk    *desk    // set by newWorld; nil without a Service
}

func (r *Route) check(known map[*pool.Upstream]*target) error {
	var errs []error
	if r.Path != "" && r.Path[0] != '/' {
		errs = append(errs, fmt.Errorf("path %q does not begin with a slash", r.Path))
	}
	var err error
	if r.allowed, err = newOrigins(r.Origins); err != nil {
		errs = append(errs, err)
	}
	if err := r.HTTP.check(); err != nil {
		errs = append(errs, fmt.Errorf("http: %w", err))
	}
	if r.Set == nil {
		return errors.Join(append(errs, errors.New("no upstream set"))...)
	}
	if r.Service != nil {
		if err := r.Service.check(r.Set.Upstreams()); err != nil {
			errs = append(errs, err)
		}
	}
	if err := r.Affinity.check(r.Service != nil); err != nil {
		errs = append(errs, err)
	}
	for _, u := range r.Set.Upstreams() {
		if known[u] == nil {
			errs = append(errs, fmt.Errorf("upstream %q is not among the proxy's upstreams", u.Name()))
		}
	}
	return errors.Join(errs...)
}

// find returns the first route for a request, or nil.
func find(routes []Route, r *handshake.Request) *Route {
	var buffer [256]byte
	path := r.NormalPath(buffer[:0])
	host := hostName(r.Host)
	for i := range routes {
		if routes[i].matches(host, path) {
			return &routes[i]
		}
	}
	return nil
}

func (r *Route) matches(host, path []byte) bool {
	if r.Host != "" {
		if below, ok := strings.CutPrefix(r.Host, "*"); ok {
			if len(host) <= len(below) || !strings.EqualFold(string(host[len(host)-len(below):]), below) {
				return false
			}
		} else if !strings.EqualFold(string(host), r.Host) {
			return false
		}
	}
	prefix := strings.TrimSuffix(r.Path, "/")
	return len(path) >= len(prefix) && string(path[:len(prefix)]) == prefix &&
		(len(path) == len(prefix) || path[len(prefix)] == '/')
}

// hostName is a Host field without its port.
func hostName(host []byte) []byte {
	if len(host) > 0 && host[0] == '[' {
		if i := bytes.IndexByte(host, ']'); i >= 0 {
			return host[:i+1]
		}
	}
	if i := bytes.IndexByte(host, ':'); i >= 0 {
		return host[:i]
	}
	return host
}
