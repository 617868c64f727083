package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// demoReport is what the demo found out; --json prints it as it is.
type demoReport struct {
	Passed   bool     `json:"passed"`
	Problems []string `json:"problems"` // why it did not pass
	Errors   []string `json:"errors"`   // the first few handshake and message errors

	Clients    int              `json:"clients"`
	Handshakes demoHandshakes   `json:"handshakes"`
	Phases     []demoPhaseRow   `json:"phases"`
	Messages   demoMessages     `json:"messages"`
	Cuts       map[string]int64 `json:"sessions_cut"` // by close code; 1006 = no Close frame

	// Times in milliseconds, null for what did not happen.
	FirstOnSecondaryMS *float64 `json:"kill_to_first_session_on_secondary_ms"`
	AllServedMS        *float64 `json:"kill_to_every_client_served_ms"`
	FirstBackMS        *float64 `json:"restart_to_first_session_on_primary_ms"` // hold included

	Drain demoDrainReport `json:"drain"`
}

// demoHandshakes count client handshakes, those of visitors included.
type demoHandshakes struct {
	Tried  int64 `json:"tried"`
	Failed int64 `json:"failed"`
}

// demoMessages count messages by what became of them.
type demoMessages struct {
	Echoed     int64 `json:"echoed"`
	Mismatched int64 `json:"mismatched"`
	Stalled    int64 `json:"stalled"`            // no echo in time on an open session
	InFlight   int64 `json:"in_flight_when_cut"` // their session was cut before the echo
}

// demoPhaseRow is one act.
type demoPhaseRow struct {
	Name       string         `json:"name"`
	Seconds    float64        `json:"seconds"`
	Handshakes demoHandshakes `json:"handshakes"`
	Opened     map[string]int `json:"new_sessions"`       // by upstream
	Open       map[string]int `json:"open_at_end"`        // by upstream, as the clients count
	Router     map[string]int `json:"router_open_at_end"` // as the router counts, null if it was not asked
	Agree      bool           `json:"agree"`              // whether both counts were the same
}

// report sums up the tally. end is the error that ended the story early, nil if
// it was told to its end.
func (t *demoTally) report(end error) demoReport {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.endLocked(time.Now())
	r := demoReport{
		Problems: []string{},
		Errors:   append([]string{}, t.errors...),
		Clients:  len(t.served),
		Messages: demoMessages{Echoed: t.echoed, Mismatched: t.mismatched, Stalled: t.stalled, InFlight: t.inFlight},
		Cuts:     maps.Clone(t.cuts),

		FirstOnSecondaryMS: between(t.killedAt, t.firstElsewhereAt),
		AllServedMS:        between(t.killedAt, t.allServedAt),
		FirstBackMS:        between(t.moves.since, t.firstBackAt),
	}
	for _, p := range t.phases {
		r.Handshakes.Tried += p.tried
		r.Handshakes.Failed += p.failed
		r.Phases = append(r.Phases, demoPhaseRow{
			Name:       p.name,
			Seconds:    p.ended.Sub(p.began).Seconds(),
			Handshakes: demoHandshakes{Tried: p.tried, Failed: p.failed},
			Opened:     maps.Clone(p.opened),
			Open:       maps.Clone(p.open),
			Router:     maps.Clone(p.router),
			Agree:      p.router != nil && sameSessions(p.open, p.router),
		})
	}
	if end != nil {
		r.Problems = append(r.Problems, end.Error())
	}
	for _, bad := range []struct {
		n    int64
		what string
	}{
		{r.Handshakes.Failed, "client handshakes failed"},
		{r.Messages.Mismatched, "messages came back wrong"},
		{r.Messages.Stalled, "messages had no echo in time"},
	} {
		if bad.n > 0 {
			r.Problems = append(r.Problems, fmt.Sprintf("%s: %d", bad.what, bad.n))
		}
	}
	var problems []string
	r.Drain, problems = t.moves.report(t.failback)
	r.Problems = append(r.Problems, problems...)
	r.Passed = len(r.Problems) == 0
	return r
}

