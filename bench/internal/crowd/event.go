package crowd

import "time"

// Kind is what happened to a client.
type Kind uint8

// The kinds.
const (
	Opened  Kind = iota + 1 // a correct 101 came
	Closed                  // a Close frame came
	Lost                    // the connection ended without a Close frame
	Refused                 // an answer other than a correct 101 came
	Failed                  // no answer came: the connection broke, or it took too long
	Broken                  // a wrong echo, an invalid frame, or one after a Close frame
	Stalled                 // no echo came in time
)

var kindNames = [...]string{"", "opened", "closed", "lost", "refused", "failed", "broken", "stalled"}

// String is the kind as a word.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Event is one thing that happened to one client.
type Event struct {
	// At is when it came to the client, since the crowd began: for Opened, Closed and Refused the moment at which the
	// kernel received it, so that a client that has to wait for its turn does not make what it sees come later.
	At time.Duration
	// Client is its number, from 0.
	Client int
	Kind   Kind
	// Where is the upstream of the session, by its own word; empty if it gave none, or there was no session.
	Where string
	// Took is from the connect to the answer. Opened and Refused only.
	Took time.Duration
	// Code is the close code of Closed, 1005 if the frame had none, and the status of Refused.
	Code int
	// Reason is that of the Close frame, the Retry-After of Refused, and the cause of everything else.
	Reason string
	// Pending is set if a message of the session had not come back. Closed and Lost only.
	Pending bool
	// Partial is set if the end came inside of a frame. Lost only.
	Partial bool
}

// Tally is how a crowd stands.
type Tally struct {
	// Open is how many sessions are open now; At is how many of these on each upstream.
	Open int
	At   map[string]int
	// Of counts the events of each kind.
	Of map[Kind]int
}

func newTally() Tally { return Tally{At: make(map[string]int), Of: make(map[Kind]int)} }

// add counts e. open says whether the client had a session.
func (t *Tally) add(e Event, open bool) {
	t.Of[e.Kind]++
	switch {
	case e.Kind == Opened:
		t.Open++
		t.At[e.Where]++
	case open:
		t.Open--
		t.At[e.Where]--
	}
}

// Active reports whether client i of n is one of the active ones that are spread evenly over all.
func Active(i, active, n int) bool { return (i+1)*active/n > i*active/n }
