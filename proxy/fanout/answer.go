package fanout

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/pointsman/pointsman/internal/azure"
)

// The header fields that tell of a fan-out.
const (
	// ResultField has an object of JSON: for each upstream that the call concerned, the status that it answered, or a word, see
	// [Outcome].
	ResultField = "X-Pointsman-Upstreams"
	// PartialField has the names of those that have not done their part, separated by commas. It is missing if all have.
	PartialField = "X-Pointsman-Partial"
)

// Answer is a whole HTTP answer. Nothing may be added to it but what belongs to the connection.
type Answer struct {
	Status int
	// ContentType is that of Body; "" if there is none.
	ContentType string
	// Fields are the other header fields, name and value.
	Fields [][2]string
	Body   []byte
	// Results are what the upstreams have made of it, in their order; none if none was asked.
	Results []Result
}

const typeJSON = "application/json; charset=utf-8"

// Retry-After is drawn between these, in seconds, so that those who are turned away do not all come back at once.
const (
	retryLeast = 1
	retryMost  = 5
)

// restError is an answer of our own in the form of the REST APIs.
func restError(status int, code, target, message string) Answer {
	e := azure.RESTError{Code: code, Message: message, Target: target}
	a := Answer{Status: status, ContentType: typeJSON, Fields: [][2]string{{azure.ErrorCodeField, code}}, Body: e.JSON()}
	if status == http.StatusServiceUnavailable {
		wait := retryLeast + rand.IntN(retryMost-retryLeast+1)
		a.Fields = append(a.Fields, [2]string{"Retry-After", strconv.Itoa(wait)})
	}
	return a
}

// Refuse is the answer to an error of [Match].
func Refuse(err error) Answer {
	var e *MatchError
	if !errors.As(err, &e) {
		return restError(http.StatusInternalServerError, "InternalServerError", "", "Internal error.")
	}
	a := restError(e.Status, codeOf(e.Status), e.Target, "Invalid request: "+e.text+".")
	if len(e.Allow) > 0 {
		allow := slices.Compact(slices.Sorted(slices.Values(e.Allow)))
		a.Fields = append(a.Fields, [2]string{"Allow", strings.Join(allow, ", ")})
	}
	return a
}

// codeOf is the word for a status: "Not Found" without the blank.
func codeOf(status int) string { return strings.ReplaceAll(http.StatusText(status), " ", "") }

// told is one upstream in the body of an answer.
type told struct {
	Name    string `json:"name"`
	Outcome string `json:"outcome"`
	Status  int    `json:"status,omitempty"`
}

// report is the body that tells of a partial result, and with code and message of a failure.
type report struct {
	Code      string `json:"code,omitempty"`
	Message   string `json:"message,omitempty"`
	Upstreams []told `json:"upstreams"`
}

// reportOf is the body about results.
func reportOf(code, message string, results []Result) []byte {
	r := report{Code: code, Message: message, Upstreams: []told{}}
	for _, one := range results {
		r.Upstreams = append(r.Upstreams, told{one.Upstream, one.Outcome.String(), one.Status})
	}
	text, err := json.Marshal(r)
	if err != nil {
		panic("BUG: a report cannot be encoded: " + err.Error())
	}
	return text
}

// mark adds the fields that tell of results.
func (a *Answer) mark(k Kind, results []Result) (partial bool) {
	var words, missing []string
	for i := range results {
		r := &results[i]
		words = append(words, strconv.Quote(r.Upstream)+":"+r.word())
		// Of a question, those were called off whose answers were not needed.
		if r.verdict(k) == failure && (r.Outcome != CalledOff || k != Exists) {
			missing = append(missing, r.Upstream)
		}
	}
	a.Results = results
	a.Fields = append(a.Fields, [2]string{ResultField, "{" + strings.Join(words, ",") + "}"})
	if len(missing) > 0 {
		a.Fields = append(a.Fields, [2]string{PartialField, strings.Join(missing, ",")})
	}
	return len(missing) > 0
}

// hand hands on the answer of one upstream.
func hand(r *Result) Answer {
	a := Answer{Status: r.Status, Body: r.body}
	for _, f := range r.fields {
		if f[0] == "Content-Type" {
			a.ContentType = f[1]
			continue
		}
		a.Fields = append(a.Fields, f)
	}
	return a
}
