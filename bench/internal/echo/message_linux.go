package echo

import (
	"bytes"
	"fmt"

	"github.com/pointsman/pointsman/bench/internal/frame"
)

const (
	maxMessage = 16 << 20
	maxRequest = 16 << 10
)

// frames turns every whole client frame at the front of data into its answer, in place: a server's header is four bytes
// shorter, so the first payload stays where it is and later ones move towards the front. It returns the answers as one
// slice of data, how much of data they used, and how long data must become before the next call can do more. It is not
// ok if a frame breaks RFC 6455 or the size limit.
func (l *loop) frames(c *conn, data []byte) (answer []byte, used, need int, ok bool) {
	start, end := 0, 0
	for !c.closing {
		h, size, err := frame.Parse(data[used:])
		if err != nil {
			return nil, 0, 0, false
		}
		if size == 0 {
			need = minBuffer
			break
		}
		total := size + h.Length
		if !h.Masked || h.Length > maxMessage {
			return nil, 0, 0, false
		}
		if len(data)-used < total {
			need = total
			break
		}
		payload := data[used+size : used+total]
		switch h.Opcode {
		case frame.Pong:
			used += total
			continue
		case frame.Ping:
			h.Opcode = frame.Pong
		case frame.Close:
			c.closing = true
		}
		key := h.Key
		h.Masked, h.Key = false, [4]byte{}
		if start == end {
			start, end = used+4, used+4
		}
		end += frame.Put(data[end:], h)
		frame.Mask(data[end:], payload, key)
		end += h.Length
		used += total
	}
	return data[start:end], used, need, true
}

var (
	endOfHead   = []byte("\r\n\r\n")
	switching   = []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	healthy     = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n")
	notFound    = []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
	counted     = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n")
	healthPath  = []byte("/api/health")
	countPath   = []byte("/api/sessions")
	keyName     = []byte("Sec-WebSocket-Key")
	upgradeName = []byte("Upgrade")
	connection  = []byte("Connection")
)

// NameHeader is the field of a 101 answer that says who gave it, if the server has a name.
const NameHeader = "X-Upstream"

// request answers the HTTP request at the front of data: a WebSocket handshake on any path, the health check, or the number of
// open sessions. Nothing is used while the request is incomplete. It is not ok if the request is too large.
func (l *loop) request(c *conn, data []byte) (answer []byte, used int, ok bool) {
	end := bytes.Index(data, endOfHead)
	if end < 0 {
		return nil, 0, len(data) < maxRequest
	}
	head := data[:end]
	used = end + len(endOfHead)
	line, fields, _ := bytes.Cut(head, endOfHead[:2])
	method, line, _ := bytes.Cut(line, []byte(" "))
	path, _, _ := bytes.Cut(line, []byte(" "))
	if string(method) != "GET" {
		c.closing = true
		return notFound, used, true
	}
	if key := field(fields, keyName); len(key) > 0 && bytes.EqualFold(field(fields, upgradeName), []byte("websocket")) {
		c.open = true
		l.shared.open.Add(1)
		accept := frame.Accept(key)
		answer = make([]byte, 0, 192+len(l.shared.name))
		answer = append(answer, switching...)
		answer = append(answer, accept[:]...)
		if l.shared.name != "" {
			answer = append(answer, "\r\n"+NameHeader+": "...)
			answer = append(answer, l.shared.name...)
		}
		return append(answer, endOfHead...), used, true
	}
	switch {
	case bytes.Equal(path, healthPath):
		c.closing = bytes.EqualFold(field(fields, connection), []byte("close"))
		return healthy, used, true
	case bytes.Equal(path, countPath):
		c.closing = true
		return fmt.Appendf(nil, "%s%d\n", counted, l.shared.open.Load()), used, true
	}
	c.closing = true
	return notFound, used, true
}

// field returns the value of the first header field with that name, or nil.
func field(fields, name []byte) []byte {
	for line := range bytes.Lines(fields) {
		n, value, found := bytes.Cut(line, []byte(":"))
		if found && bytes.EqualFold(n, name) {
			return bytes.TrimSpace(value)
		}
	}
	return nil
}