// between returns the milliseconds from a to b, nil unless both happened.
func between(a, b time.Time) *float64 {
	if a.IsZero() || b.IsZero() {
		return nil
	}
	ms := float64(b.Sub(a).Microseconds()) / 1000
	return &ms
}

func (r demoReport) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// writeTable writes the report for people.
func (r demoReport) writeTable(w io.Writer) error {
	var b strings.Builder
	r.tablePhases(&b)
	fmt.Fprintln(&b)
	r.tableTotals(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// tablePhases writes one line per act: where new sessions went, and where
// sessions were at its end.
func (r demoReport) tablePhases(b *strings.Builder) {
	upstreams := r.upstreams()
	var lines []phaseLine
	for _, p := range r.Phases {
		lines = append(lines, phaseLine{
			name: p.Name, seconds: p.Seconds, tried: p.Handshakes.Tried, failed: p.Handshakes.Failed,
			opened: p.Opened, open: p.Open, remark: p.agreement(upstreams),
		})
	}
	writePhases(b, upstreams, lines, [2]string{"router", "agrees"})
}

// agreement says whether the router counted as the clients did.
func (p demoPhaseRow) agreement(upstreams []string) string {
	switch {
	case p.Router == nil:
		return "not asked"
	case p.Agree:
		return "yes"
	}
	var counts []string
	for _, u := range upstreams {
		counts = append(counts, fmt.Sprint(p.Router[u]))
	}
	return "no: " + strings.Join(counts, ", ")
}

// upstreams names all upstreams that had a session, and always our two.
func (r demoReport) upstreams() []string {
	names := map[string]bool{demoPrimary: true, demoSecondary: true}
	for _, p := range r.Phases {
		for u := range p.Opened {
			names[u] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// tableTotals writes the figures of the whole run and the verdict.
func (r demoReport) tableTotals(b *strings.Builder) {
	line := func(what, value string) { fmt.Fprintf(b, "%-47s  %s\n", what, value) }
	line("clients", fmt.Sprint(r.Clients))
	line("handshakes tried / failed", fmt.Sprintf("%d / %d", r.Handshakes.Tried, r.Handshakes.Failed))
	line("kill to first session on "+demoSecondary, milliseconds(r.FirstOnSecondaryMS))
	line("kill until every client is served again", milliseconds(r.AllServedMS))
	line("restart to first new session on "+demoPrimary, r.firstBack())
	line("drain rate, closes per second", fmt.Sprint(r.Drain.Rate))
	line("most closes that clients saw in any one second", r.Drain.most())
	line("sessions moved, by close code", codes(r.Drain.Cuts))
	line("clients moved to "+demoPrimary+" / elsewhere", fmt.Sprintf("%d / %d", r.Drain.Home, r.Drain.Astray))
	line("first to last move home", milliseconds(r.Drain.FirstToLastMS))
	line("messages echoed / mismatched / stalled",
		fmt.Sprintf("%d / %d / %d", r.Messages.Echoed, r.Messages.Mismatched, r.Messages.Stalled))
	line("messages in flight when their session was cut", fmt.Sprint(r.Messages.InFlight))
	line("sessions cut, by close code", codes(r.Cuts))
	for _, e := range r.Errors {
		line("error", e)
	}
	verdict := "passed: no handshake failed, no message was wrong, everybody is home"
	if !r.Passed {
		verdict = "FAILED: " + strings.Join(r.Problems, "; ")
	}
	fmt.Fprintf(b, "\n%s\n", verdict)
}

// codes tells how many sessions ended with each close code.
func codes(cuts map[string]int64) string {
	if len(cuts) == 0 {
		return "none"
	}
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(cuts)) {
		part := fmt.Sprintf("%s: %d", code, cuts[code])
		if code == "1006" {
			part += " (TCP ended without a Close frame)"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func (r demoReport) firstBack() string {
	if r.FirstBackMS == nil {
		return milliseconds(nil)
	}
	return fmt.Sprintf("%s, hold of %s included", milliseconds(r.FirstBackMS), r.Drain.hold())
}

func milliseconds(ms *float64) string {
	if ms == nil {
		return "did not happen"
	}
	return fmt.Sprintf("%.0f ms", *ms)
}
