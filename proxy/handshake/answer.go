package handshake

import (
	"bytes"
	"net/http"
	"strconv"
)

// The reserved bits in the first byte of a frame (RFC 6455 §5.2).
const (
	RSV1 byte = 0x40
	RSV2 byte = 0x20
	RSV3 byte = 0x10
)

// Answer is a parsed answer head of an upstream. Its slices point into the head. The zero value is ready for
// [ParseAnswer], and an Answer may be used for one head after the other.
type Answer struct {
	// Status is the status code, 100 to 599.
	Status int
	// Reason is the reason phrase, often empty.
	Reason []byte
	// Fields holds the field lines in their order.
	Fields []Field
	// Body says how the body that follows the head ends. [BodyNone] if Status is 101.
	Body Body
	// ContentLength is the length of the body if Body is [BodyLength], else 0.
	ContentLength int64
	// Protocol is the subprotocol that the upstream has chosen, nil for none. Status 101 only.
	Protocol []byte
	// RSV holds the reserved bits that frames of this session may set, as in the first byte of a frame: none without an
	// extension; [RSV1] for permessage-deflate (RFC 7692 §6) and x-webkit-deflate-frame; all three as soon as one extension
	// was agreed whose use of them is not known here. Status 101 only.
	RSV byte
}

// Body says how the body of an answer ends (RFC 9112 §6.3).
type Body uint8

const (
	// BodyNone means that there is no body.
	BodyNone Body = iota
	// BodyLength means that the body has ContentLength bytes.
	BodyLength
	// BodyChunked means that the body is chunked (RFC 9112 §7.1).
	BodyChunked
	// BodyToEnd means that the body ends with the connection.
	BodyToEnd
)

// The ways in which an answer can be bad that are not about one field line (those are in field.go).
var (
	badNotHTTP     = &BadAnswer{"it does not begin with HTTP/1"}
	badControlByte = &BadAnswer{"a NUL byte, a bare CR or a bare LF in the head"}
	badHeadSize    = &BadAnswer{"a head longer than allowed"}
	badStatusLine  = &BadAnswer{"a malformed status line"}
	badConnection  = &BadAnswer{"a malformed Connection field"}
	badNominated   = &BadAnswer{"a Connection field that names a field meant for the client"}
	badOptions     = &BadAnswer{"a Connection field with more options than allowed"}
	badFraming     = &BadAnswer{"a body without a clear end"}
	bad10          = &BadAnswer{"status 101 in HTTP/1.0"}
	badBody        = &BadAnswer{"status 101 with a body"}
	badUpgrade     = &BadAnswer{"status 101 that does not upgrade to websocket"}
	badNoAccept    = &BadAnswer{"status 101 without Sec-WebSocket-Accept"}
	badAccepts     = &BadAnswer{"status 101 with more than one Sec-WebSocket-Accept"}
	badAccept      = &BadAnswer{"status 101 with a wrong Sec-WebSocket-Accept"}
	badProtocols   = &BadAnswer{"status 101 with a malformed Sec-WebSocket-Protocol"}
	badProtocol    = &BadAnswer{"status 101 with a subprotocol that was not offered"}
	badExtensions  = &BadAnswer{"status 101 with a malformed Sec-WebSocket-Extensions"}
	badExtension   = &BadAnswer{"status 101 with an extension that was not offered"}
)

// ParseAnswer parses the head of an upstream's answer to req, which must be whole and nothing more: the bytes that [AnswerEnd]
// has measured. req must be a request that [Request.CheckUpgrade] has let pass, its head still in place. ParseAnswer
// overwrites *a. Every error is a [*BadAnswer], and then *a is of no use.
//
// An answer with status 101 is accepted only if it is the one that RFC 6455 §4.1 asks a client to accept: Upgrade is
// websocket alone, Connection lists upgrade, there is one Sec-WebSocket-Accept and it is right for the key, at most one
// subprotocol and it was offered, at most one Sec-WebSocket-Extensions field, and it names each extension once, only
// offered ones, and at most 16. Any other answer only has to be valid HTTP/1.1 or HTTP/1.0 with a clear end of its body; it is for the
// caller to relay ([Answer.AppendClient]), whatever it says about upgrades.
func ParseAnswer(head []byte, l Limits, req *Request, a *Answer) error {
	minor, o, err := a.parse(head, l)
	if err != nil {
		return err
	}
	if a.Status != http.StatusSwitchingProtocols {
		return nil
	}
	if minor == 0 {
		return bad10
	}
	if v, n := only(a.Fields, kindUpgrade); !o.upgrade || n != 1 || !equalFold(v, "websocket") {
		return badUpgrade
	}
	if err := a.checkAccept(req.Key); err != nil {
		return err
	}
	if err := a.checkProtocol(req); err != nil {
		return err
	}
	return a.checkExtensions(req)
}

