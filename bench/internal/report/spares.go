package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/pointsman/pointsman/bench/internal/trial"
)

// maxSpareTrips is how many round trips nine of ten handshakes may take with spare connections: one, and a quarter for the machine.
const maxSpareTrips = 1.25

func spareCase(c trial.SparesCase) string {
	what := "first connect"
	if c.Failover {
		what = "failover"
	}
	if c.TLS {
		return what + ", wss"
	}
	return what + ", ws"
}

// PrintSpares writes how long handshakes with a far upstream take. The error is the writer's.
func PrintSpares(w io.Writer, r trial.Spares) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nspares: %d new clients per second, the upstream is %.0f ms away (round trip); time from the client's connect to its 101 in ms\n", r.PerSecond, r.RoundTrip)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "\tspares\ttried\tp50\tp90\tp99\tlongest\tround trips at p50\tfailed\t\n")
	for _, c := range r.Cases {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t\n", spareCase(c), c.Spares, c.Tried,
			c.Took.P50/1e3, c.Took.P90/1e3, c.Took.P99/1e3, c.Took.Max/1e3, c.Took.P50/1e3/r.RoundTrip, c.Failed)
	}
	_ = t.Flush() // a strings.Builder takes everything
	return write(w, &b)
}

// JudgeSpares returns the verdicts on spare connections.
func JudgeSpares(r trial.Spares) []Verdict {
	c := claims{name: "spares"}
	var failed int
	var first string
	for _, with := range r.Cases {
		failed += with.Failed
		if first == "" {
			first = with.First
		}
		if with.Spares == 0 {
			continue
		}
		without := "not measured"
		for _, other := range r.Cases {
			if other.Spares == 0 && other.Failover == with.Failover && other.TLS == with.TLS {
				without = fmt.Sprintf("%.1f ms", other.Took.P90/1e3)
			}
		}
		bound := maxSpareTrips * r.RoundTrip
		c.add(with.Took.P90 > 0 && with.Took.P90/1e3 <= bound, fmt.Sprintf("%s: nine of ten handshakes take one round trip (%.2f)", spareCase(with), maxSpareTrips),
			"%.1f ms of %.0f ms; without spares %s", with.Took.P90/1e3, bound, without)
	}
	c.add(failed == 0, "no handshake fails", "%d failed%s", failed, prefixed("; first: ", first))
	return c.all
}
