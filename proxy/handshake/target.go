package handshake

import "bytes"

// parseTarget checks the request target (RFC 9112 §3.2) and splits it into path and query. It needs Host.
func (r *Request) parseTarget() error {
	t := r.Target
	if t[0] != '/' {
		if string(t) == "*" && string(r.Method) == "OPTIONS" {
			r.Path = t
			return nil
		}
		authority, rest, ok := cutAuthority(t)
		if !ok {
			return refuseTarget
		}
		if !isAuthority(authority) {
			return refuseTarget
		}
		if !equalFold(authority, r.Host) {
			return refuseAuthority
		}
		t = rest
	}
	if bytes.IndexByte(t, '#') >= 0 {
		return refuseFragment
	}
	r.Path = t
	if q := bytes.IndexByte(t, '?'); q >= 0 {
		r.Path, r.Query = t[:q], t[q+1:]
	}
	if !isPath(r.Path) || !all(r.Query, classQuery) {
		return refuseTarget
	}
	if climbs(r.Path) {
		return refuseClimb
	}
	if len(r.Path) == 0 {
		r.Path = slash
	}
	return nil
}

// slash is the path of an absolute target without one (RFC 9112 §3.2.1). It is never written to.
var slash = []byte("/")

// cutAuthority splits an absolute target into the authority and what follows it.
func cutAuthority(t []byte) (authority, rest []byte, ok bool) {
	scheme, rest, ok := bytes.Cut(t, []byte("://"))
	if !ok {
		return nil, nil, false
	}
	if !equalFold(scheme, "http") && !equalFold(scheme, "https") && !equalFold(scheme, "ws") && !equalFold(scheme, "wss") {
		return nil, nil, false
	}
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	return rest[:end], rest[end:], true
}

// isPath reports whether b holds only bytes that a path may hold, and every percent sign begins an octet.
func isPath(b []byte) bool {
	for i, c := range b {
		if !is(c, classPath) {
			return false
		}
		if c == '%' && (i+2 >= len(b) || !is(b[i+1], classHex) || !is(b[i+2], classHex)) {
			return false
		}
	}
	return true
}

// octet decodes the percent-encoded octet at the start of b.
func octet(b []byte) byte { return digit(b[1])<<4 | digit(b[2]) }

func digit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return lower(c) - 'a' + 10
}

// climbs reports whether some server could take the path for one that leaves its root. The path goes to the upstream as it
// came, behind the path of the upstream's URL, and must not get out of that. So the least favourable reading counts: %2F,
// and %5C for those who take a backslash for a slash, divide segments; empty segments have no depth; and a segment ends at
// its first ";", because some servers drop parameters before they look for dots.
func climbs(path []byte) bool {
	depth, dots, others, params := 0, 0, 0, false
	for i := 0; i <= len(path); i++ {
		c := byte('/')
		if i < len(path) {
			if c = path[i]; c == '%' {
				c = octet(path[i:])
				i += 2
			}
		}
		switch {
		case c == '/' || c == '\\':
			switch {
			case others == 0 && dots == 2:
				if depth--; depth < 0 {
					return true
				}
			case others > 0 || dots > 2:
				depth++
			}
			dots, others, params = 0, 0, false
		case params:
		case c == ';':
			params = true
		case c == '.':
			dots++
		default:
			others++
		}
	}
	return false
}

// NormalPath appends the normal form of the path to dst. It is the one form that routes are matched against, so that there
// is no second way to write a path that escapes a rule. The upstream gets the client's own bytes.
//
// The form: percent-encoded letters, digits and "-._~" are decoded (RFC 3986 §6.2.2.2), other percent-encodings get
// upper-case digits; runs of "/" become one; then "." and ".." segments are resolved (§5.2.4). An encoded slash stays %2F
// and does not divide segments. Parameters such as ";v=1" stay part of their segment. The form of "*" is "*".
func (r *Request) NormalPath(dst []byte) []byte {
	path, root := r.Path, len(dst)
	if len(path) == 0 || path[0] != '/' {
		return append(dst, path...)
	}
	dst = append(dst, '/')
	segment := len(dst) // where the segment begins
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			c := path[i]
			if c != '%' {
				dst = append(dst, c)
				continue
			}
			if d := octet(path[i:]); is(d, classUnreserved) {
				dst = append(dst, d)
			} else {
				dst = append(dst, '%', upper(path[i+1]), upper(path[i+2]))
			}
			i += 2
			continue
		}
		switch string(dst[segment:]) {
		case "", ".":
			dst = dst[:segment]
			continue // the slash before the segment is there already
		case "..":
			dst = dst[:segment]
			if segment-1 > root {
				dst = dst[:root+bytes.LastIndexByte(dst[root:segment-1], '/')+1]
			}
			segment = len(dst)
			continue
		}
		if i < len(path) {
			dst = append(dst, '/')
			segment = len(dst)
		}
	}
	return dst
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'f' {
		return c - ('a' - 'A')
	}
	return c
}
