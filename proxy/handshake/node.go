package handshake

import (
	"bytes"
	"net/netip"
)

// hop is one element of a Forwarded field (RFC 7239 §4): what one proxy says about who connected to it. A parameter that is
// not there is nil.
type hop struct {
	node        []byte // for
	by          []byte
	proto, host []byte
}

// parseHop reads one element. ok is false if it is malformed, empty, or says one of the known parameters twice.
func parseHop(element []byte) (h hop, ok bool) {
	for rest, more := element, true; more; {
		var pair []byte
		if pair, rest, more = cutPair(rest); len(pair) == 0 {
			continue
		}
		name, value, found := bytes.Cut(pair, []byte{'='})
		if !found || !isToken(name) {
			return hop{}, false
		}
		if !isToken(value) {
			if value, ok = unquote(value); !ok {
				return hop{}, false
			}
		}
		ok = true
		var place *[]byte
		switch {
		case equalFold(name, "for"):
			place = &h.node
		case equalFold(name, "by"):
			place = &h.by
		case equalFold(name, "proto"):
			place = &h.proto
		case equalFold(name, "host"):
			place = &h.host
		default:
			continue
		}
		if *place != nil {
			return hop{}, false
		}
		*place = value
	}
	return h, ok
}

// address returns the address of who connected, the invalid one if it is not said.
func (h *hop) address() (a netip.Addr, ok bool) {
	if h.node == nil {
		return netip.Addr{}, true
	}
	return parseNode(h.node, false)
}

// cutPair returns the first of the pairs of an element, trimmed, and the rest; more is false for the last one.
func cutPair(element []byte) (pair, rest []byte, more bool) {
	quoted := false
	for i := 0; i < len(element); i++ {
		switch c := element[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == ';' && !quoted:
			return trim(element[:i]), element[i+1:], true
		}
	}
	return trim(element), nil, false
}

// cutLast returns the last element of a comma-separated list, trimmed, and what stands before it; more is false for the
// first one. With quotes a comma within a quoted string does not separate. It reads from the right end, so that nothing
// at the left, where strangers have written, changes what the right end means.
func cutLast(list []byte, quotes bool) (rest, element []byte, more bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch c := list[i]; {
		case c == '"' && quotes:
			if !quoted || !escaped(list[:i]) {
				quoted = !quoted
			}
		case c == ',' && !quoted:
			return list[:i], trim(list[i+1:]), true
		}
	}
	return nil, trim(list), false
}

// escaped reports whether what follows b in a quoted string is escaped.
func escaped(b []byte) bool {
	n := 0
	for n < len(b) && b[len(b)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// unquote returns the value of a quoted string (RFC 9110 §5.6.4), never nil. It allocates only if something is escaped.
func unquote(b []byte) (value []byte, ok bool) {
	if len(b) < 2 || b[0] != '"' || b[len(b)-1] != '"' {
		return nil, false
	}
	b = b[1 : len(b)-1]
	if bytes.IndexByte(b, '\\') < 0 {
		return b, bytes.IndexByte(b, '"') < 0
	}
	value = make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			return nil, false
		case '\\':
			if i++; i == len(b) {
				return nil, false
			}
		}
		value = append(value, b[i])
	}
	return value, true
}

// parseNode reads a node (RFC 7239 §6): an address, "unknown" or an obfuscated name, with or without a port. The address is
// the invalid one if there is none. With bare, IPv6 may do without its brackets if there is no port, as in X-Forwarded-For.
func parseNode(b []byte, bare bool) (a netip.Addr, ok bool) {
	const longest = 128 // more than any address; an obfuscated name is somebody's own affair
	if len(b) == 0 || len(b) > longest {
		return a, false
	}
	if b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !isNodePort(b[end+1:]) {
			return a, false
		}
		return parseIP(b[1:end], true)
	}
	colon := bytes.IndexByte(b, ':')
	if bare && colon >= 0 && bytes.IndexByte(b[colon+1:], ':') >= 0 {
		return parseIP(b, true)
	}
	name := b
	if colon >= 0 {
		name = b[:colon]
		if !isNodePort(b[colon:]) {
			return a, false
		}
	}
	if equalFold(name, "unknown") || isObfuscated(name) {
		return a, true
	}
	return parseIP(name, false)
}

// parseIP reads an address of either kind.
func parseIP(b []byte, six bool) (a netip.Addr, ok bool) {
	// The conversion may allocate; only trusted proxies get here.
	a, err := netip.ParseAddr(string(b))
	if err != nil || a.Is6() != six || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// isNodePort reports whether b is nothing, or a colon and a port, which may be obfuscated.
func isNodePort(b []byte) bool {
	return len(b) == 0 || b[0] == ':' && (isPort(b[1:]) || isObfuscated(b[1:]))
}

// isObfuscated reports whether b is an obfuscated identifier (RFC 7239 §6.3).
func isObfuscated(b []byte) bool {
	return len(b) > 1 && b[0] == '_' && all(b, classUnreserved) && bytes.IndexByte(b, '~') < 0
}
