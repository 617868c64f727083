package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/pointsman/pointsman/proxy/fanout"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

// reply is a whole answer to a plain request.
type reply struct {
	status int
	kind   string // content type, "" if there is no body
	fields [][2]string
	body   []byte
}

func negotiated(a negotiate.Answer) reply { return reply{a.Status, a.ContentType, a.Fields, a.Body} }
func fannedOut(a fanout.Answer) reply     { return reply{a.Status, a.ContentType, a.Fields, a.Body} }

// notAllowed is the answer to another method.
func notAllowed(allow string) reply {
	return reply{status: http.StatusMethodNotAllowed, fields: [][2]string{{"Allow", allow}}}
}

// append appends the bytes for the client. Fields whose values cannot stand in a
// head are left out.
func (r *reply) append(dst, method []byte, keep bool) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.status), 10)
	dst = append(append(dst, ' '), http.StatusText(r.status)...)
	if keep {
		dst = append(dst, "\r\nConnection: keep-alive"...)
	} else {
		dst = append(dst, "\r\nConnection: close"...)
	}
	if r.kind != "" && clean(r.kind) {
		dst = append(append(dst, "\r\nContent-Type: "...), r.kind...)
	}
	for _, f := range r.fields {
		if clean(f[1]) {
			dst = append(append(append(append(dst, "\r\n"...), f[0]...), ": "...), f[1]...)
		}
	}
	if r.status != http.StatusNoContent && r.status != http.StatusNotModified {
		dst = append(dst, "\r\nContent-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(r.body)), 10)
	}
	dst = append(dst, "\r\n\r\n"...)
	if string(method) == http.MethodHead || r.status == http.StatusNoContent || r.status == http.StatusNotModified {
		return dst
	}
	return append(dst, r.body...)
}

// clean reports whether a value can stand in a head.
func clean(value string) bool {
	return !strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}
