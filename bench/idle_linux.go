package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/contest"
)

func idleCommand() *cobra.Command { return idleExperiment().command() }

// idleExperiment asks what a session costs on which nothing happens.
func idleExperiment() experiment {
	var connections, opening int
	var settle time.Duration
	return experiment{
		use:   "idle",
		short: "Idle sessions: resident memory of each",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&connections, "connections", 0, "sessions; 0 = 8000, with --quick 1000")
			cmd.Flags().IntVar(&opening, "opening", 0, "handshakes under way at a time; 0 = 64")
			cmd.Flags().DurationVar(&settle, "settle", 0, "rest before memory is read; 0 = 15s, with --quick 2s")
		},
		run: func(ctx context.Context, m *measurement) error {
			o := m.options(2)
			o.Connections, o.Opening, o.Settle, o.Size = 8000, 64, 15*time.Second, 125
			if m.quick {
				o.Connections, o.Settle = 1000, 2*time.Second
			}
			if connections != 0 {
				o.Connections = connections
			}
			if opening != 0 {
				o.Opening = opening
			}
			if settle != 0 {
				o.Settle = settle
			}
			return m.contested(contest.Idle(ctx, o))
		},
	}
}