// parse checks and takes in what does not depend on the request.
func (a *Answer) parse(head []byte, l Limits) (minor int, o options, err error) {
	l = l.filled()
	*a = Answer{Fields: a.Fields[:0]}
	if len(head) > l.Size {
		return 0, o, badHeadSize
	}
	end := bytes.IndexByte(head, '\n')
	if end < 1 || head[end-1] != '\r' {
		return 0, o, badStatusLine
	}
	minor, ok := a.parseLine(head[:end-1])
	if !ok {
		return 0, o, badStatusLine
	}
	var bad fault
	if a.Fields, bad = parseFields(a.Fields, head[end+1:], l.Fields, false); bad != faultNone {
		return 0, o, fieldBadAnswers[bad]
	}
	o = nominate(a.Fields, l.Options)
	switch {
	case o.count > l.Options:
		return 0, o, badOptions
	case o.malformed:
		return 0, o, badConnection
	case o.required:
		return 0, o, badNominated
	}
	return minor, o, a.parseBody(minor)
}

// parseLine takes the status line apart (RFC 9112 §4). A missing space before an empty reason is common and harmless.
func (a *Answer) parseLine(line []byte) (minor int, ok bool) {
	const start = "HTTP/1.x 101"
	if len(line) < len(start) || !isVersion(line[:8]) || line[5] != '1' || line[7] > '1' || line[8] != ' ' {
		return 0, false
	}
	status, ok := parseDecimal(line[9:12], 3)
	if !ok || status < 100 || status > 599 {
		return 0, false
	}
	if reason := line[12:]; len(reason) > 0 {
		if reason[0] != ' ' || !all(reason, classValue) {
			return 0, false
		}
		a.Reason = reason[1:]
	}
	a.Status = int(status)
	return int(line[7] - '0'), true
}

// parseBody finds out how the body ends.
func (a *Answer) parseBody(minor int) error {
	f := frame(a.Fields)
	if f.badLength || f.lengths > 1 || f.lengths > 0 && f.coded || f.badCoding || f.unknownCoding || f.coded && minor == 0 {
		return badFraming
	}
	switch {
	case a.Status < 200:
		// RFC 9112 §6.1 forbids Transfer-Encoding here and RFC 9110 §8.6 Content-Length; a length of 0 does no harm.
		if f.coded || f.length > 0 {
			return badBody
		}
	case a.Status == http.StatusNoContent || a.Status == http.StatusNotModified:
	case f.coded:
		a.Body = BodyChunked
	case f.lengths > 0:
		if a.ContentLength = f.length; f.length > 0 {
			a.Body = BodyLength
		}
	default:
		a.Body = BodyToEnd
	}
	return nil
}

func (a *Answer) checkAccept(key []byte) error {
	got, n := only(a.Fields, kindAccept)
	want := Accept(key)
	switch {
	case n == 0:
		return badNoAccept
	case n > 1:
		return badAccepts
	case string(got) != string(want[:]):
		return badAccept
	}
	return nil
}

func (a *Answer) checkProtocol(req *Request) error {
	p, n := only(a.Fields, kindProtocol)
	switch {
	case n == 0:
		return nil
	case n > 1 || !isToken(p):
		return badProtocols
	case !contains(req.Protocols, p):
		return badProtocol
	}
	a.Protocol = p
	return nil
}

// Interim reports whether another answer will follow (RFC 9110 §15.2). The caller reads on, at most [MaxInterim] times.
func (a *Answer) Interim() bool { return a.Status < 200 && a.Status != http.StatusSwitchingProtocols }

// Value returns the value of the first field with this name, in any case of letters; ok is false if there is none.
func (a *Answer) Value(name string) (value []byte, ok bool) { return valueOf(a.Fields, name) }

// AppendClient appends the head that goes to the client. The upstream's fields for the client keep their order and bytes;
// those of one hop are replaced by ours. After status 101 these are Connection: Upgrade and Upgrade: websocket. After any
// other status they are Connection: close and the framing that the upstream uses, so that the caller relays the body's bytes
// as they come, and ends the connection after it. Not for an interim answer.
func (a *Answer) AppendClient(dst []byte) []byte {
	switching := a.Status == http.StatusSwitchingProtocols
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(a.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, a.Reason...)
	switch {
	case switching:
		dst = append(dst, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case a.Status == http.StatusUpgradeRequired:
		dst = append(dst, "\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n"...) // as in Refusal.AppendAnswer
	default:
		dst = append(dst, "\r\nConnection: close\r\n"...)
	}
	if a.Body == BodyChunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	for i := range a.Fields {
		switch f := &a.Fields[i]; f.kind {
		case kindConnection, kindUpgrade, kindTransferEncoding, kindHop, kindNominated:
		case kindContentLength:
			if !switching && a.Status != http.StatusNoContent { // RFC 9110 §8.6
				dst = appendField(dst, f.Name, f.Value)
			}
		default:
			dst = appendField(dst, f.Name, f.Value)
		}
	}
	return append(dst, "\r\n"...)
}
