package handshake

import "bytes"

// Classes of bytes. One table look-up per byte answers every question the syntax asks.
const (
	classToken      = 1 << iota // tchar, RFC 9110 §5.6.2
	classValue                  // field content: VCHAR, obs-text, SP, HTAB (RFC 9110 §5.5)
	classUnreserved             // RFC 3986 §2.3
	classPath                   // what a path may hold as it is, percent sign included
	classQuery                  // what a query may hold as it is
	classHex
	classBase64
)

var classes = makeClasses()

func makeClasses() (t [256]uint8) {
	for i := range t {
		c := byte(i)
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		visible := 0x21 <= c && c <= 0x7e
		set := func(class uint8, when bool) {
			if when {
				t[i] |= class
			}
		}
		set(classToken, letter || digit || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0)
		set(classValue, visible || c >= 0x80 || c == ' ' || c == '\t')
		set(classUnreserved, letter || digit || c == '-' || c == '.' || c == '_' || c == '~')
		// Browsers leave | ^ ` { } as they are in a path, so they pass. A backslash does not: some upstreams
		// take it for a slash.
		set(classPath, visible && bytes.IndexByte([]byte("#?\"<>\\"), c) < 0)
		set(classQuery, visible && c != '#')
		set(classHex, digit || 'a' <= c|0x20 && c|0x20 <= 'f')
		set(classBase64, letter || digit || c == '+' || c == '/')
	}
	return t
}

func is(c byte, class uint8) bool { return classes[c]&class != 0 }

// all reports whether every byte of b is in class.
func all(b []byte, class uint8) bool {
	for _, c := range b {
		if classes[c]&class == 0 {
			return false
		}
	}
	return true
}

// isToken reports whether b is a token (RFC 9110 §5.6.2).
func isToken(b []byte) bool { return len(b) > 0 && all(b, classToken) }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold reports whether b and s are the same but for the case of ASCII letters.
func equalFold[B, S ~[]byte | ~string](b B, s S) bool {
	return len(b) == len(s) && hasPrefixFold(b, s)
}

// hasPrefixFold reports whether b begins with s but for the case of ASCII letters.
func hasPrefixFold[B, S ~[]byte | ~string](b B, s S) bool {
	if len(b) < len(s) {
		return false
	}
	for i := range len(s) {
		if b[i] != s[i] && lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

// trim returns b without the optional white space (SP, HTAB) at its ends.
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for n := len(b); n > 0 && (b[n-1] == ' ' || b[n-1] == '\t'); n-- {
		b = b[:n-1]
	}
	return b
}

// cut returns the first element of a comma-separated list of tokens, trimmed, and the rest of the list; more is false for
// the last one. Empty elements are returned as such: RFC 9110 §5.6.1.2 tells a recipient to ignore them.
func cut(list []byte) (item, rest []byte, more bool) {
	item, rest, more = bytes.Cut(list, []byte{','})
	return trim(item), rest, more
}
