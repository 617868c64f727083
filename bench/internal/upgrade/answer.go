package upgrade

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/pointsman/pointsman/bench/internal/frame"
)

var (
	endOfHead  = []byte("\r\n\r\n")
	endOfLine  = []byte("\r\n")
	statusLine = []byte("HTTP/1.1 ")
	switching  = []byte("HTTP/1.1 101 ")
)

// Head cuts the head off an answer, or off a request. rest is what follows the empty line. It is not ok while the head is
// incomplete.
func Head(data []byte) (head, rest []byte, ok bool) {
	return bytes.Cut(data, endOfHead)
}

// Accepted reports whether head is a 101 answer with the right key (RFC 6455 section 4.1, items 1, 2 and 4 of the client's
// list).
func Accepted(head []byte, accept [frame.AcceptSize]byte) bool {
	return bytes.HasPrefix(head, switching) &&
		strings.EqualFold(Field(head, "Upgrade"), "websocket") &&
		Field(head, "Sec-WebSocket-Accept") == string(accept[:])
}

// Status is the status code of an answer, 0 if head is none of HTTP/1.1.
func Status(head []byte) int {
	line, _, _ := bytes.Cut(head, endOfLine)
	line, ok := bytes.CutPrefix(line, statusLine)
	if !ok || len(line) < 3 {
		return 0
	}
	code, err := strconv.Atoi(string(line[:3]))
	if err != nil || code < 100 {
		return 0
	}
	return code
}

// Field is the value of the first field with that name, or "". Names are compared without regard to case.
func Field(head []byte, name string) string {
	for line := range bytes.Lines(head) {
		n, value, found := bytes.Cut(line, []byte(":"))
		if found && len(n) == len(name) && strings.EqualFold(string(n), name) {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}
