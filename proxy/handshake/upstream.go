package handshake

import (
	"net/netip"
	"slices"
)

// Upstream says how to address an upstream.
type Upstream struct {
	// Host is the value of the Host field: name and, unless it is the scheme's default, port.
	Host string
	// Prefix is the path of the upstream's URL; the client's path goes behind it. "", "/" and a "/" at its end are the same
	// as none.
	Prefix string
}

// Forward says what the upstream is told about the client.
type Forward struct {
	// Client is the address that the connection came from: the client's, or that of a proxy before us. The invalid address
	// is written as "unknown".
	Client netip.Addr
	// Proto is the scheme that was used on that connection: "http" or "https".
	Proto string
	// Trail is what trusted proxies have said, see [Request.Trace]; nil for nothing.
	Trail *Trail
	// Style says which fields are written.
	Style ForwardStyle
}

// AppendUpstream appends the head that goes to the upstream. It is for a request that [Request.CheckUpgrade] has let pass.
//
// Method, target, query and the values of fields are the client's own bytes; fields keep their order. Host is the
// upstream's. Connection and Upgrade are ours; the client's, and every other field of one hop (RFC 9110 §7.6.1: those that
// Connection names, Keep-Alive, Proxy-Connection, Proxy-Authenticate, Proxy-Authorization, TE, Trailer, Transfer-Encoding,
// and HTTP2-Settings of RFC 7540) are dropped, as is Content-Length: 0. Via is not added. The key is the client's, so the
// upstream's accept is right for the client.
//
// What the client says in Forwarded, X-Real-IP and every field that begins with X-Forwarded is dropped, because anyone can
// be the client. By fwd.Style the upstream gets
//
//   - X-Forwarded-For with the addresses of the trail and fwd.Client, X-Forwarded-Proto and X-Forwarded-Host with what the
//     trail says, or else fwd.Proto and the Host field;
//   - Forwarded (RFC 7239) with the elements of the trail and our own: for=, proto= and host= of the connection to us. A
//     trail that came in X-Forwarded-For is translated; its proto and host go with the address of the client.
func (r *Request) AppendUpstream(dst []byte, up Upstream, fwd Forward) []byte {
	dst = append(dst, "GET "...)
	dst = append(dst, trimSlashes(up.Prefix)...)
	dst = append(dst, r.Path...)
	if r.Query != nil {
		dst = append(dst, '?')
		dst = append(dst, r.Query...)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, up.Host...)
	dst = append(dst, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"...)
	for i := range r.Fields {
		switch f := &r.Fields[i]; f.kind {
		case kindHost, kindConnection, kindUpgrade, kindContentLength, kindTransferEncoding, kindHop, kindNominated,
			kindForwarded, kindForwardedFor, kindForwardedProto, kindForwardedHost, kindForwardedOther:
		default:
			dst = appendField(dst, f.Name, f.Value)
		}
	}
	return append(fwd.appendTo(dst, r.Host), "\r\n"...)
}

// appendTo appends the fields of the style.
func (fwd *Forward) appendTo(dst, host []byte) []byte {
	if fwd.Trail == nil {
		fwd.Trail = &noTrail
	}
	if fwd.Style == ForwardX || fwd.Style == ForwardBoth {
		dst = fwd.appendX(dst, host)
	}
	if fwd.Style == ForwardRFC7239 || fwd.Style == ForwardBoth {
		dst = fwd.appendForwarded(dst, host)
	}
	return dst
}

var noTrail Trail

// appendX appends the three X-Forwarded fields.
func (fwd *Forward) appendX(dst, host []byte) []byte {
	t := fwd.Trail
	dst = append(dst, "X-Forwarded-For: "...)
	for _, a := range slices.Backward(t.addresses) {
		dst = append(appendAddress(dst, a), ", "...)
	}
	dst = appendAddress(dst, fwd.Client)
	dst = append(dst, "\r\nX-Forwarded-Proto: "...)
	if t.proto != nil {
		dst = append(dst, t.proto...)
	} else {
		dst = append(dst, fwd.Proto...)
	}
	dst = append(dst, "\r\nX-Forwarded-Host: "...)
	if t.host != nil {
		host = t.host
	}
	dst = append(dst, host...)
	return append(dst, "\r\n"...)
}

// appendForwarded appends the Forwarded field.
func (fwd *Forward) appendForwarded(dst, host []byte) []byte {
	t := fwd.Trail
	dst = append(dst, "Forwarded: "...)
	for _, e := range slices.Backward(t.elements) {
		dst = append(append(dst, e...), ", "...)
	}
	if len(t.elements) == 0 {
		for i, a := range slices.Backward(t.addresses) {
			dst = appendNode(dst, a)
			if i == len(t.addresses)-1 {
				dst = appendProtoHost(dst, t.proto, t.host)
			}
			dst = append(dst, ", "...)
		}
	}
	dst = appendNode(dst, fwd.Client)
	dst = appendProtoHost(dst, fwd.Proto, host)
	return append(dst, "\r\n"...)
}

// appendAddress appends an address as X-Forwarded-For has it.
func appendAddress(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(dst, "unknown"...)
	}
	return a.Unmap().WithZone("").AppendTo(dst)
}

// appendNode appends the for parameter with an address (RFC 7239 §6).
func appendNode(dst []byte, a netip.Addr) []byte {
	dst = append(dst, "for="...)
	if a = a.Unmap(); !a.Is6() {
		return appendAddress(dst, a)
	}
	dst = append(dst, `"[`...)
	return append(appendAddress(dst, a), `]"`...)
}

// appendProtoHost appends these parameters, unless they are empty.
func appendProtoHost[S ~[]byte | ~string](dst []byte, proto S, host []byte) []byte {
	if len(proto) > 0 {
		dst = append(append(dst, ";proto="...), proto...)
	}
	if len(host) > 0 {
		dst = appendQuoted(append(dst, ";host="...), host)
	}
	return dst
}

// appendQuoted appends a value as a token if it is one, else as a quoted string (RFC 9110 §5.6.4).
func appendQuoted(dst, value []byte) []byte {
	if isToken(value) {
		return append(dst, value...)
	}
	dst = append(dst, '"')
	for _, c := range value {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// trimSlashes returns prefix without the slashes at its end.
func trimSlashes(prefix string) string {
	for len(prefix) > 0 && prefix[len(prefix)-1] == '/' {
		prefix = prefix[:len(prefix)-1]
	}
	return prefix
}
