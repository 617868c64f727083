package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/pointsman/pointsman/bench/internal/contest"
)

const direct = "direct"

// Print writes the outcome's table, the ratios to pointsman and what the two ends could have done. The error is the
// writer's.
func Print(w io.Writer, o contest.Outcome) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s: %s; medians\n", o.Experiment, o.Setting)
	switch o.Kind() {
	case "idle":
		idleTable(&b, o)
	case "fanout":
		fanoutTable(&b, o)
	default:
		trafficTable(&b, o)
		if o.Kind() != "trickle" { // where nobody goes as fast as he can
			ratios(&b, o, "rate", perSecond)
			bottleneck(&b, o)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func trafficTable(b *strings.Builder, o contest.Outcome) {
	what := "round trip"
	if o.Kind() == "handshakes" {
		what = "handshake"
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	own := ""
	if o.Secure() {
		own = "load's CPU µs\t"
	}
	fmt.Fprintf(t, "\t%ss/s\tCPU µs per %s\tof it user\t%sp50 µs\tp99 µs\terrors\tbusy: proxy\tload\techo\t\n", what, what, own)
	for _, e := range o.Entries {
		// Without a proxy there is no cost to tell.
		cost, user := "-", "-"
		if e.Name != direct {
			cost = fmt.Sprintf("%.2f", e.Median(cpu))
			user = fmt.Sprintf("%.2f", e.Median(func(s contest.Sample) float64 { return s.User }))
		}
		if own != "" {
			user += fmt.Sprintf("\t%.2f", e.Median(func(s contest.Sample) float64 { return s.LoadCPU }))
		}
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%s\t%.0f\t%.0f\t%d\t%.3f\t%.3f\t%.3f\t\n", e.Name, e.Median(perSecond), cost, user,
			e.Median(p50), e.Median(p99), e.Errors(), e.Median(func(s contest.Sample) float64 { return s.Busy }),
			e.Median(loadBusy), e.Median(echoBusy))
	}
	_ = t.Flush() // a strings.Builder takes everything
	ratios(b, o, "CPU", cpu)
	ratios(b, o, "p99", p99)
}

func loadBusy(s contest.Sample) float64 { return s.LoadBusy }
func echoBusy(s contest.Sample) float64 { return s.EchoBusy }

func idleTable(b *strings.Builder, o contest.Outcome) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tRSS bytes per session\tPSS bytes per session\tRSS MiB before the first\topened/s\terrors\t\n")
	for _, e := range o.Entries {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.1f\t%.0f\t%d\t\n", e.Name, e.Median(rss), e.Median(pss),
			e.Median(func(s contest.Sample) float64 { return s.Empty })/(1<<20), e.Median(perSecond), e.Errors())
	}
	_ = t.Flush() // a strings.Builder takes everything
	ratios(b, o, "RSS", rss)
}

// ratios writes one line that compares pointsman with each peer, or the first peer with the others if there is no
// pointsman.
func ratios(b *strings.Builder, o contest.Outcome, name string, figure func(contest.Sample) float64) {
	var first contest.Entry
	var parts []string
	first, ok := o.Entry(pointsman)
	for _, e := range o.Entries {
		switch {
		case e.Name == direct || e.Name == first.Name:
		case !ok:
			first, ok = e, true
		default:
			parts = append(parts, fmt.Sprintf("%.2f × %s", contest.Ratio(first, e, figure), e.Name))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "%s of %s: %s\n", name, first.Name, strings.Join(parts, ", "))
	}
}

// endLimit is the share of one processor above which one thread at an end may be what limits a figure.
const endLimit = 0.9

// bottleneck says what the load and the echo can do without a proxy, and whether one of them was the limit with one.
func bottleneck(b *strings.Builder, o contest.Outcome) {
	base, ok := o.Entry(direct)
	if !ok {
		return
	}
	var best contest.Entry
	for _, e := range o.Entries {
		if e.Name == direct {
			continue
		}
		if e.Median(perSecond) > best.Median(perSecond) {
			best = e
		}
		if l, c := e.Median(loadBusy), e.Median(echoBusy); max(l, c) > endLimit {
			fmt.Fprintf(b, "warning: with %s the load used %.2f and the echo %.2f of a processor; an end may be the limit\n", e.Name, l, c)
		}
	}
	if best.Name != "" {
		fmt.Fprintf(b, "the ends alone do %.1f times the rate of %s, the fastest proxy\n", base.Median(perSecond)/best.Median(perSecond), best.Name)
	}
}
