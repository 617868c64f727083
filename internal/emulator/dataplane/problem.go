package dataplane

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// ErrorCodeHeader repeats the code of a [Problem] in a header field, where
// answers to HEAD have it too.
const ErrorCodeHeader = "x-ms-error-code"

// A Problem is the answer to a call that was not carried out.
type Problem struct {
	Status  int // 400 to 599
	Code    string
	Message string
}

// Error implements error.
func (p *Problem) Error() string { return fmt.Sprintf("%d %s: %s", p.Status, p.Code, p.Message) }

// BadRequest returns a 400 with the message.
func BadRequest(format string, args ...any) *Problem {
	return &Problem{http.StatusBadRequest, "BadRequest", fmt.Sprintf(format, args...)}
}

// NotFound returns a 404 with the code, such as "Error.Connection.NotExisted".
func NotFound(code, message string) *Problem { return &Problem{http.StatusNotFound, code, message} }

// Write sends the problem in the form that the services publish:
// {"code", "message", "target", "details", "inner"}, of which the emulator
// knows the first two.
func (p *Problem) Write(w http.ResponseWriter) {
	body, err := json.Marshal(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{p.Code, p.Message})
	if err != nil {
		panic("BUG: strings cannot be encoded: " + err.Error())
	}
	h := w.Header()
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	h.Set(ErrorCodeHeader, p.Code)
	h.Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // a caller that left needs no answer
}

// problemOf returns err as an answer.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return &Problem{http.StatusInternalServerError, "InternalServerError", err.Error()}
}
