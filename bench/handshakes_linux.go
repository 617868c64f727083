package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/contest"
)

func handshakesCommand() *cobra.Command { return handshakesExperiment().command() }

// handshakesExperiment asks how fast sessions can be opened.
func handshakesExperiment() experiment {
	opening := 64
	return experiment{
		use:   "handshakes",
		short: "Opening sessions: handshakes per second and their processor time",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&opening, "opening", opening, "handshakes under way at a time")
		},
		run: func(ctx context.Context, m *measurement) error {
			o := m.options(5)
			o.Opening = opening
			return m.contested(contest.Handshakes(ctx, o))
		},
	}
}
