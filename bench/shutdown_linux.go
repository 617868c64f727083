package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/report"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

func shutdownCommand() *cobra.Command { return shutdownExperiment().command() }

// shutdownExperiment asks how sessions end when the router does.
func shutdownExperiment() experiment {
	return experiment{
		use:   "shutdown",
		short: "The router ends: by SIGTERM, and by SIGKILL",
		ours:  true,
		run: func(ctx context.Context, m *measurement) error {
			l := trial.Leaving{Sessions: 5000, Active: 250, Rate: 200, Deadline: 20 * time.Second}
			if m.quick {
				l = trial.Leaving{Sessions: 300, Active: 15, Rate: 300, Deadline: 4 * time.Second}
			}
			fmt.Fprintln(m.log, "shutdown: SIGTERM")
			term, err := trial.RunShutdown(ctx, m.trials(), l)
			err = tried(m, term, err, func(all *trial.Results, r *trial.Shutdown) { all.Shutdown = r }, report.PrintShutdown, report.JudgeShutdown)
			if err != nil {
				return err
			}
			fmt.Fprintln(m.log, "shutdown: SIGKILL")
			kill, err := trial.RunSudden(ctx, m.trials(), l)
			return tried(m, kill, err, func(all *trial.Results, r *trial.Sudden) { all.Sudden = r }, report.PrintSudden, report.JudgeSudden)
		},
	}
}
