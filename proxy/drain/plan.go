package drain

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// Plan says what a drain shall do.
type Plan struct {
	// Cause says who asked for it.
	Cause Cause
	// Selection says which sessions shall end.
	Selection Selection
	// Order is the order in which they end. Default IdleFirst.
	Order Order
	// Rate is the largest number of sessions closed in any second, 1 to MaxRate.
	Rate int
	// Code and Reason stand in the Close frame. Defaults 1012 and "".
	Code   uint16
	Reason string
	// Deadline is how long the drain may take in all; time spent waiting or
	// paused counts. 0 means no limit.
	Deadline time.Duration
	// Then is what happens to the rest at the deadline. Default Leave.
	Then Then
	// Standing keeps the drain waiting for more sessions when none is left, until
	// it is cancelled.
	Standing bool
	// Force closes sessions also when their clients would find no place.
	Force bool
}

// MaxRate is the largest rate of a plan.
const MaxRate = 100_000

// Selection says which sessions shall end. All that is set must hold.
type Selection struct {
	// Upstream is the name of the upstream that they leave; "" means every one.
	Upstream string
	// OlderThan selects sessions of at least that age.
	OlderThan time.Duration
	// Path selects sessions whose client asked for a path that begins with it.
	Path string
	// Client selects sessions of clients in this network, if it is valid.
	Client netip.Prefix
	// SilentFor selects sessions whose upstream has sent no byte for so long.
	SilentFor time.Duration
	// Share is the part of the selected sessions that shall end, above 0 up to
	// 1, rounded up to whole ones; 0 means all. Count is their number; 0 means
	// all. At most one is set.
	Share float64
	Count int
}

// Whole reports whether s means all sessions of its upstream.
func (s Selection) Whole() bool { return s == Selection{Upstream: s.Upstream} }

// quota is the largest number of sessions that shall end, of n that s selects
// but for share and count.
func (s *Selection) quota(n int) int {
	switch {
	case s.Count > 0:
		return s.Count
	case s.Share > 0:
		// 7 % of 100 are 7, although 0.07 * 100 is a little more.
		return min(n, max(1, int(math.Ceil(s.Share*float64(n)-1e-9))))
	default:
		return math.MaxInt
	}
}

// String tells the selection in words, for operators.
func (s Selection) String() string {
	var words []string
	say := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	switch {
	case s.Count == 1:
		say("1 session")
	case s.Count > 0:
		say("%d sessions", s.Count)
	case s.Share > 0 && s.Share < 1:
		say("%.6g%% of the sessions", s.Share*100)
	default:
		say("all sessions")
	}
	if s.Upstream != "" {
		say("of %s", s.Upstream)
	}
	if s.OlderThan > 0 {
		say("older than %v", s.OlderThan)
	}
	if s.Path != "" {
		say("with path %s", s.Path)
	}
	if s.Client.IsValid() {
		say("of clients in %v", s.Client)
	}
	if s.SilentFor > 0 {
		say("whose upstream is silent for %v", s.SilentFor)
	}
	return strings.Join(words, " ")
}

// Check reports every mistake in p, as [Engine.Start] would.
func (p Plan) Check() error {
	_, err := p.check()
	return err
}

