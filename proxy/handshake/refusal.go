package handshake

import (
	"net/http"
	"slices"
	"strconv"
)

// Refusal is the error for a client's head that is not let in: the answer that the client gets. It is compared by status;
// the refusals that this package returns are shared and must not be written to. Callers may make their own.
type Refusal struct {
	// Status is the HTTP status, 400 to 599.
	Status int
	// Code is one word for programs, of lower-case letters, digits and "_". It stands for the rule that was broken and does
	// not change. The codes of this package are in docs/refusals.md.
	Code string
	// Reason is one full English sentence for the client. It never repeats what the client sent.
	Reason string
	// Header holds further fields of the answer as name and value, such as Allow or Sec-WebSocket-Version.
	Header [][2]string
}

// Error returns the status and the reason.
func (r *Refusal) Error() string {
	return "refused with " + strconv.Itoa(r.Status) + ": " + r.Reason
}

// AppendAnswer appends the whole answer: status line, Connection: close, the fields of Header, and the body
// ([Refusal.AppendBody]). method is the request's method as far as it is known; an answer to HEAD has no body. There is no
// Date, because the package reads no clock; a caller who wants one adds it to a copy's Header.
func (r *Refusal) AppendAnswer(dst []byte, method []byte) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(r.Status)...)
	dst = append(dst, "\r\nConnection: close"...)
	if r.Status == http.StatusUpgradeRequired {
		// RFC 9110 §15.5.22 asks for Upgrade in a 426, and §7.8 for the option that goes with it.
		dst = append(dst, ", Upgrade\r\nUpgrade: websocket"...)
	}
	for _, h := range r.Header {
		dst = append(dst, "\r\n"...)
		dst = append(dst, h[0]...)
		dst = append(dst, ": "...)
		dst = append(dst, h[1]...)
	}
	var buffer [384]byte // the usual body fits; a longer one goes to the heap
	body := r.AppendBody(buffer[:0])
	dst = append(dst, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	if string(method) == "HEAD" {
		return dst
	}
	return append(dst, body...)
}

// AppendBody appends the body of the answer, one line with the JSON object {"status":400,"error":"…","code":"…"}: error is
// the reason. Without a Code there is no code.
func (r *Refusal) AppendBody(dst []byte) []byte {
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(dst, `,"error":`...)
	dst = appendJSON(dst, r.Reason)
	if r.Code != "" {
		dst = append(dst, `,"code":`...)
		dst = appendJSON(dst, r.Code)
	}
	return append(dst, "}\n"...)
}

// appendJSON appends s as a JSON string. Control bytes become escapes, everything else stays as it is.
func appendJSON(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// BadAnswer is the error for an upstream's head that is not an answer to our handshake. The client gets a 502, and the
// attempt counts against the upstream.
type BadAnswer struct {
	// Reason is one English sentence for the log. It never repeats what the upstream sent.
	Reason string
}

// Error returns the reason.
func (b *BadAnswer) Error() string { return "bad answer of the upstream: " + b.Reason }

// shared are the refusals of this package, in the order in which they are made.
var shared []*Refusal

// refuse makes one of them.
func refuse(status int, code, reason string, header ...[2]string) *Refusal {
	r := &Refusal{Status: status, Code: code, Reason: reason, Header: header}
	shared = append(shared, r)
	return r
}

// Refusals returns every refusal that this package knows, for those who count them. The slice is the caller's, what it
// points to must not be written to.
func Refusals() []*Refusal { return slices.Clone(shared) }

var (
	allowGet  = [2]string{"Allow", "GET"}
	version13 = [2]string{"Sec-WebSocket-Version", "13"}
)

// The refusals that are not about one field line (those are in field.go).
var (
	refuseNotHTTP      = refuse(400, "not_http", "This port speaks HTTP/1.1; what came is not an HTTP/1.1 request.")
	refuseHTTP2        = refuse(400, "http2", "HTTP/2 is not spoken on this port.")
	refuseControlByte  = refuse(400, "control_byte", "The request head holds a NUL byte, a bare CR or a bare LF.")
	refuseHeadSize     = refuse(431, "head_too_long", "The request head is longer than this server allows.")
	refuseFieldCount   = refuse(431, "too_many_fields", "The request has more header fields than this server allows.")
	refuseOptionCount  = refuse(431, "too_many_options", "The Connection field has more options than this server allows.")
	refuseRequestLine  = refuse(400, "bad_request_line", "The request line is malformed.")
	refuseVersion      = refuse(505, "bad_http_version", "This server speaks HTTP/1.1 only.")
	refuseUnknown      = refuse(501, "unknown_method", "The request method is not known.")
	refuseMethod       = refuse(405, "wrong_method", "A WebSocket handshake is a GET request.", allowGet)
	refuseTarget       = refuse(400, "bad_target", "The request target is malformed.")
	refuseFragment     = refuse(400, "target_fragment", "The request target holds a fragment.")
	refuseClimb        = refuse(400, "path_climbs", "The path of the request target climbs above its root.")
	refuseTargetLength = refuse(414, "target_too_long", "The request target is longer than this server allows.")
	refuseAuthority    = refuse(400, "wrong_authority", "The authority of the request target differs from the Host field.")
	refuseNoHost       = refuse(400, "no_host", "The Host field is missing.")
	refuseTwoHosts     = refuse(400, "two_hosts", "There is more than one Host field.")
	refuseHost         = refuse(400, "bad_host", "The Host field is malformed.")
	refuseLength       = refuse(400, "bad_content_length", "The Content-Length field is malformed.")
	refuseTwoLengths   = refuse(400, "two_content_lengths", "There is more than one Content-Length field.")
	refuseBothFramings = refuse(400, "two_framings", "Content-Length and Transfer-Encoding exclude each other.")
	refuseCoding       = refuse(400, "bad_transfer_encoding", "The Transfer-Encoding field is malformed.")
	refuseCoding10     = refuse(400, "http10_transfer_encoding", "HTTP/1.0 has no Transfer-Encoding.")
	refuseCodingName   = refuse(501, "unknown_transfer_coding", "The transfer coding is not known.")
	refuseConnection   = refuse(400, "bad_connection", "The Connection field is malformed.")

	refusePlain         = refuse(426, "no_upgrade", "This resource speaks WebSocket: send an upgrade request.", version13)
	refuseUpgrade10     = refuse(400, "http10_upgrade", "HTTP/1.0 has no upgrade.")
	refuseUpgrade       = refuse(400, "wrong_upgrade", "The Upgrade field must name websocket and nothing else.")
	refuseNominated     = refuse(400, "field_nominated", "The Connection field names a field that is meant for the upstream.")
	refuseExpect        = refuse(417, "expectation", "A WebSocket handshake cannot carry an expectation.")
	refuseBody          = refuse(400, "body", "A WebSocket handshake has no body.")
	refuseWSVersion     = refuse(426, "wrong_websocket_version", "This server speaks version 13 of the WebSocket protocol.", version13)
	refuseKey           = refuse(400, "bad_key", "There must be one Sec-WebSocket-Key field that holds 16 bytes in base64.")
	refuseProtocols     = refuse(400, "bad_subprotocols", "The Sec-WebSocket-Protocol field is malformed.")
	refuseTwice         = refuse(400, "subprotocol_twice", "A subprotocol is offered twice.")
	refuseProtocolCount = refuse(400, "too_many_subprotocols", "More subprotocols are offered than this server allows.")
)
