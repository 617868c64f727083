package trial

import "github.com/pointsman/pointsman/bench/internal/latency"

// Beside is the latency of sessions that are not drained while others are, on their router or on another one, and while none are.
type Beside struct {
	Sessions int           `json:"sessions"`
	Size     int           `json:"size"`
	Drained  int           `json:"drained"` // of each router
	Rate     int           `json:"rate"`
	Rounds   []BesideRound `json:"rounds"`
	// Return says that those who were closed came back through the same router, so that each close was a new handshake, too.
	Return bool `json:"return"`
	// Ratio is the median over the rounds of the p99 with the drain divided by that with the same drain of another router, and Beside
	// that of the p99 with the drain divided by that without one.
	Ratio  float64 `json:"p99_ratio"`
	Beside float64 `json:"p99_ratio_to_quiet"`
	Errors int64   `json:"errors"`
}

// BesideRound is one measurement without a drain, one with a drain of another router, and one with a drain of that of the sessions.
type BesideRound struct {
	Quiet     BesideSample `json:"quiet"`
	Elsewhere BesideSample `json:"elsewhere"`
	Drain     BesideSample `json:"drain"`
}

// BesideSample is one of the three.
type BesideSample struct {
	Latency   latency.Summary `json:"latency"`
	PerSecond float64         `json:"per_second"`
	Seconds   float64         `json:"seconds"`
	Errors    int64           `json:"errors"`
	Closes    int             `json:"closes"`      // of both drains, meanwhile
	Busy      float64         `json:"router_busy"` // processors that the sessions' router used on average
}

// sumUp takes the medians of the rounds' ratios.
func (r *Beside) sumUp() {
	r.Ratio = medianRatio(r.Rounds, func(x BesideRound) (of, to float64) { return x.Drain.Latency.P99, x.Elsewhere.Latency.P99 })
	r.Beside = medianRatio(r.Rounds, func(x BesideRound) (of, to float64) { return x.Drain.Latency.P99, x.Quiet.Latency.P99 })
}
