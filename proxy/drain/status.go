package drain

import "time"

// State is how far a drain is.
type State uint8

// The states. The last three are final.
const (
	// Running: sessions are being closed.
	Running State = iota
	// Waiting: their clients would find no place now, or a standing drain has
	// found no session.
	Waiting
	// Paused: somebody asked for it.
	Paused
	// Done: no session is left.
	Done
	// Expired: the deadline has passed.
	Expired
	// Cancelled: somebody asked for the end, or there is no need any more.
	Cancelled
)

var stateNames = []string{"running", "waiting", "paused", "done", "expired", "cancelled"}

// String returns the state as a word.
func (s State) String() string { return word(stateNames, int(s)) }

// MarshalText makes a State a word in JSON. It never fails.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word that String gives.
func (s *State) UnmarshalText(text []byte) error { return read(s, "state", stateNames, text) }

// Final reports whether the drain has ended.
func (s State) Final() bool { return s >= Done }

// Status is a picture of a drain at one moment, for operators.
type Status struct {
	// ID names the drain as long as the process runs.
	ID    string `json:"id"`
	Cause Cause  `json:"cause"`
	// Upstream is the name of the upstream that sessions leave, "" for all.
	Upstream string `json:"upstream"`
	// Selection says in words which sessions shall end.
	Selection string `json:"selection"`
	Order     Order  `json:"order"`
	// Rate is the largest number of closes per second.
	Rate   int    `json:"rate"`
	Code   uint16 `json:"close_code"`
	Reason string `json:"reason"`
	Then   Then   `json:"then"`
	Force  bool   `json:"force"`

	State State `json:"state"`
	// Why says what a waiting drain waits for, or why it was cancelled.
	Why   string    `json:"why,omitempty"`
	Began time.Time `json:"began"`
	// Ended is zero until the state is final.
	Ended time.Time `json:"ended,omitzero"`
	// Deadline is zero without one.
	Deadline time.Time `json:"deadline,omitzero"`
	// Found is how many sessions the drain was to close when it began, Asked how
	// many it has asked to close, Gone how many of these have ended, and Left how
	// many are still to be asked, as last counted.
	Found int `json:"found"`
	Asked int `json:"asked"`
	Gone  int `json:"gone"`
	Left  int `json:"left"`
	// Remaining is how long the rest takes at the rate, in seconds; 0 at the end.
	Remaining float64 `json:"remaining_seconds"`
}
