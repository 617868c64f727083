package report

import (
	"fmt"
	"io"

	"github.com/pointsman/pointsman/bench/internal/failover"
)

// maxLate is how long a handshake may take once the fault has been found: none of the proxy's time-outs fits in.
const maxLate = 1000 // milliseconds

// PrintFailover writes what the clients of a trial have seen. The error is the writer's.
func PrintFailover(w io.Writer, r failover.Result) error {
	first := "never"
	if r.FirstOnSecondary >= 0 {
		first = fmt.Sprintf("%.1f ms after the fault", r.FirstOnSecondary)
	}
	failure := ""
	if r.FirstFailure != "" {
		failure = "\n  first failure: " + r.FirstFailure
	}
	cut := ""
	if r.FirstCut != "" {
		cut = "\n  first of them: " + r.FirstCut
	}
	_, err := fmt.Fprintf(w, `
failover: primary gets %[1]s; found by probes within %.0[2]f ms (interval + fall × (recheck + timeout), worst jitter)
  handshakes: %[3]d tried, %[4]d failed; of these begun after the detection time: %[5]d tried, %[6]d failed%[7]s
  first session on the secondary: %[8]s; sessions led there: %[9]d; open sessions without an echo: %[10]d%[15]s
  handshake time: p50 %.1[11]f ms, p99 %.1[12]f ms, slowest %.1[13]f ms, slowest after the detection time %.1[14]f ms
`, map[failover.Fault]string{failover.Kill: "SIGKILL", failover.Stop: "SIGSTOP"}[r.Fault], r.Detection,
		r.Tried, r.Failed, r.Late, r.LateFailed, failure, first, r.SecondarySessions, r.Cut, r.P50, r.P99, r.Slowest, r.SlowestLate, cut)
	return err
}

// JudgeFailover returns the verdicts on a trial.
func JudgeFailover(r failover.Result) []Verdict {
	name := fmt.Sprintf("failover (%s)", r.Fault)
	return []Verdict{
		{
			Claim:   name + ": no handshake fails while the secondary is healthy",
			Finding: fmt.Sprintf("%d of %d failed, %d sessions on the secondary", r.Failed, r.Tried, r.SecondarySessions),
			Judged:  true,
			Holds:   r.Failed == 0 && r.FirstOnSecondary >= 0 && r.SecondarySessions > 0,
		},
		{
			Claim:   fmt.Sprintf("%s: after the detection time every handshake takes less than %d ms", name, maxLate),
			Finding: fmt.Sprintf("%d of %d failed, slowest %.1f ms", r.LateFailed, r.Late, r.SlowestLate),
			Judged:  r.Late > 0,
			Holds:   r.Late > 0 && r.LateFailed == 0 && r.SlowestLate < maxLate,
		},
	}
}
