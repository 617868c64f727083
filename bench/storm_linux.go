package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/report"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

func stormCommand() *cobra.Command { return stormExperiment().command() }

// stormExperiment asks how long it takes until all are back when all are lost at once.
func stormExperiment() experiment {
	return experiment{
		use:   "storm",
		short: "All sessions are lost at once, and all come back",
		ours:  true,
		run: func(ctx context.Context, m *measurement) error {
			r := trial.Rush{Sessions: 5000, Limit: 500, Before: 3 * time.Second}
			if m.quick {
				r = trial.Rush{Sessions: 600, Limit: 200, Before: 500 * time.Millisecond}
			}
			fmt.Fprintln(m.log, "storm")
			s, err := trial.RunStorm(ctx, m.trials(), r)
			return tried(m, s, err, func(all *trial.Results, r *trial.Storm) { all.Storm = r }, report.PrintStorm, report.JudgeStorm)
		},
	}
}
