package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/contest"
)

func fanoutCommand() *cobra.Command { return fanoutExperiment().command() }

// fanoutExperiment asks what it costs that one call of an application reaches several instances.
func fanoutExperiment() experiment {
	callers, size := []int{1, 16}, 10_000
	return experiment{
		use:   "fanout",
		short: "Broadcasts of the REST API to 4 upstreams, beside direct calls",
		ours:  true,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntSliceVar(&callers, "callers", callers, "broadcasts under way at a time, each measured for itself")
			cmd.Flags().IntVar(&size, "size", size, "message in bytes")
		},
		run: func(ctx context.Context, m *measurement) error {
			for _, n := range callers {
				o := m.options(5)
				o.Connections, o.Size = n, size
				if err := m.contested(contest.Fanout(ctx, o)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
