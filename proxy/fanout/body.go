package fanout

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"unicode/utf8"

	"github.com/pointsman/pointsman/internal/azure"
)

// bodyError is a body that is not taken.
type bodyError struct {
	status int
	text   string
}

// Error tells what is wrong.
func (e *bodyError) Error() string { return e.text }

// readBody reads a body into memory, once, and never more than the limit. length is what the head has promised, below 0 nothing.
func readBody(body io.Reader, length, limit int64) ([]byte, error) {
	if length > limit {
		return nil, &bodyError{http.StatusRequestEntityTooLarge, "the body is too long"}
	}
	if body == nil {
		if length > 0 {
			return nil, &bodyError{http.StatusBadRequest, "the body is shorter than the head says"}
		}
		return nil, nil
	}
	var b []byte
	var err error
	if length >= 0 {
		b = make([]byte, length)
		n, readErr := io.ReadFull(body, b)
		if b, err = b[:n], readErr; err == nil {
			return b, nil
		}
	} else if b, err = io.ReadAll(io.LimitReader(body, limit+1)); err == nil {
		if int64(len(b)) > limit {
			return nil, &bodyError{http.StatusRequestEntityTooLarge, "the body is too long"}
		}
		return b, nil
	}
	if length == 0 && errors.Is(err, io.EOF) {
		return nil, nil
	}
	return nil, &bodyError{http.StatusBadRequest, "the body is shorter than the head says, or cannot be read"}
}

// checkMessage checks what each upstream would have to refuse: better that none gets it. The content type of a message says how it is
// sent on to clients.
func checkMessage(s azure.Service, contentType string, body []byte) error {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = ""
	}
	switch {
	case kind == "text/plain" && s == azure.WebPubSub:
		if !utf8.Valid(body) {
			return &bodyError{http.StatusBadRequest, "the text is not UTF-8"}
		}
	case kind == "application/json":
		if !utf8.Valid(body) || !json.Valid(body) {
			return &bodyError{http.StatusBadRequest, "the body is no JSON"}
		}
	case kind == "application/octet-stream":
	default:
		return &bodyError{http.StatusUnsupportedMediaType, "the content type of a message is none that the service knows"}
	}
	return nil
}
