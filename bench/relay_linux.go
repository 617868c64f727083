package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/contest"
)

func relayCommand() *cobra.Command { return relayExperiment().command() }

// relayExperiment asks what a small message costs.
func relayExperiment() experiment {
	connections, size := 100, 125
	return experiment{
		use:   "relay",
		short: "Small messages: processor time and latency per round trip",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&connections, "connections", connections, "sessions")
			cmd.Flags().IntVar(&size, "size", size, "payload of a message in bytes")
		},
		run: func(ctx context.Context, m *measurement) error {
			o := m.options(5)
			o.Connections, o.Size, o.Opening = connections, size, 64
			return m.contested(contest.Relay(ctx, o))
		},
	}
}
