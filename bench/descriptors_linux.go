package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/peer"
	"github.com/pointsman/pointsman/bench/internal/report"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

func descriptorsCommand() *cobra.Command { return descriptorsExperiment().command() }

// descriptorsExperiment asks what happens when there are more clients than descriptors: with a small limit, and with that of a process.
func descriptorsExperiment() experiment {
	return experiment{
		use:   "descriptors",
		short: "More clients than the router has descriptors for",
		ours:  true,
		run: func(ctx context.Context, m *measurement) error {
			all, err := peer.Descriptors()
			if err != nil {
				return err
			}
			wants := []trial.Want{
				{Limit: 2000, Before: 300, Rush: 1200, Silent: 1000, Full: 3 * time.Second},
				// Sessions take two each. More than 9,000 in one rush would not fit into the bench, which has the same limit.
				{Limit: all, Before: all / 6, Rush: min(all*2/5, 9000), Silent: all / 10, Full: 3 * time.Second},
			}
			if m.quick {
				wants = []trial.Want{{Limit: 400, Before: 50, Rush: 250, Silent: 200, Full: 500 * time.Millisecond}}
			}
			for _, n := range wants {
				fmt.Fprintf(m.log, "descriptors: %d\n", n.Limit)
				r, err := trial.RunScarcity(ctx, m.trials(), n)
				err = tried(m, r, err, func(all *trial.Results, r *trial.Scarcity) { all.Scarcity = append(all.Scarcity, *r) }, report.PrintScarcity, report.JudgeScarcity)
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
}
