package config

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

const (
	maxURL     = 2048
	maxAddress = 300
	nameRule   = `1 to 63 characters of a-z, 0-9 and "-", with a letter or digit at both ends`
)

var (
	nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// hostForm is a host name as people use them: RFC 1123 labels, and "_",
	// which container platforms put into service names.
	hostForm = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)
	digits   = regexp.MustCompile(`^[0-9]+$`)
)

// endpoint is where a listener listens or an upstream is found.
type endpoint struct {
	// host is in lower case, without brackets; empty is every interface.
	host string
	// addr is the host as an IP address, if it is one.
	addr netip.Addr
	port int
}

// newEndpoint checks a host (without brackets, may be empty) and a port.
func newEndpoint(host, port string, lowest int) (endpoint, error) {
	e := endpoint{host: strings.ToLower(host)}
	if addr, err := netip.ParseAddr(host); err == nil {
		e.addr = addr.Unmap()
		e.host = e.addr.String()
	} else if host != "" && (len(host) > 253 || !hostForm.MatchString(host) || looksNumeric(host)) {
		return endpoint{}, errors.New("has a host that is neither a name nor an IP address")
	}
	n, err := strconv.Atoi(port)
	if err != nil || !digits.MatchString(port) || n < lowest || n > 65535 {
		return endpoint{}, errors.New("has a bad port, not " + strconv.Itoa(lowest) + " to 65535")
	}
	e.port = n
	return e, nil
}

// looksNumeric finds wrong IPv4 addresses such as 10.0.0.256, which would
// otherwise pass as names: no top-level domain is a number.
func looksNumeric(host string) bool {
	host = strings.TrimSuffix(host, ".")
	return digits.MatchString(host[strings.LastIndexByte(host, '.')+1:])
}

// any reports whether e stands for every interface.
func (e endpoint) any() bool { return e.host == "" || e.addr.IsValid() && e.addr.IsUnspecified() }

func (e endpoint) loopback() bool {
	return e.host == "localhost" || e.addr.IsValid() && e.addr.IsLoopback()
}

// sameHost reports whether both name the same host. Names are not resolved.
func (e endpoint) sameHost(f endpoint) bool {
	if e.host == f.host {
		return true
	}
	return e.host == "localhost" && f.isLocalhost() || f.host == "localhost" && e.isLocalhost()
}

// isLocalhost reports whether e is an address that the name localhost stands
// for; other loopback addresses, such as 127.0.0.2, are not.
func (e endpoint) isLocalhost() bool {
	return e.addr == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || e.addr == netip.IPv6Loopback()
}

// collides reports whether two listeners cannot both be opened.
func (e endpoint) collides(f endpoint) bool {
	return e.port == f.port && e.port != 0 && (e.any() || f.any() || e.sameHost(f))
}

// reaches reports whether a connection to e surely ends at the listener l.
func (e endpoint) reaches(l endpoint) bool {
	if e.port != l.port {
		return false
	}
	return e.sameHost(l) || (e.any() || e.loopback()) && l.any() || e.any() && l.loopback()
}

// readListen checks the address of a listener and returns it.
func readListen(s string) (string, error) {
	_, err := listenEndpoint(s)
	return s, err
}

func listenEndpoint(s string) (endpoint, error) {
	switch {
	case s == "":
		return endpoint{}, errors.New("is empty")
	case strings.Contains(s, "://"):
		return endpoint{}, errors.New("is a URL, not an address")
	case strings.HasPrefix(s, "unix:"), strings.HasPrefix(s, "/"):
		return endpoint{}, errors.New("is a Unix socket, which this version does not support")
	case digits.MatchString(s):
		return endpoint{}, errors.New("has no colon before the port")
	case len(s) > maxAddress:
		return endpoint{}, errors.New("is too long")
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return endpoint{}, errors.New("is not host:port")
	}
	return newEndpoint(host, port, 0)
}

// readUpstreamURL checks the URL of an upstream and returns it with the scheme ws
// or wss and the host in lower case. Its errors never quote the URL.
func readUpstreamURL(s string) (string, error) {
	canonical, _, err := upstreamURL(s)
	return canonical, err
}

