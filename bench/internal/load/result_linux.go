package load

import "github.com/pointsman/pointsman/bench/internal/latency"

// Result is what a run has measured.
type Result struct {
	// Seconds is the length of the measured interval; for Idle, of the opening.
	Seconds float64 `json:"seconds"`
	// Done counts round trips, or handshakes, that ended well within the interval.
	Done int64 `json:"done"`
	// PerSecond is Done divided by Seconds.
	PerSecond float64 `json:"per_second"`
	// Latency is from the write of a message to the last byte of its echo, or from the connect to the end of a checked
	// 101 answer.
	Latency latency.Summary `json:"latency"`
	// Errors counts what went wrong at any time of the run, warm-up included.
	Errors Errors `json:"errors"`
	// CPUSeconds is what the load's own threads used within the interval.
	CPUSeconds float64 `json:"load_cpu_seconds"`
}

// Errors counts failures by kind.
type Errors struct {
	Connect   int64 `json:"connect"`   // the TCP connection was refused or broke before an answer
	Handshake int64 `json:"handshake"` // an answer other than a correct 101
	Payload   int64 `json:"payload"`   // an echo with a wrong byte, length or frame
	Closed    int64 `json:"closed"`    // an open session was ended by the other side
	Stalled   int64 `json:"stalled"`   // no answer in time
}

// Total is the number of errors of all kinds.
func (e Errors) Total() int64 { return e.Connect + e.Handshake + e.Payload + e.Closed + e.Stalled }

func (e *Errors) add(other Errors) {
	e.Connect += other.Connect
	e.Handshake += other.Handshake
	e.Payload += other.Payload
	e.Closed += other.Closed
	e.Stalled += other.Stalled
}
