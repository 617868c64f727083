package drain

import (
	"context"
	"time"
)

// Source tells an [Engine] which sessions there are. Its methods are called
// concurrently, one call per drain at a time.
type Source interface {
	// Sessions returns the open sessions that a plan selects, in any order. Share
	// and Count are not its business. The plan is only to be read, the slice is
	// the caller's. The error is that of ctx.
	Sessions(ctx context.Context, p *Plan) ([]Candidate, error)
	// Expects reports whether sessions that the plan selects may still open, with
	// handshakes that were under way when it began: a drain is not done before.
	Expects(p *Plan) bool
	// After calls f once, d later or soon after that, unless the sessions end before. f
	// does not block.
	After(d time.Duration, f func())
}

// Candidate is a session that a drain may close.
type Candidate struct {
	Session Session
	// Age is the time since it was joined, Idle that since a frame last passed.
	Age, Idle time.Duration
}

// Session is what a drain does with a session. Its methods do not block.
type Session interface {
	// MayLeave reports whether its client would find another place now, one that
	// serves the purpose of a drain with this cause.
	MayLeave(c Cause) bool
	// Leave asks for the end of the session in the name of d, whose [Drain.Said]
	// is called once when it has begun, and whose [Drain.Gone] once when it has
	// come; Leave may do so itself. It returns false, and does nothing, if the
	// session was asked before or has ended.
	Leave(d *Drain, code uint16, reason string) bool
}
