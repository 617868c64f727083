package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pointsman/pointsman/proxy/handshake"
)

// origins are the origins (RFC 6454) whose pages may open sessions, in one form:
// scheme and host in lower case, and always a port if the scheme has a default.
type origins struct {
	exact map[string]bool
	below []originsBelow
}

// originsBelow are all hosts below one.
type originsBelow struct {
	start, end string // "https://" and ".app.example:443"
}

// opaqueOrigin is what browsers send for a page that has no origin to speak of:
// a sandboxed frame, a local file.
const opaqueOrigin = "null"

// newOrigins returns nil for an empty list, which allows all. The error names
// every mistake.
func newOrigins(list []string) (*origins, error) {
	if len(list) == 0 {
		return nil, nil
	}
	o := &origins{exact: make(map[string]bool, len(list))}
	var errs []error
	for _, entry := range list {
		if err := o.add(entry); err != nil {
			errs = append(errs, fmt.Errorf("origin %q: %w", entry, err))
		}
	}
	return o, errors.Join(errs...)
}

var errOriginForm = errors.New(`expected "null" or scheme://host[:port] without a path, such as https://app.example or https://*.app.example`)

// CheckOrigin tells whether entry may stand in [Route.Origins], and why not.
func CheckOrigin(entry string) error {
	return (&origins{exact: make(map[string]bool, 1)}).add(entry)
}

func (o *origins) add(entry string) error {
	if entry == opaqueOrigin {
		o.exact[entry] = true
		return nil
	}
	scheme, host, _ := strings.Cut(entry, "://")
	switch lower := strings.ToLower(scheme); {
	case entry == "*":
		return errors.New("a list without entries allows every origin")
	case lower == "ws" || lower == "wss":
		return errors.New("an origin is that of the page, which begins with http:// or https://")
	}
	if name, ok := strings.CutPrefix(host, "*."); ok {
		form, ok := appendOrigin(nil, []byte(scheme+"://"+name))
		if !ok || bytes.Contains(form, []byte("[")) {
			return errOriginForm
		}
		start := len(scheme) + len("://")
		o.below = append(o.below, originsBelow{string(form[:start]), "." + string(form[start:])})
		return nil
	}
	form, ok := appendOrigin(nil, []byte(entry))
	if !ok {
		return errOriginForm
	}
	o.exact[string(form)] = true
	return nil
}

// check judges the Origin field of a handshake. One without it passes: every
// browser sends it with a WebSocket, so this is no browser that a foreign page
// could abuse, and another program could write there what it likes.
func (o *origins) check(r *handshake.Request) error {
	if o == nil {
		return nil
	}
	value, fields := r.Origin()
	switch {
	case fields == 0:
		return nil
	case fields > 1:
		return errOrigins
	case string(value) == opaqueOrigin:
		if o.exact[opaqueOrigin] {
			return nil
		}
		return errOrigin
	}
	var buffer [128]byte
	form, ok := appendOrigin(buffer[:0], value)
	switch {
	case !ok:
		return errBadOrigin
	case o.has(form):
		return nil
	}
	return errOrigin
}

// has reports whether an origin in its one form is in the list.
func (o *origins) has(form []byte) bool {
	if o.exact[string(form)] {
		return true
	}
	for _, b := range o.below {
		if len(form) > len(b.start)+len(b.end) && string(form[:len(b.start)]) == b.start && string(form[len(form)-len(b.end):]) == b.end {
			return true
		}
	}
	return false
}

// admits reports whether pages of an origin may read answers. A list that is not
// there admits nobody: browsers then keep the answer from pages of other origins.
func (o *origins) admits(origin string) bool {
	if o == nil {
		return false
	}
	if origin == opaqueOrigin {
		return o.exact[opaqueOrigin]
	}
	form, ok := appendOrigin(nil, []byte(origin))
	return ok && o.has(form)
}

// appendOrigin appends the one form of an origin that is not opaque (RFC 6454
// §6.2); ok is false if there is more to it, or less.
func appendOrigin(dst, origin []byte) (form []byte, ok bool) {
	scheme, rest, found := bytes.Cut(origin, []byte("://"))
	if !found || len(scheme) == 0 || !isLetter(scheme[0]) {
		return nil, false
	}
	for _, c := range scheme {
		if !isLetter(c) && !isDigit(c) && c != '+' && c != '-' && c != '.' {
			return nil, false
		}
		dst = append(dst, lowered(c))
	}
	port := 0
	switch string(dst[len(dst)-len(scheme):]) {
	case "http":
		port = 80
	case "https":
		port = 443
	}
	dst = append(dst, "://"...)
	host := hostName(rest)
	if behind := rest[len(host):]; len(behind) > 0 {
		n, err := strconv.ParseUint(string(behind[1:]), 10, 16)
		if behind[0] != ':' || err != nil || n == 0 {
			return nil, false
		}
		port = int(n)
	}
	if dst, ok = appendHost(dst, host); !ok {
		return nil, false
	}
	if port > 0 {
		dst = strconv.AppendInt(append(dst, ':'), int64(port), 10)
	}
	return dst, true
}

// appendHost appends the host of an origin: a name of labels that are not empty,
// or an address.
func appendHost(dst, host []byte) ([]byte, bool) {
	const longest = 253
	if len(host) == 0 || len(host) > longest {
		return nil, false
	}
	if host[0] == '[' {
		a, err := netip.ParseAddr(string(host[1:max(1, len(host)-1)]))
		if err != nil || !a.Is6() || a.Zone() != "" || host[len(host)-1] != ']' {
			return nil, false
		}
		return append(a.AppendTo(append(dst, '[')), ']'), true
	}
	label := 0
	for _, c := range host {
		switch {
		case c == '.' && label > 0:
			label = -1
		case !isLetter(c) && !isDigit(c) && c != '-' && c != '_':
			return nil, false
		}
		label++
		dst = append(dst, lowered(c))
	}
	return dst, label > 0
}

func isLetter(c byte) bool { return 'a' <= lowered(c) && lowered(c) <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// lowered is an ASCII letter in lower case, and every other byte as it is.
func lowered(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
