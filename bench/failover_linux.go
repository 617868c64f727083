package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/failover"
	"github.com/pointsman/pointsman/bench/internal/report"
)

func failoverCommand() *cobra.Command { return failoverExperiment().command() }

// failoverExperiment asks what clients notice when the primary goes. The health settings are the defaults that the
// manual names, written out.
func failoverExperiment() experiment {
	rate := 200
	return experiment{
		use:   "failover",
		short: "The primary goes: what new clients notice",
		ours:  true,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&rate, "rate", rate, "new sessions per second")
		},
		run: func(ctx context.Context, m *measurement) error {
			o := failover.Options{
				Pointsman: m.binary,
				Dir:       m.dir,
				Rate:      rate,
				Duration:  13 * time.Second,
				After:     4 * time.Second,
				Health:    failover.Health{Interval: 2 * time.Second, Recheck: 500 * time.Millisecond, Timeout: time.Second, Jitter: 0.1, Fall: 3},
			}
			if m.quick {
				o.Duration, o.After = 3500*time.Millisecond, time.Second
				o.Health = failover.Health{Interval: 500 * time.Millisecond, Recheck: 100 * time.Millisecond, Timeout: 300 * time.Millisecond, Jitter: 0.1, Fall: 3}
			}
			for _, fault := range []failover.Fault{failover.Kill, failover.Stop} {
				fmt.Fprintf(m.log, "failover: %s\n", fault)
				o.Fault = fault
				r, err := failover.Run(ctx, o)
				if err != nil {
					return err
				}
				m.doc.Failovers = append(m.doc.Failovers, r)
				m.doc.Verdicts = append(m.doc.Verdicts, report.JudgeFailover(r)...)
				if err := report.PrintFailover(m.out, r); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
