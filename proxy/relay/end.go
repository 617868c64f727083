package relay

import "time"

// Cause says what ended a session.
type Cause uint8

// The causes, in the order of the life of a session.
const (
	// ClientClosed: the client's Close frame came first.
	ClientClosed Cause = iota + 1
	// UpstreamClosed: the upstream's Close frame came first.
	UpstreamClosed
	// ClientLost: the client's connection ended without a Close frame.
	ClientLost
	// UpstreamLost: the upstream's connection ended without a Close frame.
	UpstreamLost
	// ClientSilent: the client answered no Ping within the ping time-out.
	ClientSilent
	// UpstreamSilent: the upstream answered no Ping within the ping time-out.
	UpstreamSilent
	// ClientStalled: the client took no byte within the write time-out.
	ClientStalled
	// UpstreamStalled: the upstream took no byte within the write time-out.
	UpstreamStalled
	// ClientOffence: the client broke RFC 6455.
	ClientOffence
	// UpstreamOffence: the upstream broke RFC 6455.
	UpstreamOffence
	// Exceeded: the client sent more than [Options.Rate] allows.
	Exceeded
	// Idle: no frame passed within the idle time-out.
	Idle
	// Expired: the session reached its largest age.
	Expired
	// Asked: [Session.Close] or [Relay.CloseAll] asked for the end.
	Asked
	// Aborted: the relay was stopped while the session was open.
	Aborted
)

var causeNames = [...]string{"", "client closed", "upstream closed", "client lost", "upstream lost",
	"client silent", "upstream silent", "client stalled", "upstream stalled",
	"client offence", "upstream offence", "rate exceeded", "idle", "expired", "asked", "aborted"}

// String returns the cause in words, for logs.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "unknown"
}

// UpstreamFault reports whether the upstream is to blame for the end.
func (c Cause) UpstreamFault() bool {
	return c == UpstreamLost || c == UpstreamSilent || c == UpstreamStalled || c == UpstreamOffence
}

// Ours reports whether the end was begun here and not by a peer: Code and Reason
// are our own then.
func (c Cause) Ours() bool { return c == Exceeded || c == Idle || c == Expired || c == Asked }

// End is how a session went.
type End struct {
	Cause Cause
	// Code and Reason are those of the first Close frame, 0 if there was none.
	// A reason from a peer is its bytes as they came.
	Code   uint16
	Reason string
	// Duration is the time since Join.
	Duration time.Duration
	// Client and Upstream count what that side sent.
	Client, Upstream Traffic
	// Slowed is how long the client was held up in all, because it sent more than
	// [Options.Rate] allows.
	Slowed time.Duration
}

// Traffic counts what one side sent: bytes with frame headers, and messages
// whose last frame has begun.
type Traffic struct {
	Bytes, Messages uint64
}
