package report

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/pointsman/pointsman/bench/internal/contest"
)

func fanoutTable(b *strings.Builder, o contest.Outcome) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tmessages/s\tCPU µs per message\tof it user\tper upstream call\tp50 µs\tp99 µs\terrors\tbusy: router\tcallers\tupstreams\t\n")
	for _, e := range o.Entries {
		cost, user, each := "-", "-", "-" // without the router
		if e.Name == pointsman {
			cost = fmt.Sprintf("%.1f", e.Median(cpu))
			user = fmt.Sprintf("%.1f", e.Median(func(s contest.Sample) float64 { return s.User }))
			each = fmt.Sprintf("%.1f", e.Median(cpu)/contest.FanoutUpstreams)
		}
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%s\t%s\t%.0f\t%.0f\t%d\t%.2f\t%.2f\t%.2f\t\n", e.Name, e.Median(perSecond), cost, user, each,
			e.Median(p50), e.Median(p99), e.Errors(), e.Median(func(s contest.Sample) float64 { return s.Busy }), e.Median(loadBusy), e.Median(echoBusy))
	}
	_ = t.Flush() // a strings.Builder takes everything
	ratios(b, o, "rate", perSecond)
	ratios(b, o, "p50", p50)
	ratios(b, o, "p99", p99)
	fanoutEnds(b, o)
}

// fanoutEnds says whether an upstream was the limit: what each has to do behind the router, and what one can do.
func fanoutEnds(b *strings.Builder, o contest.Outcome) {
	all, ok := o.Entry(pointsman)
	one, direct := o.Entry(contest.OneCall)
	if !ok || !direct {
		return
	}
	share := all.Median(echoBusy) / contest.FanoutUpstreams
	fmt.Fprintf(b, "each upstream used %.2f of a processor behind pointsman; called directly, one takes %.1f times the messages\n",
		share, contest.Ratio(one, all, perSecond))
	if share > endLimit {
		fmt.Fprintf(b, "warning: an upstream may be the limit\n")
	}
}

// judgeFanout returns the verdict on a fan-out: it is about what is right, in every way that was measured, and not about how fast that is.
func judgeFanout(o contest.Outcome) Verdict {
	v := Verdict{Claim: fmt.Sprintf("fanout, %d at a time: each message is answered with 202, whole, and reaches all %d upstreams exactly once", o.Callers, contest.FanoutUpstreams)}
	entries, missing := needed(o, pointsman, contest.OneCall)
	if missing != "" {
		v.Finding = missing
		return v
	}
	var calls, errors int64
	first := ""
	for _, e := range o.Entries {
		errors += e.Errors()
		for _, s := range e.Samples {
			if e.Name == pointsman {
				calls += s.Calls
			}
			if first == "" && s.First != "" {
				first = e.Name + ": " + s.First
			}
		}
	}
	v.Judged, v.Holds = true, calls > 0 && errors == 0
	v.Finding = fmt.Sprintf("%d messages, %d errors in all ways%s; %.2f times the rate of one direct call and %.2f times its p99, which nobody promises", calls, errors,
		prefixed("; first: ", first), contest.Ratio(entries[0], entries[1], perSecond), contest.Ratio(entries[0], entries[1], p99))
	return v
}
