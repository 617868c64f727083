package negotiate

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/pointsman/pointsman/internal/azure"
)

// Answer is a whole HTTP answer. Nothing may be added to it but what belongs to the connection. It holds tokens: do not log it.
type Answer struct {
	Status int
	// ContentType is that of Body; "" if there is none.
	ContentType string
	// Fields are the other header fields, name and value.
	Fields [][2]string
	Body   []byte
	// Upstream is the name of the upstream that was picked, "" if none was; for logs.
	Upstream string
}

const (
	typeJSON = "application/json; charset=utf-8"
	typeText = "text/plain; charset=utf-8"
)

// Retry-After is drawn between these, in seconds, so that those who are turned away do not all come back at once.
const (
	retryLeast = 1
	retryMost  = 5
)

// Refusal is an error with which [Options.Pick] says what the client shall be told, such as 400 "Invalid request" of a router that
// demands a parameter.
type Refusal struct {
	Status int // 400 to 599
	Text   string
}

// Refuse makes a [Refusal].
func Refuse(status int, text string) error {
	r := new(Refusal)
	r.Status, r.Text = status, text
	return r
}

// Error returns the text.
func (r *Refusal) Error() string { return r.Text }

// text is an answer in words.
func text(status int, words string, fields ...[2]string) Answer {
	return Answer{Status: status, ContentType: typeText, Fields: fields, Body: []byte(words)}
}

// encoded is an answer in JSON. It holds what is secret or soon wrong, so nobody may keep it.
func encoded(status int, value any) Answer {
	return Answer{Status: status, ContentType: typeJSON, Fields: [][2]string{{"Cache-Control", "no-store"}}, Body: encode(value)}
}

// encode leaves "&" in URLs as it is.
func encode(value any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic("BUG: an answer cannot be encoded: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// restError is an answer as the REST APIs give it.
func restError(status int, code, target, message string) Answer {
	e := azure.RESTError{Code: code, Message: message, Target: target}
	return Answer{Status: status, ContentType: typeJSON, Fields: [][2]string{{azure.ErrorCodeField, code}}, Body: e.JSON()}
}

// unauthorized is the same for every reason, so that nobody learns from it how far he has come.
func unauthorized() Answer {
	return text(http.StatusUnauthorized, "Unauthorized", [2]string{"WWW-Authenticate", "Bearer"})
}

// notAllowed is the answer to another method.
func notAllowed(allow string) Answer {
	return text(http.StatusMethodNotAllowed, "Method not allowed", [2]string{"Allow", allow})
}

func unavailable() Answer {
	wait := retryLeast + rand.IntN(retryMost-retryLeast+1)
	return text(http.StatusServiceUnavailable, "No upstream is available now, please try again later.",
		[2]string{"Retry-After", strconv.Itoa(wait)})
}

// badQuery is the answer to a query that cannot be read.
func badQuery(err error) Answer {
	if err == errQueryLong {
		return text(http.StatusRequestURITooLong, "Invalid request: "+err.Error())
	}
	return text(http.StatusBadRequest, "Invalid request: "+err.Error())
}

// Gone is the answer to a request with the connection token of an upstream that is not there any more: the 404 that SignalR servers
// give for an id they do not know. Clients with automatic or stateful reconnect then negotiate afresh.
func Gone() Answer { return text(http.StatusNotFound, "No Connection with that ID") }
