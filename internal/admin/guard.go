package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"
)

// guard decides who may change something. Fixed before the first visitor.
type guard struct {
	token     [sha256.Size]byte
	withToken bool
	host      string // one more name by which the door is known
	local     bool   // only this machine reaches the listener
}

func newGuard(token, host string) guard {
	return guard{token: sha256.Sum256([]byte(token)), withToken: token != "", host: host}
}

// isLocal reports whether only this machine reaches a listener with that
// address.
func isLocal(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return true
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	default:
		return false
	}
}

// admit returns nil if the caller may change something.
//
// Being on this machine is not enough by itself: so is the operator's browser,
// and any web page may make it send a POST to 127.0.0.1, or have a name of its
// own resolve to that. A browser gives itself away: it adds Origin or Sec-Fetch
// headers to a POST, and puts that name into Host.
func (g *guard) admit(ctx *fasthttp.RequestCtx) error {
	header := &ctx.Request.Header
	for key := range header.All() {
		name := strings.ToLower(string(key))
		if name == "origin" || strings.HasPrefix(name, "sec-fetch-") {
			return refuse(fasthttp.StatusForbidden, "browsers may not change anything here; the request has the header %q", key)
		}
	}
	// The target of a request may hold a host, too; then Host does not count.
	for _, host := range []string{string(header.Host()), string(ctx.URI().Host())} {
		if !g.knows(host) {
			return refuse(fasthttp.StatusForbidden,
				"host %q is a name that web pages could have taken; address the door by an IP address, or send \"Host: localhost\"", host)
		}
	}
	if !g.withToken {
		if g.local {
			return nil
		}
		return refuse(fasthttp.StatusForbidden,
			"control is off, because others than this machine reach the admin address; set admin.token or bind the admin address to loopback or a unix socket")
	}
	given := header.PeekAll(fasthttp.HeaderAuthorization)
	if len(given) != 1 || !g.matches(string(given[0])) {
		r := refuse(fasthttp.StatusUnauthorized, "the token is missing or wrong; expected \"Authorization: Bearer TOKEN\" with the token of admin.token")
		r.header, r.value = fasthttp.HeaderWWWAuthenticate, "Bearer"
		return r
	}
	return nil
}

// matches compares hashes in constant time, so how long it takes shows neither
// where a token begins to be wrong nor how long the right one is.
func (g *guard) matches(authorization string) bool {
	scheme, token, _ := strings.Cut(authorization, " ")
	hash := sha256.Sum256([]byte(strings.Trim(token, " ")))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(hash[:], g.token[:]) == 1
}

// knows reports whether host, with or without a port, is no name that a web
// page could have chosen.
func (g *guard) knows(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.EqualFold(name, "localhost") || g.host != "" && strings.EqualFold(name, g.host)
}
