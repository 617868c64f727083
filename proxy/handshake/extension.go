package handshake

import "bytes"

// mostExtensions is the largest number of extensions in an answer; comparing them takes quadratic time.
const mostExtensions = 16

// checkExtensions checks the agreed extensions against the offered ones and works out the reserved bits (RFC 6455 §9.1).
// Parameters are checked for their syntax only: their meaning is between the two ends.
func (a *Answer) checkExtensions(req *Request) error {
	list, n := only(a.Fields, kindExtensions)
	if n == 0 {
		return nil
	}
	if n > 1 {
		return badExtensions // RFC 6455 §11.3.2
	}
	count := 0
	for rest, more := list, true; more; {
		var extension []byte
		extension, rest, more = cutQuoted(rest, ',')
		if count++; count > mostExtensions {
			return badExtensions
		}
		name, ok := parseExtension(extension)
		switch {
		case !ok || names(rest, more, name): // twice leaves open which one holds
			return badExtensions
		case !offers(req.Fields, name):
			return badExtension
		}
		switch string(name) {
		case "permessage-deflate", "x-webkit-deflate-frame":
			a.RSV |= RSV1
		default:
			a.RSV |= RSV1 | RSV2 | RSV3
		}
	}
	return nil
}

// names reports whether what is left of a list names the extension.
func names(list []byte, more bool, name []byte) bool {
	for more {
		var extension []byte
		extension, list, more = cutQuoted(list, ',')
		if string(extensionName(extension)) == string(name) {
			return true
		}
	}
	return false
}

// offers reports whether the client offers the extension.
func offers(fields []Field, name []byte) bool {
	for i := range fields {
		if fields[i].kind == kindExtensions && names(fields[i].Value, true, name) {
			return true
		}
	}
	return false
}

// extensionName returns the name in an element of an extension list, whatever its parameters look like.
func extensionName(extension []byte) []byte {
	name, _, _ := bytes.Cut(extension, []byte{';'})
	return trim(name)
}

// parseExtension checks one element of an extension list and returns its name.
func parseExtension(extension []byte) (name []byte, ok bool) {
	name, rest, more := cutQuoted(extension, ';')
	if name = trim(name); !isToken(name) {
		return nil, false
	}
	for more {
		var param []byte
		param, rest, more = cutQuoted(rest, ';')
		key, value, valued := bytes.Cut(param, []byte{'='})
		if !isToken(trim(key)) || valued && !isParamValue(trim(value)) {
			return nil, false
		}
	}
	return name, true
}

// isParamValue reports whether b is a token or a quoted string that holds a token, as RFC 6455 §9.1 wants it.
func isParamValue(b []byte) bool {
	if n := len(b); n >= 2 && b[0] == '"' && b[n-1] == '"' {
		b = b[1 : n-1]
		for i := 0; i < len(b); i++ {
			if b[i] == '\\' {
				i++ // a quoted pair stands for its second byte
			}
			if i == len(b) || !is(b[i], classToken) {
				return false
			}
		}
		return len(b) > 0
	}
	return isToken(b)
}

// cutQuoted splits b at the first separator outside of a quoted string; more is false if there is none. A quoted string that
// is never closed lasts to the end.
func cutQuoted(b []byte, separator byte) (item, rest []byte, more bool) {
	quoted := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			return trim(b[:i]), b[i+1:], true
		}
	}
	return trim(b), nil, false
}
