package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/proxy/drain"
)

// drillReport is what a drill has shown; --json prints it as it is.
type drillReport struct {
	Upstream   string  `json:"upstream"`
	ForSeconds float64 `json:"for_seconds"` // as asked for
	// Recovered says that the upstream takes its full share of new sessions
	// again, and Home that no session is being led home any more.
	Recovered   bool   `json:"recovered"`
	Home        bool   `json:"home"`
	Interrupted bool   `json:"interrupted"`
	Problem     string `json:"problem"` // why it was not watched to its end

	Phases []drillPhaseRow `json:"phases"`
	// FirstElsewhereMS is null if no other upstream has taken a session.
	FirstElsewhereMS *float64 `json:"start_to_first_session_elsewhere_ms"`
	// Drains are that of the drill, and those that led sessions home.
	Drains []drain.Status `json:"drains"`
}

// drillPhaseRow is one phase, as the router counts.
type drillPhaseRow struct {
	Name       string         `json:"name"`
	Seconds    float64        `json:"seconds"`
	Handshakes demoHandshakes `json:"handshakes"`   // that were answered; failed: with anything but 101
	Opened     map[string]int `json:"new_sessions"` // by upstream
	Open       map[string]int `json:"open_at_end"`  // by upstream
}

// report sums up the drill. end is the error that ended it early, if any.
func (d *drill) report(ctx context.Context, end error) drillReport {
	r := drillReport{
		Upstream: d.name, ForSeconds: d.lasting.Seconds(), Recovered: d.recovered, Home: d.home,
		Interrupted: errors.Is(end, errInterrupted), FirstElsewhereMS: between(d.began, d.first),
	}
	if end != nil {
		r.Problem = end.Error()
	}
	for _, p := range d.phases {
		r.Phases = append(r.Phases, p.row())
	}
	var err error
	if r.Drains, err = d.ours(ctx); err != nil && r.Problem == "" {
		r.Problem = err.Error()
	}
	return r
}

func (p *drillPhase) row() drillPhaseRow {
	answered := func(s *admin.Status) int64 {
		h := &s.Handshakes
		return int64(h.Accepted + h.Refused + h.Abandoned)
	}
	row := drillPhaseRow{
		Name: p.name, Seconds: p.ended.Sub(p.began).Seconds(),
		Handshakes: demoHandshakes{
			Tried:  answered(&p.end) - answered(&p.first),
			Failed: int64(p.end.Handshakes.Refused - p.first.Handshakes.Refused),
		},
		Opened: make(map[string]int), Open: make(map[string]int),
	}
	for _, u := range p.end.Upstreams {
		row.Opened[u.Name] += int(u.Totals.Sessions)
		row.Open[u.Name] += u.Sessions
	}
	for _, u := range p.first.Upstreams {
		row.Opened[u.Name] -= int(u.Totals.Sessions)
	}
	for name, n := range row.Opened {
		row.Opened[name] = max(n, 0) // a reload has brought another one under the name
	}
	return row
}

func (r *drillReport) write(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	_, err := io.WriteString(w, "\n"+r.table())
	return err
}

// table is the report for people.
func (r *drillReport) table() string {
	names := make(map[string]bool)
	var lines []phaseLine
	var all demoHandshakes
	for _, p := range r.Phases {
		for name := range p.Open {
			names[name] = true
		}
		all.Tried += p.Handshakes.Tried
		all.Failed += p.Handshakes.Failed
		lines = append(lines, phaseLine{
			name: p.Name, seconds: p.Seconds, tried: p.Handshakes.Tried, failed: p.Handshakes.Failed, opened: p.Opened, open: p.Open,
		})
	}
	var b strings.Builder
	writePhases(&b, slices.Sorted(maps.Keys(names)), lines, [2]string{})
	fmt.Fprintln(&b)
	line := func(what, value string) { fmt.Fprintf(&b, "%-47s  %s\n", what, value) }
	line("handshakes answered / failed", fmt.Sprintf("%d / %d", all.Tried, all.Failed))
	line("start to first session on another upstream", milliseconds(r.FirstElsewhereMS))
	for i := range r.Drains {
		s := &r.Drains[i]
		line(fmt.Sprintf("drain %s (%v) of %s", s.ID, s.Cause, printable(s.Upstream)), totals(s))
	}
	fmt.Fprintf(&b, "\n%s\n", r.verdict())
	return b.String()
}

// totals says what a drain has done.
func totals(s *drain.Status) string {
	text := fmt.Sprintf("%v: %s gone, %d left", s.State, count(s.Gone, "session"), s.Left+s.Asked-s.Gone)
	if s.State.Final() {
		text += fmt.Sprintf(", took %.1fs", s.Ended.Sub(s.Began).Seconds())
	}
	if s.Why != "" {
		text += "; " + printable(s.Why)
	}
	return text
}

func (r *drillReport) verdict() string {
	switch {
	case r.Problem != "":
		return "NOT FINISHED: " + printable(r.Problem)
	case !r.Home:
		return fmt.Sprintf("%s takes its full share of new sessions again; others are still on their way home", r.Upstream)
	default:
		return fmt.Sprintf("%s takes its full share of new sessions again, and nobody is on the way home any more", r.Upstream)
	}
}
