package handshake

// CheckUpgrade checks that the request is the opening handshake of RFC 6455 §4.2.1, to the letter, and sets Key and
// Protocols. Nothing that it refuses should reach an upstream. Every error is a [*Refusal]:
//
//   - 426 with Sec-WebSocket-Version: 13 for a plain request, and for another version than 13, none, or two;
//   - 405 with Allow: GET for another method;
//   - 400 for HTTP/1.0, an Upgrade list that is not websocket alone, a body, a Connection option that names Host, Origin,
//     Content-Length or a Sec- field, a missing, repeated or malformed key, and a malformed list of subprotocols, one that
//     offers one of them twice (RFC 6455 §4.1 point 10) or more than the limit;
//   - 417 for an Expect field.
//
// Extensions are not judged: what is offered there is for the other end to read.
func (r *Request) CheckUpgrade() error {
	switch {
	case !r.upgrade:
		return refusePlain
	case string(r.Method) != "GET":
		return refuseMethod
	case r.Minor == 0:
		return refuseUpgrade10
	case r.options.required:
		return refuseNominated
	case r.has(kindExpect):
		return refuseExpect
	case r.HasBody():
		return refuseBody
	}
	if v, n := only(r.Fields, kindUpgrade); n != 1 || !equalFold(v, "websocket") {
		return refuseUpgrade
	}
	if v, n := only(r.Fields, kindVersion); n != 1 || string(v) != "13" {
		return refuseWSVersion
	}
	key, n := only(r.Fields, kindKey)
	if n != 1 || !isKey(key) {
		return refuseKey
	}
	r.Key = key
	return r.parseProtocols()
}

// only returns the value of the last field of kind k and the number of such fields.
func only(fields []Field, k kind) (value []byte, n int) {
	for i := range fields {
		if fields[i].kind == k {
			value, n = fields[i].Value, n+1
		}
	}
	return value, n
}

// parseProtocols collects the offered subprotocols from all lines.
func (r *Request) parseProtocols() error {
	r.Protocols = r.Protocols[:0]
	present := false
	for i := range r.Fields {
		if r.Fields[i].kind != kindProtocol {
			continue
		}
		present = true
		for rest, more := r.Fields[i].Value, true; more; {
			var p []byte
			if p, rest, more = cut(rest); len(p) == 0 {
				continue
			}
			if !isToken(p) {
				return refuseProtocols
			}
			if contains(r.Protocols, p) {
				return refuseTwice
			}
			if len(r.Protocols) == r.limits.Protocols {
				return refuseProtocolCount
			}
			r.Protocols = append(r.Protocols, p)
		}
	}
	if present && len(r.Protocols) == 0 {
		return refuseProtocols
	}
	return nil
}

// contains reports whether one of the names is name; subprotocols differ by case (RFC 6455 §4.1).
func contains(names [][]byte, name []byte) bool {
	for _, n := range names {
		if string(n) == string(name) {
			return true
		}
	}
	return false
}
