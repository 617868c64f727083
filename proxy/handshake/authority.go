package handshake

import (
	"bytes"
	"net/netip"
)

// isAuthority reports whether b is a host with an optional port: a name of letters, digits and "-._~", an IPv4 address, or
// an IPv6 address in brackets. Narrower than RFC 3986 §3.2: no userinfo, no percent-encoding, no sub-delimiters, no zone, no
// empty name or port. None of these can be part of a host that DNS or a URL parser would agree on.
func isAuthority(b []byte) bool {
	const longestName = 255
	host, port := b, []byte(nil)
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || end > longestName {
			return false
		}
		host, port = b[1:end], b[end+1:]
		// The conversion may allocate; hosts that are IPv6 literals are rare.
		if addr, err := netip.ParseAddr(string(host)); err != nil || !addr.Is6() || addr.Zone() != "" {
			return false
		}
		if len(port) == 0 {
			return true
		}
		return port[0] == ':' && isPort(port[1:])
	}
	if colon := bytes.IndexByte(b, ':'); colon >= 0 {
		host, port = b[:colon], b[colon+1:]
		if !isPort(port) {
			return false
		}
	}
	return 0 < len(host) && len(host) <= longestName && all(host, classUnreserved)
}

// isPort reports whether b is a decimal number from 0 to 65535.
func isPort(b []byte) bool {
	n, ok := parseDecimal(b, 5)
	return ok && n <= 65535
}

// parseDecimal parses 1 to most digits and nothing else.
func parseDecimal(b []byte, most int) (n int64, ok bool) {
	if len(b) == 0 || len(b) > most {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