// check returns p with its defaults, or every mistake in it.
func (p Plan) check() (Plan, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if p.Code == 0 {
		p.Code = wsframe.CodeServiceRestart
	}
	s := &p.Selection
	switch {
	case s.Share < 0 || s.Share > 1 || s.Share != s.Share:
		bad("share %v is not above 0 and up to 1", s.Share)
	case s.Share == 1:
		s.Share = 0 // all, said in one way only
	}
	if s.Count < 0 {
		bad("count %d is negative", s.Count)
	}
	if s.Share > 0 && s.Count > 0 {
		bad("share and count exclude each other")
	}
	notNegative := func(name string, d time.Duration) {
		if d < 0 {
			bad("%s %v is negative", name, d)
		}
	}
	notNegative("older than", s.OlderThan)
	notNegative("silent for", s.SilentFor)
	notNegative("deadline", p.Deadline)
	if s.Path != "" && s.Path[0] != '/' {
		bad("path %q does not begin with a slash", s.Path)
	}
	switch {
	case s.Client.IsValid():
		s.Client = s.Client.Masked() // the network, said in one way only
	case s.Client != netip.Prefix{}:
		bad("client network %v is not valid", s.Client)
	}
	if p.Rate < 1 || p.Rate > MaxRate {
		bad("rate %d is not between 1 and %d closes per second", p.Rate, MaxRate)
	}
	if !wsframe.CodeAllowed(p.Code) {
		bad("close code %d is not allowed on the wire", p.Code)
	}
	if n := len(p.Reason); n > MaxReason {
		bad("reason has %d bytes, more than %d", n, MaxReason)
	}
	if !utf8.ValidString(p.Reason) {
		bad("reason %q is not UTF-8", p.Reason)
	}
	if p.Cause > Shutdown {
		bad("cause %d is unknown", p.Cause)
	}
	if p.Order > Random {
		bad("order %d is unknown", p.Order)
	}
	if p.Then > CloseRest {
		bad("then %d is unknown", p.Then)
	}
	return p, errors.Join(errs...)
}

// MaxReason is the longest reason of a Close frame, in bytes (RFC 6455 §5.5).
const MaxReason = wsframe.MaxControlPayload - 2

// Cause says who asked for a drain.
type Cause uint8

// The causes.
const (
	Operator Cause = iota // somebody asked
	Failback              // a better upstream is back
	Down                  // the upstream is down and its sessions are silent
	Drill                 // a failover is being practised
	Removed               // a reload took the upstream away
	Shutdown              // the process ends
)

// Order is the order in which sessions are closed.
type Order uint8

// The orders.
const (
	// IdleFirst closes the session first on which no frame has passed for the
	// longest time.
	IdleFirst Order = iota
	// OldestFirst closes the oldest session first.
	OldestFirst
	// Random closes them in random order.
	Random
)

// Then says what happens to the sessions that are left at a deadline.
type Then uint8

const (
	// Leave lets them be.
	Leave Then = iota
	// CloseRest closes all of them at once.
	CloseRest
)

var (
	causeNames = []string{"operator", "failback", "down", "drill", "removed", "shutdown"}
	orderNames = []string{"idle-first", "oldest-first", "random"}
	thenNames  = []string{"leave", "close"}
)

// String returns the cause as a word.
func (c Cause) String() string { return word(causeNames, int(c)) }

// String returns "idle-first", "oldest-first" or "random".
func (o Order) String() string { return word(orderNames, int(o)) }

// String returns "leave" or "close".
func (t Then) String() string { return word(thenNames, int(t)) }

// MarshalText makes a Cause a word in JSON. It never fails.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// MarshalText makes an Order a word in JSON. It never fails.
func (o Order) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// MarshalText makes a Then a word in JSON. It never fails.
func (t Then) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the word that String gives.
func (o *Order) UnmarshalText(text []byte) error { return read(o, "order", orderNames, text) }

// UnmarshalText reads the word that String gives.
func (t *Then) UnmarshalText(text []byte) error { return read(t, "then", thenNames, text) }

// UnmarshalText reads the word that String gives.
func (c *Cause) UnmarshalText(text []byte) error { return read(c, "cause", causeNames, text) }

var (
	_ encoding.TextUnmarshaler = (*Order)(nil)
	_ encoding.TextUnmarshaler = (*Then)(nil)
)

func word(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}

func read[T ~uint8](into *T, what string, names []string, text []byte) error {
	for i, name := range names {
		if name == string(text) {
			*into = T(i)
			return nil
		}
	}
	return fmt.Errorf("%s %q is not one of %s", what, text, strings.Join(names, ", "))
}
