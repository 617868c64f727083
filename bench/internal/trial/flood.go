package trial

import "github.com/pointsman/pointsman/bench/internal/latency"

// Hellos is what sessions notice of clients that let the router compute the answer to
// a hello of TLS, and leave.
type Hellos struct {
	Sessions  int         `json:"sessions"`
	PerSecond float64     `json:"per_second"` // messages of all sessions together
	Size      int         `json:"size"`
	Clients   int         `json:"clients"` // of the flood, at a time
	Floods    []FloodedBy `json:"floods"`
}

// FloodedBy is one candidate in all rounds.
type FloodedBy struct {
	Candidate string       `json:"candidate"` // a name of package peer
	Rounds    []FloodRound `json:"rounds"`
}

// FloodRound is two measurements of the same sessions.
type FloodRound struct {
	Alone  Flooded `json:"alone"`
	Beside Flooded `json:"beside"`
	// Answered is how many hellos were answered in a second, Failed how many clients
	// got no answer at all.
	Answered float64 `json:"answered_per_second"`
	Failed   int64   `json:"failed"`
	Errors   int64   `json:"errors"` // of the sessions
}

// Flooded is one of the two. P50 and P99 are medians over the seconds, in microseconds.
type Flooded struct {
	Latency []latency.Summary `json:"latency_by_second"`
	P50     float64           `json:"p50_us"`
	P99     float64           `json:"p99_us"`
}

func (f *Flooded) sumUp() {
	f.P50, f.P99 = ofSeconds(f.Latency)
}

// P99 is the median over the rounds of the p99 beside the flood, in microseconds, and
// that of the sessions alone.
func (f *FloodedBy) P99() (beside, alone float64) {
	var x, y []float64
	for _, r := range f.Rounds {
		x, y = append(x, r.Beside.P99), append(y, r.Alone.P99)
	}
	return median(x), median(y)
}
