package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/report"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

func flapCommand() *cobra.Command { return flapExperiment().command() }

// flapExperiment asks whether clients are sent back and forth when the primary flaps.
func flapExperiment() experiment {
	return experiment{
		use:   "flap",
		short: "The primary flaps: who is sent back and forth",
		ours:  true,
		run: func(ctx context.Context, m *measurement) error {
			f := trial.Unrest{
				Sessions: 1000, Hold: 10 * time.Second, Up: 2 * time.Second, Down: 2 * time.Second, Lasting: time.Minute, Rate: 500,
			}
			unheld := 16 * time.Second
			if m.quick {
				f.Sessions, f.Lasting, unheld = 20, 12*time.Second, 0
			}
			fmt.Fprintln(m.log, "flap: with hold")
			r, err := trial.RunFlap(ctx, m.trials(), f)
			if err == nil && unheld > 0 {
				fmt.Fprintln(m.log, "flap: without, for comparison")
				f.Hold, f.Lasting = 0, unheld
				var other trial.Flap
				other, err = trial.RunFlap(ctx, m.trials(), f)
				r.Unheld = &other
			}
			return tried(m, r, err, func(all *trial.Results, r *trial.Flap) { all.Flap = r }, report.PrintFlap, report.JudgeFlap)
		},
	}
}
