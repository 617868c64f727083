package handshake

import "bytes"

// Request is a parsed request head. Its slices point into the head. The zero value is ready for [ParseRequest], and a
// Request may be used for one head after the other.
type Request struct {
	// Method is the method, a known one.
	Method []byte
	// Target is the request target as it came: a path with its query, an absolute URI, or "*" (OPTIONS only).
	Target []byte
	// Path is the raw path of the target. It begins with "/", unless the target is "*". See [Request.NormalPath].
	Path []byte
	// Query is the raw query without its "?"; nil if the target has no "?". It often holds secrets: never log it.
	Query []byte
	// Host is the Host field, name and port as they came. It is nil only for HTTP/1.0.
	Host []byte
	// Minor is the minor version of HTTP: 0 or 1.
	Minor int
	// Fields holds the field lines in their order, without those whose name holds an underscore.
	Fields []Field
	// ContentLength is the length of the body that follows the head: 0 for none, -1 for a chunked one.
	ContentLength int64
	// Key is the Sec-WebSocket-Key. Set by [Request.CheckUpgrade].
	Key []byte
	// Protocols holds the offered subprotocols in order of preference. Set by [Request.CheckUpgrade].
	Protocols [][]byte

	limits  Limits
	options options
	upgrade bool
}

// ParseRequest parses the head of a request, which must be whole and nothing more: the bytes that [RequestEnd] has measured.
// It checks everything that does not depend on what the request is for: the request line, the syntax of every field, Host
// (RFC 9112 §3.2), the framing of a body (§6.3) and Connection. It overwrites *r; after an error *r is of no use except for
// its Method, which is set if the error came after it.
//
// Every error is a [*Refusal]: 400 for bad syntax, 405 for CONNECT and for a known method in the wrong case, 414 and 431 for
// what is beyond l, 501 for an unknown method or transfer coding, 505 for another version than HTTP/1.0 and HTTP/1.1.
//
// An absolute target is accepted if its authority is the same as Host but for the case of letters; to the upstream goes the
// path. A request that is no upgrade is a valid request; see [Request.IsUpgrade].
func ParseRequest(head []byte, l Limits, r *Request) error {
	*r = Request{Fields: r.Fields[:0], Protocols: r.Protocols[:0], limits: l.filled()}
	l = r.limits
	if err := checkStart(head); err != nil {
		return err
	}
	end := bytes.IndexByte(head, '\n')
	if end < 1 || head[end-1] != '\r' {
		return refuseRequestLine
	}
	if err := r.parseLine(head[:end-1]); err != nil {
		return err
	}
	if len(head) > l.Size {
		return refuseHeadSize
	}
	var bad fault
	if r.Fields, bad = parseFields(r.Fields, head[end+1:], l.Fields, true); bad != faultNone {
		return fieldRefusals[bad]
	}
	if err := r.parseHost(); err != nil {
		return err
	}
	if err := r.parseTarget(); err != nil {
		return err
	}
	if err := r.parseFraming(); err != nil {
		return err
	}
	r.options = nominate(r.Fields, l.Options)
	switch {
	case r.options.count > l.Options:
		return refuseOptionCount
	case r.options.malformed:
		return refuseConnection
	}
	r.upgrade = r.options.upgrade && r.has(kindUpgrade)
	return nil
}

// parseLine takes the request line apart (RFC 9112 §3). The target is only measured; see parseTarget.
func (r *Request) parseLine(line []byte) error {
	method, rest, found := bytes.Cut(line, []byte{' '})
	if !found || !isToken(method) {
		return refuseRequestLine
	}
	target, version, found := bytes.Cut(rest, []byte{' '})
	if len(target) > r.limits.Target {
		return refuseTargetLength
	}
	if !found || len(target) == 0 || !isVersion(version) {
		return refuseRequestLine
	}
	r.Method, r.Target = method, target
	switch string(version) {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
	default:
		return refuseVersion
	}
	known, exact := lookupMethod(method)
	switch {
	case !known:
		return refuseUnknown
	case !exact || string(method) == "CONNECT":
		// A method in the wrong case is another method to the letter of RFC 9110 §9.1, but it is clear what was meant.
		return refuseMethod
	}
	return nil
}

// isVersion reports whether b has the form of an HTTP version.
func isVersion(b []byte) bool {
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	return len(b) == 8 && string(b[:5]) == "HTTP/" && digit(b[5]) && b[6] == '.' && digit(b[7])
}

// parseHost finds and checks the Host field.
func (r *Request) parseHost() error {
	for i := range r.Fields {
		if r.Fields[i].kind != kindHost {
			continue
		}
		if r.Host != nil {
			return refuseTwoHosts
		}
		if r.Host = r.Fields[i].Value; !isAuthority(r.Host) {
			return refuseHost
		}
	}
	if r.Host == nil && r.Minor > 0 {
		return refuseNoHost
	}
	return nil
}

// parseFraming finds out whether a body follows (RFC 9112 §6).
func (r *Request) parseFraming() error {
	f := frame(r.Fields)
	switch {
	case f.badLength:
		return refuseLength
	case f.lengths > 1:
		return refuseTwoLengths
	case f.lengths > 0 && f.coded:
		return refuseBothFramings
	case f.coded && r.Minor == 0:
		return refuseCoding10
	case f.badCoding:
		return refuseCoding
	case f.unknownCoding:
		return refuseCodingName
	case f.coded:
		r.ContentLength = -1
	default:
		r.ContentLength = f.length
	}
	return nil
}

// has reports whether there is a field of kind k.
func (r *Request) has(k kind) bool {
	for i := range r.Fields {
		if r.Fields[i].kind == k {
			return true
		}
	}
	return false
}

// IsUpgrade reports whether the request asks for another protocol: Connection lists upgrade and there is an Upgrade field.
// Without the former, RFC 9110 §7.8 says to ignore the latter, and the request is a plain one.
func (r *Request) IsUpgrade() bool { return r.upgrade }

// HasBody reports whether a body follows the head.
func (r *Request) HasBody() bool { return r.ContentLength != 0 }

// Origin returns the value of the Origin field (RFC 6454 §7), which is not judged here, and the number of such fields.
func (r *Request) Origin() (value []byte, fields int) { return only(r.Fields, kindOrigin) }

// Value returns the value of the first field with this name, in any case of letters; ok is false if there is none.
func (r *Request) Value(name string) (value []byte, ok bool) { return valueOf(r.Fields, name) }

func valueOf(fields []Field, name string) ([]byte, bool) {
	for i := range fields {
		if equalFold(fields[i].Name, name) {
			return fields[i].Value, true
		}
	}
	return nil, false
}
