package main

import (
	"fmt"
	"maps"
	"time"
)

// demoDrainReport is the way home.
type demoDrainReport struct {
	HoldMS float64 `json:"hold_ms"`         // as configured
	Rate   int     `json:"rate_per_second"` // likewise

	Most          int              `json:"most_closes_in_one_second"` // as clients saw them
	SlowestEchoMS float64          `json:"slowest_echo_ms"`           // closes may be seen so late
	Moved         int              `json:"sessions_moved"`
	Cuts          map[string]int64 `json:"sessions_cut"` // by close code, since the restart of the primary
	Home          int64            `json:"landed_on_primary"`
	Astray        int64            `json:"landed_elsewhere"`
	FirstToLastMS *float64         `json:"first_to_last_move_home_ms"` // null if nobody moved
}

// report sums up the moves, and says what was wrong with them.
func (m *demoMoves) report(f demoFailback) (r demoDrainReport, problems []string) {
	most, tooMany := m.mostAsked(f.rate)
	r = demoDrainReport{
		HoldMS: float64(f.hold.Milliseconds()), Rate: f.rate,
		Most: most, SlowestEchoMS: float64(m.slowest.Microseconds()) / 1000,
		Moved: len(m.asked), Cuts: maps.Clone(m.cuts), Home: m.home, Astray: m.astray,
		FirstToLastMS: between(m.firstHome, m.lastHome),
	}
	if tooMany {
		problems = append(problems, fmt.Sprintf("sessions moved in one second: %d, the rate is %d", most, f.rate))
	}
	if m.astray > 0 {
		problems = append(problems, fmt.Sprintf("clients that were to move home landed elsewhere: %d", m.astray))
	}
	if m.lost > 0 {
		problems = append(problems, fmt.Sprintf("sessions ended on the way home without being asked to move: %d", m.lost))
	}
	return r, problems
}

// most says what the clients saw, and why it may be more than the rate.
func (r demoDrainReport) most() string {
	if r.Most <= r.Rate {
		return fmt.Sprint(r.Most)
	}
	return fmt.Sprintf("%d (echoes took up to %.0f ms)", r.Most, r.SlowestEchoMS)
}

// hold says the configured hold.
func (r demoDrainReport) hold() time.Duration {
	return time.Duration(r.HoldMS * float64(time.Millisecond))
}
