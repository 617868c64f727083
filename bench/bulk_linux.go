package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/contest"
)

func bulkCommand() *cobra.Command { return bulkExperiment().command() }

// bulkExperiment asks how many large messages pass.
func bulkExperiment() experiment {
	connections, size := 50, 60_000
	return experiment{
		use:   "bulk",
		short: "Large messages: round trips per second",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&connections, "connections", connections, "sessions")
			cmd.Flags().IntVar(&size, "size", size, "payload of a message in bytes")
		},
		run: func(ctx context.Context, m *measurement) error {
			o := m.options(5)
			o.Connections, o.Size, o.Opening = connections, size, 64
			return m.contested(contest.Bulk(ctx, o))
		},
	}
}
