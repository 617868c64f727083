package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// phaseLine is one line of a table of phases.
type phaseLine struct {
	name          string
	seconds       float64
	tried, failed int64
	opened, open  map[string]int // by upstream
	remark        string
}

// writePhases writes a table with one line per phase: where new sessions went,
// and where sessions were at its end. heads stands over the remarks, in two
// lines; there is no such column if both are empty.
func writePhases(b *strings.Builder, upstreams []string, lines []phaseLine, heads [2]string) {
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(remark string, cells ...any) {
		if heads != [2]string{} {
			cells = append(cells, remark)
		}
		for _, c := range cells {
			fmt.Fprintf(tw, "%v\t", c)
		}
		fmt.Fprintln(tw)
	}
	above := []any{"", "", "", ""}
	head := []any{"phase", "length", "handshakes", "failed"}
	for _, what := range []string{"new on", "open on"} {
		for _, u := range upstreams {
			above, head = append(above, what), append(head, u)
		}
	}
	row(heads[0], above...)
	row(heads[1], head...)
	for _, l := range lines {
		cells := []any{l.name, fmt.Sprintf("%.1fs", l.seconds), l.tried, l.failed}
		for _, u := range upstreams {
			cells = append(cells, l.opened[u])
		}
		for _, u := range upstreams {
			cells = append(cells, l.open[u])
		}
		row(l.remark, cells...)
	}
	// A strings.Builder takes every write.
	_ = tw.Flush()
}
