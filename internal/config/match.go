package config

import (
	"strings"
)

// Match says which requests a route takes. Host and path must both match.
type Match struct {
	// Host is the host name of the request, without port, in lower case; an
	// IPv6 address stands in brackets. "*.example.org" takes every name below
	// example.org. Empty takes every host.
	Host string
	// Path is a prefix of the request's path, on whole segments: "/chat" and
	// "/chat/" take "/chat" and "/chat/1" but not "/chatter". "/" takes every
	// path. Default "/".
	Path string
}

// covers reports whether m takes every request that other takes, so that a
// route with other after one with m never gets any.
func (m Match) covers(other Match) bool {
	if m.Host != "" && m.Host != other.Host {
		below, wildcard := strings.CutPrefix(m.Host, "*")
		// "*.org" covers "*.example.org", as it does "www.example.org".
		name := strings.TrimPrefix(other.Host, "*")
		if !wildcard || len(name) <= len(below) || !strings.HasSuffix(name, below) {
			return false
		}
	}
	rest, ok := strings.CutPrefix(other.Path, strings.TrimSuffix(m.Path, "/"))
	return ok && (rest == "" || rest[0] == '/')
}
