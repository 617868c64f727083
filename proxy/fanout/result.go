package fanout

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strconv"
)

// Outcome is what became of a call at one upstream.
type Outcome uint8

// The outcomes.
const (
	// Answered: there is an answer, see [Result.Status].
	Answered Outcome = iota
	// Offline: it was not asked, because it is not healthy.
	Offline
	// Unreachable: nothing of the call has left, also because it was not reached in time.
	Unreachable
	// TimedOut: the time was up. Whether it has done the call is not known.
	TimedOut
	// Lost: the connection broke. Whether it has done the call is not known.
	Lost
	// BadAnswer: what it sent is no answer to the call. Whether it has done it is not known.
	BadAnswer
	// CalledOff: somebody else has answered the question, or this process ends.
	CalledOff
)

var outcomeNames = []string{"answered", "offline", "unreachable", "timeout", "lost", "bad-answer", "called-off"}

// String returns the outcome as a word.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}

// Result is what one upstream has made of a call.
type Result struct {
	Upstream string
	Outcome  Outcome
	Status   int // of its answer, 0 if there is none

	body   []byte
	fields [][2]string // of its answer, those that are handed on
	err    error       // why there is no answer; nil if there is one
}

// word is what [ResultField] says of it.
func (r *Result) word() string {
	if r.Outcome == Answered {
		return strconv.Itoa(r.Status)
	}
	return strconv.Quote(r.Outcome.String())
}

// verdict is what an answer means for a call.
type verdict uint8

const (
	yes verdict = iota
	no
	failure
)

// verdict judges a result of a call of this kind.
func (r *Result) verdict(k Kind) verdict {
	switch {
	case r.Outcome != Answered:
		return failure
	case r.Status >= 200 && r.Status <= 299:
		return yes
	case r.Status == http.StatusNotFound && k != Broadcast && k != List:
		return no
	default:
		return failure
	}
}

// fail notes why there is no answer.
func (r *Result) fail(ctx context.Context, err error) {
	r.err = err
	var failed *callError
	errors.As(err, &failed)
	switch {
	case errors.Is(context.Cause(ctx), context.Canceled) || errors.Is(context.Cause(ctx), errEnough):
		r.Outcome = CalledOff
	case failed == nil || failed.stage == unsent:
		r.Outcome = Unreachable
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded):
		r.Outcome = TimedOut
	case failed.stage == broken:
		r.Outcome = BadAnswer
	default:
		r.Outcome = Lost
	}
}

// errEnough calls off the questions whose answers are not needed any more.
var errEnough = errors.New("answered by another upstream")
