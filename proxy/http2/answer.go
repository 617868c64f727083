package http2

import (
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// errAnswer is for an answer that is none.
var errAnswer = errors.New("HTTP/2: what was written is not an answer of HTTP/1.1")

// ErrTunnel is for an answer that would open a tunnel where there is none: to
// CONNECT every 2xx does (RFC 9110 §9.3.6), and only a 101 may.
var ErrTunnel = errors.New("HTTP/2: the answer would open a tunnel")

// answer sends an answer of HTTP/1.1. The caller holds mu.
func (s *Stream) answer(p []byte) error {
	fields, body, err := parseAnswer(p)
	if err != nil {
		return err
	}
	status := fields[0].Value
	opens := status == "101"
	switch {
	case opens && !s.connect:
		return errAnswer
	case opens:
		fields[0].Value = "200" // RFC 8441 §5.1
	case s.connect && status[0] == '2':
		return ErrTunnel
	}
	if s.noBody {
		body = nil
	}
	if err := s.awaitRoom(nil); err != nil {
		return err
	}
	if s.answered, s.opened = true, opens; opens {
		s.conn.sessions++
	}
	end := !opens && len(body) == 0
	s.conn.writeHead(s.id, fields, end)
	if !opens && !end {
		if _, err := s.transmit(body); err != nil {
			return err
		}
		_ = s.conn.frames.WriteData(s.id, true, nil)
	}
	s.outEnded = !opens
	s.settle()
	return nil
}

// parseAnswer takes an answer apart: the fields that HTTP/2 knows, the status
// first, and the body. It was written here, so it is not judged any more.
func parseAnswer(p []byte) (fields []hpack.HeaderField, body []byte, err error) {
	head, body, whole := bytes.Cut(p, []byte("\r\n\r\n"))
	line, rest, _ := strings.Cut(string(head), "\r\n")
	const start = "HTTP/1.1 "
	status, ok := strings.CutPrefix(line, start)
	if !whole || !ok || len(status) < 3 {
		return nil, nil, errAnswer
	}
	status = status[:3]
	fields = append(fields, hpack.HeaderField{Name: ":status", Value: status})
	chunked := false
	for rest != "" {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, nil, errAnswer
		}
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		switch name {
		case "connection", "upgrade", "keep-alive", "proxy-connection", "sec-websocket-accept":
			continue // RFC 9113 §8.2.2, RFC 8441 §5
		case "transfer-encoding":
			chunked = true
			continue
		case "content-length":
			if status == "101" {
				continue // RFC 9110 §9.3.6
			}
		}
		// Who can read what is between should not find these in a table.
		fields = append(fields, hpack.HeaderField{Name: name, Value: value, Sensitive: name == "set-cookie"})
	}
	if chunked {
		if body, err = io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(body))); err != nil {
			return nil, nil, errAnswer
		}
	}
	return fields, body, nil
}
