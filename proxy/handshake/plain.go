package handshake

import (
	"bytes"
	"net/http"
	"strconv"
)

// What a request that is no upgrade is refused for, and how an answer to it is bad.
var (
	refuseNotPassed      = refuse(405, "not_passed", "This request is not passed on.")
	refuseUnknownExpects = refuse(417, "unknown_expectation", "The expectation is not known.")

	badUnasked = &BadAnswer{"status 101 to a request that is no upgrade"}
)

// CheckPlain checks that a request that is no upgrade may be passed to an upstream. Every error is a [*Refusal]:
//
//   - 405 for TRACE, and for OPTIONS of the server itself ("*"): they are meant for whoever gets them first (RFC 9110 §7.6.2);
//   - 400 for a Connection option that names Host, Origin, Content-Length or a Sec- field;
//   - 417 for an expectation other than 100-continue (RFC 9110 §10.1.1), or two.
func (r *Request) CheckPlain() error {
	switch {
	case string(r.Method) == "TRACE" || string(r.Path) == "*":
		return refuseNotPassed
	case r.options.required:
		return refuseNominated
	}
	if v, n := only(r.Fields, kindExpect); r.Minor > 0 && n > 0 && (n > 1 || !equalFold(v, "100-continue")) {
		return refuseUnknownExpects
	}
	return nil
}

// WantsClose reports whether the client wants the connection to end after the answer (RFC 9112 §9.6). HTTP/1.0 always does here.
func (r *Request) WantsClose() bool {
	if r.Minor == 0 {
		return true
	}
	for i := range r.Fields {
		if r.Fields[i].kind != kindConnection {
			continue
		}
		for rest, more := r.Fields[i].Value, true; more; {
			var option []byte
			if option, rest, more = cut(rest); equalFold(option, "close") {
				return true
			}
		}
	}
	return false
}

// WantsContinue reports whether the client waits for an interim answer before it sends the body.
func (r *Request) WantsContinue() bool { return r.Minor > 0 && r.HasBody() && r.has(kindExpect) }

// Plain says how a request that is no upgrade goes to the upstream.
type Plain struct {
	Upstream
	Forward
	// Identity asks for an answer without a content encoding, because somebody on the way reads it.
	Identity bool
}

// AppendPlain appends the head that goes to the upstream, for a request that [Request.CheckPlain] has let pass. It does with the
// fields what [Request.AppendUpstream] does. Of the body's framing (RFC 9112 §6) there is exactly one field: Content-Length with
// the number in its plain form, or Transfer-Encoding: chunked, or none; the caller sends the body in this framing. The connection is
// for this one request. Expect is passed on where it means something; trailers are not announced and not sent.
func (r *Request) AppendPlain(dst []byte, p *Plain) []byte {
	dst = append(dst, r.Method...)
	dst = append(dst, ' ')
	dst = append(dst, trimSlashes(p.Prefix)...)
	dst = append(dst, r.Path...)
	if r.Query != nil {
		dst = append(dst, '?')
		dst = append(dst, r.Query...)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, p.Host...)
	dst = append(dst, "\r\nConnection: close\r\n"...)
	for i := range r.Fields {
		switch f := &r.Fields[i]; f.kind {
		case kindHost, kindConnection, kindUpgrade, kindTransferEncoding, kindHop, kindNominated,
			kindForwarded, kindForwardedFor, kindForwardedProto, kindForwardedHost, kindForwardedOther:
		case kindContentLength:
			dst = appendLength(dst, r.ContentLength)
		case kindExpect:
			if r.WantsContinue() {
				dst = appendField(dst, f.Name, f.Value)
			}
		default:
			if !p.Identity || !equalFold(f.Name, "accept-encoding") {
				dst = appendField(dst, f.Name, f.Value)
			}
		}
	}
	if p.Identity {
		dst = append(dst, "Accept-Encoding: identity\r\n"...)
	}
	if r.ContentLength < 0 {
		dst = append(dst, chunkedField...)
	}
	return append(p.appendTo(dst, r.Host), "\r\n"...)
}

const chunkedField = "Transfer-Encoding: chunked\r\n"

