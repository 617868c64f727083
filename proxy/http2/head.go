package http2

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	h2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What a request can ask for that has no head in HTTP/1.1, although it is well
// formed. [Stream.Read] returns these.
var (
	// ErrHeadSize: its fields are more than [Options.HeadSize].
	ErrHeadSize = errors.New("HTTP/2: the fields of the request are longer than allowed")
	// ErrScheme: its scheme is not https.
	ErrScheme = errors.New("HTTP/2: the scheme of the request is not https")
	// ErrProtocol: it is an extended CONNECT to something else than websocket, which
	// should be answered with 501 (RFC 9220 §3).
	ErrProtocol = errors.New("HTTP/2: the request asks for a tunnel that is no WebSocket")
)

// head is a request as HTTP/1.1 would have it.
type head struct {
	bytes   []byte // nil if it has none
	fault   error  // why
	connect bool   // it asks for a tunnel
	noBody  bool   // no answer to it has a body
}

// translate writes the head of a request, of at most so many bytes as RFC 9113
// §6.5.2 counts them, as HTTP/1.1 has it. One that is malformed (§8.1.1) is an
// [h2.StreamError].
func translate(f *h2.MetaHeadersFrame, size int) (*head, error) {
	var (
		method, scheme    = f.PseudoValue("method"), f.PseudoValue("scheme")
		authority, path   = f.PseudoValue("authority"), f.PseudoValue("path")
		protocol, isTyped = pseudo(f, ":protocol")
		connect           = method == "CONNECT"
	)
	h := &head{connect: connect, noBody: method == "HEAD"}
	for _, field := range f.Fields {
		size -= int(field.Size())
	}
	if f.Truncated || size < 0 {
		h.fault = ErrHeadSize // fields that are missing cannot be judged
		return h, nil
	}
	fields, host, ok := regular(f.RegularFields())
	switch {
	case !ok, method == "", f.PseudoValue("status") != "":
		ok = false
	case connect && !isTyped: // RFC 9113 §8.5
		ok = authority != "" && scheme == "" && path == ""
	case isTyped: // RFC 8441 §4
		ok = connect && authority != "" && scheme != "" && path != ""
	default:
		ok = scheme != "" && path != ""
	}
	if authority != "" && host != "" && !strings.EqualFold(authority, host) {
		ok = false // RFC 9113 §8.3.1
	}
	switch {
	case !ok:
		return nil, h2.StreamError{StreamID: f.StreamID, Code: h2.ErrCodeProtocol}
	case isTyped && !strings.EqualFold(protocol, "websocket"):
		h.fault = ErrProtocol
		return h, nil
	case scheme != "" && !strings.EqualFold(scheme, "https"):
		h.fault = ErrScheme
		return h, nil
	}
	target := path
	switch {
	case isTyped:
		method = "GET"
	case connect:
		target = authority
	}
	if authority == "" {
		authority = host
	}
	b := make([]byte, 0, 512)
	b = append(append(append(append(b, method...), ' '), target...), " HTTP/1.1\r\n"...)
	if authority != "" {
		b = appendField(b, "host", authority)
	}
	if isTyped {
		var nonce [16]byte
		_, _ = rand.Read(nonce[:]) // it does not fail
		b = appendField(b, "connection", "Upgrade")
		b = appendField(b, "upgrade", "websocket")
		b = appendField(b, "sec-websocket-key", base64.StdEncoding.EncodeToString(nonce[:]))
	}
	for _, field := range fields {
		b = appendField(b, field.Name, field.Value)
	}
	h.bytes = append(b, "\r\n"...)
	return h, nil
}

func appendField(b []byte, name, value string) []byte {
	return append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
}

// pseudo returns the value of a pseudo-header field, and whether it is there.
func pseudo(f *h2.MetaHeadersFrame, name string) (string, bool) {
	for _, field := range f.PseudoFields() {
		if field.Name == name {
			return field.Value, true
		}
	}
	return "", false
}

// regular returns the fields that HTTP/1.1 gets as they are, and that of the
// host. It reports false if one of them has no place in HTTP/2 (RFC 9113 §8.2).
func regular(all []hpack.HeaderField) (fields []hpack.HeaderField, host string, ok bool) {
	cookie := -1
	for _, f := range all {
		if strings.Trim(f.Value, " \t") != f.Value {
			return nil, "", false // RFC 9113 §8.2.1
		}
		switch f.Name {
		case "connection", "upgrade", "keep-alive", "proxy-connection", "transfer-encoding":
			return nil, "", false // RFC 9113 §8.2.2
		case "te":
			if f.Value != "trailers" {
				return nil, "", false
			}
		case "host":
			if host != "" {
				return nil, "", false
			}
			host = f.Value
			continue
		case "sec-websocket-key":
			continue // RFC 8441 §5: it means nothing here, and ours takes its place
		case "cookie":
			if cookie >= 0 { // RFC 9113 §8.2.3
				fields[cookie].Value += "; " + f.Value
				continue
			}
			cookie = len(fields)
		}
		fields = append(fields, f)
	}
	return fields, host, true
}
