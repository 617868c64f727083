package handshake

import "bytes"

// Field is one field line of a head.
type Field struct {
	// Name is the name as it came; compare it without regard to the case of letters.
	Name []byte
	// Value is the value as it came, without the white space around it.
	Value []byte

	kind kind
}

// kind says what the handshake has to do with a field, so that names are compared once.
type kind uint8

const (
	kindOther kind = iota // passes
	kindHost
	kindOrigin
	kindConnection
	kindUpgrade
	kindContentLength
	kindTransferEncoding
	kindExpect
	kindKey
	kindVersion
	kindAccept
	kindProtocol
	kindExtensions
	kindHop            // belongs to one hop by its definition (RFC 9110 §7.6.1)
	kindNominated      // belongs to one hop because Connection names it
	kindForwarded      // Forwarded (RFC 7239); this and what follows is ours to say, not the client's
	kindForwardedFor   // X-Forwarded-For
	kindForwardedProto // X-Forwarded-Proto
	kindForwardedHost  // X-Forwarded-Host
	kindForwardedOther // X-Real-IP and everything else that begins with X-Forwarded
)

// classify returns the kind of a field. The switch on the length keeps it to a few comparisons for most names.
func classify(name []byte) kind {
	is := func(s string) bool { return equalFold(name, s) }
	if hasPrefixFold(name, "x-forwarded") {
		switch rest := name[len("x-forwarded"):]; {
		case equalFold(rest, "-for"):
			return kindForwardedFor
		case equalFold(rest, "-proto"):
			return kindForwardedProto
		case equalFold(rest, "-host"):
			return kindForwardedHost
		}
		return kindForwardedOther
	}
	switch len(name) {
	case 2:
		if is("te") {
			return kindHop
		}
	case 4:
		if is("host") {
			return kindHost
		}
	case 6:
		if is("origin") {
			return kindOrigin
		} else if is("expect") {
			return kindExpect
		}
	case 7:
		if is("upgrade") {
			return kindUpgrade
		} else if is("trailer") {
			return kindHop
		}
	case 9:
		if is("forwarded") {
			return kindForwarded
		} else if is("x-real-ip") {
			return kindForwardedOther
		}
	case 10:
		if is("connection") {
			return kindConnection
		} else if is("keep-alive") {
			return kindHop
		}
	case 14:
		if is("content-length") {
			return kindContentLength
		} else if is("http2-settings") {
			return kindHop
		}
	case 16:
		if is("proxy-connection") {
			return kindHop
		}
	case 17:
		if is("sec-websocket-key") {
			return kindKey
		} else if is("transfer-encoding") {
			return kindTransferEncoding
		}
	case 18:
		if is("proxy-authenticate") {
			return kindHop
		}
	case 19:
		if is("proxy-authorization") {
			return kindHop
		}
	case 20:
		if is("sec-websocket-accept") {
			return kindAccept
		}
	case 21:
		if is("sec-websocket-version") {
			return kindVersion
		}
	case 22:
		if is("sec-websocket-protocol") {
			return kindProtocol
		}
	case 24:
		if is("sec-websocket-extensions") {
			return kindExtensions
		}
	}
	return kindOther
}

// fault is what can be wrong with field lines, in requests and answers alike.
type fault uint8

const (
	faultNone fault = iota
	faultCount
	faultLine
	faultFold
	faultName
	faultValue
	faultEnd
)

var fieldRefusals = [...]*Refusal{
	faultCount: refuseFieldCount,
	faultLine:  refuse(400, "field_without_colon", "A header field has no colon."),
	faultFold:  refuse(400, "field_folded", "A header field is folded over two lines."),
	faultName:  refuse(400, "bad_field_name", "The name of a header field is malformed."),
	faultValue: refuse(400, "bad_field_value", "The value of a header field is malformed."),
	faultEnd:   refuse(400, "bad_head_end", "The request head does not end with one blank line."),
}

var fieldBadAnswers = [...]*BadAnswer{
	faultCount: {"more fields than allowed"},
	faultLine:  {"a field without a colon"},
	faultFold:  {"a field folded over two lines"},
	faultName:  {"a malformed field name"},
	faultValue: {"a malformed field value"},
	faultEnd:   {"no blank line at the end of the head"},
}

// parseFields appends the field lines of b, which ends with the blank line, to fields. With dropUnderscore, lines whose name
// holds an underscore are checked and counted but left out: many servers fold "_" and "-" into one, so X_Forwarded_For
// would reach an application as X-Forwarded-For.
func parseFields(fields []Field, b []byte, limit int, dropUnderscore bool) ([]Field, fault) {
	for count := 0; ; count++ {
		end := bytes.IndexByte(b, '\n')
		if end < 1 || b[end-1] != '\r' {
			return fields, faultEnd
		}
		line := b[:end-1]
		b = b[end+1:]
		if len(line) == 0 {
			if len(b) > 0 {
				return fields, faultEnd
			}
			return fields, faultNone
		}
		if count == limit {
			return fields, faultCount
		}
		if line[0] == ' ' || line[0] == '\t' {
			return fields, faultFold
		}
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			return fields, faultLine
		}
		name, value := line[:colon], line[colon+1:]
		if !isToken(name) {
			return fields, faultName
		}
		if !all(value, classValue) {
			return fields, faultValue
		}
		k := classify(name)
		if k == kindContentLength || k == kindTransferEncoding {
			// A tab around these values is how smugglers tell two parsers apart.
			if bytes.IndexByte(value, '\t') >= 0 {
				return fields, faultValue
			}
		}
		if dropUnderscore && bytes.IndexByte(name, '_') >= 0 {
			continue
		}
		fields = append(fields, Field{Name: name, Value: trim(value), kind: k})
	}
}

// appendField appends one field line.
func appendField(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// options is what the Connection fields of a head say (RFC 9110 §7.6.1).
type options struct {
	count     int
	upgrade   bool // one of them is "upgrade"
	required  bool // one of them names a field that must reach the other end
	malformed bool // one of them is not a token
}

// nominate reads the Connection fields and marks every field that they name as one of this hop. A field with a rule of its
// own keeps its kind. It stops when there are more than limit options.
func nominate(fields []Field, limit int) (o options) {
	for i := range fields {
		if fields[i].kind != kindConnection {
			continue
		}
		for rest, more := fields[i].Value, true; more; {
			var option []byte
			if option, rest, more = cut(rest); len(option) == 0 {
				continue
			}
			if o.count++; o.count > limit {
				return o
			}
			switch k := classify(option); {
			case !isToken(option):
				o.malformed = true
			case k == kindUpgrade:
				o.upgrade = true
			case k == kindHost || k == kindOrigin || k == kindContentLength || hasPrefixFold(option, "sec-"):
				// Without its Origin or Sec- fields a browser's request would pass for another program's.
				o.required = true
			case k == kindOther:
				mark(fields, option)
			}
		}
	}
	return o
}

// mark gives the fields with this name to the hop.
func mark(fields []Field, name []byte) {
	for i := range fields {
		if fields[i].kind == kindOther && equalFold(fields[i].Name, name) {
			fields[i].kind = kindNominated
		}
	}
}
