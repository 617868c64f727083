package azure

import (
	"bytes"
	"encoding/json"
)

// ErrorCodeField is the header field in which the REST APIs repeat the code of an error.
const ErrorCodeField = "x-ms-error-code"

// RESTError is the body of an answer of the REST APIs other than success.
type RESTError struct {
	// Code is a word for programs, such as "BadRequest".
	Code string `json:"code"`
	// Message is a sentence for people. It must hold no secret.
	Message string `json:"message"`
	// Target is the part of the request that is at fault, "" if that says nothing.
	Target string `json:"target,omitempty"`
	// Details are errors that have led to this one.
	Details []RESTError `json:"details,omitempty"`
}

// JSON returns the body. Its content type is application/json.
func (e RESTError) JSON() []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); err != nil {
		panic("BUG: an error cannot be encoded: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
