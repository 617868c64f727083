package dataplane

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
)

// MaxBody is the largest body that a call may have, in bytes. It is documented
// for SignalR and assumed for Web PubSub (unverified).
const MaxBody = 1 << 20

// passedOver is how much of a body that is too large is read before the answer,
// in bytes: callers look for an answer only when they have sent everything.
const passedOver = 8 << 20

// Body returns the whole body. The error is a [Problem]: 413 for more than
// [MaxBody], 400 for one that breaks off.
func (c *Call) Body() ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(c.Request.Body, MaxBody+1))
	if err != nil {
		return nil, BadRequest("The body breaks off.")
	}
	if len(body) > MaxBody {
		// Whether it ends or breaks off, the answer is the same.
		_, _ = io.CopyN(io.Discard, c.Request.Body, passedOver)
		return nil, &Problem{http.StatusRequestEntityTooLarge, "RequestTooLarge", "The body is larger than 1 MiB."}
	}
	return body, nil
}

// JSON decodes the body, which must be declared as application/json. The error
// is a [Problem]: 415, 413 or 400.
func (c *Call) JSON(into any) error {
	if c.MediaType() != "application/json" {
		return Unsupported("application/json")
	}
	body, err := c.Body()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return BadRequest("The body is not the JSON that is wanted.")
	}
	return nil
}

// MediaType returns the media type of the body in lower case without
// parameters, "" if it is missing or malformed.
func (c *Call) MediaType() string {
	mediaType, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return ""
	}
	return mediaType
}

// Unsupported returns a 415 that names what is taken.
func Unsupported(taken string) *Problem {
	return &Problem{http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The Content-Type must be " + taken + "."}
}

// Int returns a whole number of the query within bounds, or absent if it is not
// given. The error is a [Problem].
func (c *Call) Int(name string, absent, least, most int) (int, error) {
	values := c.Query[name]
	if len(values) == 0 {
		return absent, nil
	}
	n, err := strconv.Atoi(values[0])
	if err != nil || len(values) > 1 || n < least || n > most {
		return 0, BadRequest("Invalid value of '%s': a whole number from %d to %d.", name, least, most)
	}
	return n, nil
}

// WriteJSON answers 200 with a value.
func WriteJSON(w http.ResponseWriter, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(body) // a caller that left needs no answer
	return nil
}
