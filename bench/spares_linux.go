package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/report"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

func sparesCommand() *cobra.Command { return sparesExperiment().command() }

// sparesExperiment asks what spare connections save clients whose upstream is far away.
func sparesExperiment() experiment {
	var delay, window time.Duration
	var spares int
	return experiment{
		use:   "spares",
		short: "Handshakes with an upstream far away, with and without spare connections",
		ours:  true,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().DurationVar(&delay, "delay", 80*time.Millisecond, "what a round trip to the upstream takes longer")
			cmd.Flags().DurationVar(&window, "window", 0, "how long clients come in each case; 0 = 10s, with --quick 1s")
			cmd.Flags().IntVar(&spares, "spares", 8, "spare connections, where there are any")
		},
		run: func(ctx context.Context, m *measurement) error {
			r := trial.Region{RoundTrip: 80 * time.Millisecond, Spares: 8, Rate: 10, Window: 10 * time.Second}
			if m.quick {
				r.Rate, r.Window = 15, time.Second
			}
			if delay != 0 {
				r.RoundTrip = delay
			}
			if window != 0 {
				r.Window = window
			}
			if spares != 0 {
				r.Spares = spares
			}
			fmt.Fprintln(m.log, "spares")
			s, err := trial.RunSpares(ctx, m.trials(), r)
			return tried(m, s, err, func(all *trial.Results, r *trial.Spares) { all.Spares = r }, report.PrintSpares, report.JudgeSpares)
		},
	}
}