func upstreamURL(s string) (string, endpoint, error) {
	fail := func(message string) (string, endpoint, error) { return "", endpoint{}, errors.New(message) }
	switch {
	case s == "":
		return fail("is empty")
	case len(s) > maxURL:
		return fail("is longer than " + strconv.Itoa(maxURL) + " bytes")
	case strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return fail("holds a space or a character that a URL must escape")
	}
	scheme, rest, ok := strings.Cut(s, ":")
	scheme, standard, err := readScheme(strings.ToLower(scheme))
	if !ok || errors.Is(err, errScheme) && !strings.HasPrefix(rest, "//") {
		return fail("has no scheme") // Such as "localhost:9001".
	}
	if err != nil {
		return fail(err.Error())
	}
	rest, ok = strings.CutPrefix(rest, "//")
	if !ok {
		return fail("has no // after the scheme")
	}
	// The parts that may be secret first: later messages then cannot meet them.
	authority, _, _ := strings.Cut(rest, "/")
	switch {
	case strings.Contains(authority, "@"):
		return fail("holds user information, which does not belong in a configuration")
	case strings.Contains(rest, "#"):
		return fail("has a fragment, which WebSocket URLs do not have")
	case strings.Contains(rest, "?"):
		return fail("has a query, which is the client's to send")
	case authority == "" || strings.HasPrefix(authority, ":"):
		return fail("has no host")
	}
	u, err := url.Parse("ws://" + rest)
	if err != nil || strings.Contains(s, "\\") || strings.Contains(authority, "%") {
		return fail("is not a valid URL")
	}
	port := u.Port()
	if port == "" {
		if strings.HasSuffix(authority, ":") {
			return fail("has a colon but no port")
		}
		port = standard
	}
	e, err := newEndpoint(u.Hostname(), port, 1)
	if err != nil {
		return fail(err.Error())
	}
	if err := checkSegments(u.Path); err != nil {
		return fail(err.Error())
	}
	return scheme + "://" + strings.ToLower(authority) + rest[len(authority):], e, nil
}

// readScheme returns the scheme as it is kept, and its standard port.
func readScheme(scheme string) (kept, port string, err error) {
	switch scheme {
	case "ws", "http":
		return "ws", "80", nil
	case "wss", "https":
		return "wss", "443", nil
	case "unix":
		return "", "", errors.New("is a Unix socket, which this version does not support")
	}
	return "", "", errScheme
}

var errScheme = errors.New("has a scheme that is neither ws nor wss")

// identity is what two URLs of the same upstream have in common.
func identity(e endpoint, canonical string) string {
	path := ""
	if u, err := url.Parse(canonical); err == nil {
		path = strings.TrimRight(u.Path, "/")
	}
	return net.JoinHostPort(strings.TrimSuffix(e.host, "."), strconv.Itoa(e.port)) + path
}

func readName(s string) (string, error) {
	if s == "" {
		return "", errors.New("is empty")
	}
	if !nameForm.MatchString(s) {
		return "", errors.New("is not a name")
	}
	return s, nil
}

// readMatchHost checks the host of a match and returns it in the form of a Host
// field, in lower case.
func readMatchHost(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	if h, _, err := net.SplitHostPort(s); err == nil && h != "" {
		return "", errors.New("holds a port")
	}
	name, wildcard := strings.CutPrefix(s, "*.")
	e, err := newEndpoint(strings.Trim(name, "[]"), "0", 0)
	switch {
	case wildcard && err == nil && !e.addr.IsValid() && name != "":
		return "*." + e.host, nil
	case strings.Contains(s, "*"):
		return "", errors.New("has a wildcard elsewhere than as the first label of a name")
	case err != nil || e.host == "":
		return "", errors.New("is neither a host name nor an IP address")
	case e.addr.Is6():
		return "[" + e.host + "]", nil
	}
	return e.host, nil
}

// readMatchPath checks the path of a match. It is compared with the normal form
// of paths, where most escapes are gone and could never match.
func readMatchPath(s string) (string, error) {
	if strings.Contains(s, "%") {
		return "", errors.New("holds an escape, which this version does not support")
	}
	return s, checkPath(s)
}

// readProbePath checks the path of probes.
func readProbePath(s string) (string, error) {
	if err := checkPath(s); err != nil {
		return "", err
	}
	if _, err := url.ParseRequestURI(s); err != nil {
		return "", errors.New("is not a valid path")
	}
	return s, nil
}

func checkPath(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case s[0] != '/':
		return errors.New("does not begin with /")
	case len(s) > maxURL:
		return errors.New("is longer than " + strconv.Itoa(maxURL) + " bytes")
	case strings.ContainsAny(s, "?#"):
		return errors.New("holds a query or fragment")
	case strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f }) || strings.Contains(s, "\\"):
		return errors.New("holds a character that does not belong in a path")
	}
	return checkSegments(s)
}

// checkSegments refuses what servers rewrite, each in its own way.
func checkSegments(path string) error {
	if strings.Contains(path, "//") {
		return errors.New("holds an empty path segment")
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return errors.New("holds a path segment of dots")
		}
	}
	return nil
}
