package azure

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxBase is the longest URL that [ParseBase] takes, in bytes.
const maxBase = 2048

// Base is where a service is found: an absolute http or https URL without user, query and fragment. It is in normal form (scheme and
// host in lower case, no default port, no slash at the end), so two of them are the same place if they are equal. The zero value
// is no place.
type Base struct {
	scheme string
	host   string // an IPv6 address without brackets
	port   uint16 // always set
	path   string // escaped; "" or "/something"
}

// ParseBase reads a Base. Its errors say what is wrong and never quote the text, which may hold a secret by mistake.
func ParseBase(text string) (Base, error) {
	if len(text) > maxBase {
		return Base{}, errors.New("is longer than " + strconv.Itoa(maxBase) + " bytes")
	}
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' }) {
		return Base{}, errors.New("holds a space or another character that a URL must escape")
	}
	u, err := url.Parse(text)
	if err != nil {
		return Base{}, errors.New("is not a URL") // the cause would quote it
	}
	b := Base{scheme: u.Scheme}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return Base{}, errors.New("does not begin with http:// or https://")
	case u.User != nil:
		return Base{}, errors.New("holds user information")
	case u.RawQuery != "" || u.ForceQuery:
		return Base{}, errors.New("has a query")
	case strings.Contains(text, "#"):
		return Base{}, errors.New("has a fragment")
	}
	if b.host, err = cleanHost(u.Host, u.Hostname()); err != nil {
		return Base{}, err
	}
	if b.port, err = readPort(u); err != nil {
		return Base{}, err
	}
	b.path = strings.TrimRight(u.EscapedPath(), "/")
	for segment := range strings.SplitSeq(strings.TrimPrefix(b.path, "/"), "/") {
		if segment == "." || segment == ".." || segment == "" && b.path != "" {
			return Base{}, errors.New("has a path with an empty segment or one of dots")
		}
	}
	return b, nil
}

// cleanHost checks the host of a URL and returns it in lower case, without port and brackets.
func cleanHost(authority, name string) (string, error) {
	name = strings.ToLower(name)
	if strings.HasPrefix(authority, "[") {
		addr, err := netip.ParseAddr(name)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", errors.New("has a host that is no IPv6 address")
		}
		return addr.String(), nil
	}
	if name == "" {
		return "", errors.New("has no host")
	}
	legal := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_'
	}
	if len(name) > 253 || strings.ContainsFunc(name, func(c rune) bool { return !legal(c) }) || strings.Contains(name, "..") ||
		name[0] == '.' {
		return "", errors.New("has a host that is neither a name nor an address")
	}
	return name, nil
}

func readPort(u *url.URL) (uint16, error) {
	text := u.Port()
	if text == "" {
		if strings.HasSuffix(u.Host, ":") {
			return 0, errors.New("has a colon but no port")
		}
		return defaultPort(u.Scheme), nil
	}
	return parsePort(text)
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16) // takes no sign
	if err != nil || n == 0 {
		return 0, errors.New("has a port that is not 1 to 65535")
	}
	return uint16(n), nil
}

func defaultPort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

// IsZero reports whether b is no place at all.
func (b Base) IsZero() bool { return b == Base{} }

// Scheme returns "http" or "https".
func (b Base) Scheme() string { return b.scheme }

// Hostname returns the host without port, an IPv6 address without brackets.
func (b Base) Hostname() string { return b.host }

// Port returns the port, also where it is the default one.
func (b Base) Port() int { return int(b.port) }

// Path returns the escaped path that comes before all others, "" if there is none. It does not end with a slash.
func (b Base) Path() string { return b.path }

// Host returns the host as it stands in a Host field: with the port unless it is the default one.
func (b Base) Host() string {
	if b.port == defaultPort(b.scheme) {
		return b.bracketed()
	}
	return b.bracketed() + ":" + strconv.Itoa(int(b.port))
}

// bracketed is the host without port as it stands in a URL.
func (b Base) bracketed() string {
	if strings.Contains(b.host, ":") {
		return "[" + b.host + "]"
	}
	return b.host
}

// Origin returns scheme, host and port: what the SDKs take for the identity of an endpoint.
func (b Base) Origin() string { return b.scheme + "://" + b.Host() }

// String returns the URL, without a slash at the end. The zero value gives "".
func (b Base) String() string {
	if b.IsZero() {
		return ""
	}
	return b.Origin() + b.path
}

// WebSocket returns the URL with the scheme ws or wss.
func (b Base) WebSocket() string { return "ws" + strings.TrimPrefix(b.String(), "http") }

// URL returns b as a new URL that the caller owns.
func (b Base) URL() *url.URL {
	u, err := url.Parse(b.String())
	if err != nil {
		panic("BUG: a parsed base is no URL: " + err.Error())
	}
	return u
}

// withPort returns b at another port.
func (b Base) withPort(port uint16) Base {
	b.port = port
	return b
}
