package failover

import (
	"time"

	"github.com/pointsman/pointsman/bench/internal/latency"
)

// Fault is what happens to the primary.
type Fault string

// The faults.
const (
	Kill Fault = "kill" // SIGKILL: connections are refused at once
	Stop Fault = "stop" // SIGSTOP: connections are accepted by the kernel and never answered
)

// Health is the part of pointsman's health settings that decides how soon a dead upstream is known to be dead.
type Health struct {
	Interval time.Duration `json:"interval_ns"`
	Recheck  time.Duration `json:"recheck_ns"`
	Timeout  time.Duration `json:"timeout_ns"`
	Jitter   float64       `json:"jitter"` // share of the two intervals
	Fall     int           `json:"fall"`
}

// Detection is the longest time from a fault until probes alone have found it: the interval in which it happened, then
// fall probes that time out, a recheck interval apart; with the jitter at its worst.
func (h Health) Detection() time.Duration {
	waits := h.Interval + time.Duration(h.Fall)*h.Recheck
	return time.Duration(float64(waits)*(1+h.Jitter)) + time.Duration(h.Fall)*h.Timeout
}

// Result is what the clients of one trial have seen. Times are in milliseconds.
type Result struct {
	Fault  Fault  `json:"fault"`
	Health Health `json:"health"`
	// Detection is Health.Detection; a session that begins later after the fault is "late".
	Detection float64 `json:"detection_ms"`

	Tried      int `json:"tried"`
	Failed     int `json:"failed"` // handshakes without a 101
	Late       int `json:"late"`
	LateFailed int `json:"late_failed"`
	// Cut counts sessions that were opened and got no echo, most likely because they were on the primary when it went.
	Cut int `json:"cut"`
	// FirstFailure is the error of the first failed handshake, and FirstCut that of the first session without an echo.
	FirstFailure string `json:"first_failure,omitempty"`
	FirstCut     string `json:"first_cut,omitempty"`

	// FirstOnSecondary is from the fault to the first 101 of a session that began after it and got its echo; it is
	// negative if there was none.
	FirstOnSecondary float64 `json:"first_on_secondary_ms"`
	P50              float64 `json:"p50_ms"`
	P99              float64 `json:"p99_ms"`
	Slowest          float64 `json:"slowest_ms"`
	SlowestLate      float64 `json:"slowest_late_ms"`
	// SecondarySessions is pointsman's own count of the sessions it led to the secondary.
	SecondarySessions int `json:"secondary_sessions"`
}

// attempt is one session of a client.
type attempt struct {
	begun time.Duration // since the trial began
	took  time.Duration // the handshake
	err   error         // of the handshake
	cut   error         // of the exchange after it
}

// tally sums up the attempts; fault is when the fault happened, since the trial began.
func (r *Result) tally(attempts []attempt, fault time.Duration) {
	r.Tried = len(attempts)
	r.FirstOnSecondary = -1
	h := latency.New()
	for _, a := range attempts {
		late := a.begun > fault+r.Health.Detection()
		if late {
			r.Late++
			r.SlowestLate = max(r.SlowestLate, milliseconds(a.took))
		}
		h.Record(a.took)
		switch {
		case a.err != nil:
			r.Failed++
			if late {
				r.LateFailed++
			}
			if r.FirstFailure == "" {
				r.FirstFailure = a.err.Error()
			}
		case a.cut != nil:
			r.Cut++
			if r.FirstCut == "" {
				r.FirstCut = a.cut.Error()
			}
		case a.begun > fault:
			// The primary can no longer echo, so whoever did is the secondary.
			if t := milliseconds(a.begun + a.took - fault); r.FirstOnSecondary < 0 || t < r.FirstOnSecondary {
				r.FirstOnSecondary = t
			}
		}
	}
	sum := h.Summary()
	r.P50, r.P99, r.Slowest = sum.P50/1e3, sum.P99/1e3, sum.Max/1e3
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