// appendLength appends a Content-Length field.
func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	return append(strconv.AppendInt(dst, n, 10), "\r\n"...)
}

// ParsePlainAnswer parses the head of an upstream's answer to a request that is no upgrade, which must be whole and nothing more: the
// bytes that [AnswerEnd] has measured. method is that of the request. It overwrites *a. Every error is a [*BadAnswer], and then *a is of no use.
//
// The answer has to be valid HTTP/1.1 or HTTP/1.0 with a clear end of its body, and not 101. To HEAD there is no body, whatever the fields
// say (RFC 9112 §6.3).
func ParsePlainAnswer(head []byte, l Limits, method []byte, a *Answer) error {
	if _, _, err := a.parse(head, l); err != nil {
		return err
	}
	if a.Status == http.StatusSwitchingProtocols {
		return badUnasked
	}
	if string(method) == "HEAD" {
		a.Body, a.ContentLength = BodyNone, 0
	}
	return nil
}

// Downstream says how an answer goes to the client of a request that is no upgrade.
type Downstream struct {
	// Close ends the connection after the answer. It must be set if the body ends with the connection.
	Close bool
	// Chunked frames the body in chunks. Else it has its length, or ends with the connection.
	Chunked bool
	// Sized says that the body has Length bytes, whatever the upstream's framing was; and Replaced, with it, that it is another body,
	// without a content encoding.
	Sized, Replaced bool
	Length          int64
	// Header holds further fields as name and value.
	Header [][2]string
}

// AppendPlain appends the head that goes to the client. The upstream's fields keep their order and bytes, but those of one hop, which
// are ours.
func (a *Answer) AppendPlain(dst []byte, d *Downstream) []byte {
	dst = a.appendStatus(dst)
	switch {
	case a.Status == http.StatusUpgradeRequired && d.Close:
		dst = append(dst, "Connection: close, Upgrade\r\nUpgrade: websocket\r\n"...) // as in Refusal.AppendAnswer
	case a.Status == http.StatusUpgradeRequired:
		dst = append(dst, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case d.Close:
		dst = append(dst, "Connection: close\r\n"...)
	}
	if d.Chunked {
		dst = append(dst, chunkedField...)
	}
	for i := range a.Fields {
		switch f := &a.Fields[i]; f.kind {
		case kindConnection, kindUpgrade, kindTransferEncoding, kindHop, kindNominated:
		case kindContentLength:
			// Of an answer without a body it is that of another one (RFC 9110 §8.6).
			if !d.Chunked && !d.Sized && a.Status != http.StatusNoContent {
				dst = appendField(dst, f.Name, f.Value)
			}
		default:
			if !d.Replaced || !changesWithBody(f.Name) {
				dst = appendField(dst, f.Name, f.Value)
			}
		}
	}
	if d.Sized {
		dst = appendLength(dst, d.Length)
	}
	for _, h := range d.Header {
		dst = append(append(append(append(dst, h[0]...), ": "...), h[1]...), "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// changesWithBody reports whether a field speaks about the bytes of the body, so that it is wrong for another one.
func changesWithBody(name []byte) bool {
	for _, n := range [...]string{"content-encoding", "etag", "content-md5", "digest", "content-digest", "repr-digest", "accept-ranges"} {
		if equalFold(name, n) {
			return true
		}
	}
	return false
}

// AppendInterim appends an interim answer ([Answer.Interim]) as it goes to the client.
func (a *Answer) AppendInterim(dst []byte) []byte {
	dst = a.appendStatus(dst)
	for i := range a.Fields {
		switch f := &a.Fields[i]; f.kind {
		case kindConnection, kindUpgrade, kindContentLength, kindTransferEncoding, kindHop, kindNominated:
		default:
			dst = appendField(dst, f.Name, f.Value)
		}
	}
	return append(dst, "\r\n"...)
}

// IsField reports whether a line, without its CRLF, is a field line that [ParseRequest] would accept, for trailers.
func IsField(line []byte) bool {
	name, value, found := bytes.Cut(line, []byte{':'})
	return found && isToken(name) && all(value, classValue)
}

// appendStatus appends the status line.
func (a *Answer) appendStatus(dst []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(a.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, a.Reason...)
	return append(dst, "\r\n"...)
}
