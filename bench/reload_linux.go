package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/report"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

func reloadCommand() *cobra.Command { return reloadExperiment().command() }

// reloadExperiment asks what sessions notice of reloads.
func reloadExperiment() experiment {
	return experiment{
		use:   "reload",
		short: "Many reloads under load, an upstream added and removed",
		ours:  true,
		run: func(ctx context.Context, m *measurement) error {
			c := trial.Change{Sessions: 2000, Added: 300, Reloads: 100, Rate: 200}
			if m.quick {
				c = trial.Change{Sessions: 100, Added: 30, Reloads: 12, Rate: 200}
			}
			fmt.Fprintln(m.log, "reload")
			r, err := trial.RunReload(ctx, m.trials(), c)
			return tried(m, r, err, func(all *trial.Results, r *trial.Reload) { all.Reload = r }, report.PrintReload, report.JudgeReload)
		},
	}
}
