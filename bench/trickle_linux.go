package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/contest"
)

func trickleCommand() *cobra.Command { return trickleExperiment().command() }

// trickleLeast is how long an interval is at least: the processor time of so little work is known in steps of 10 ms.
const trickleLeast = 15 * time.Second

// trickleExperiment asks what sessions cost that say something now and then.
func trickleExperiment() experiment {
	connections, size, every := 1000, 125, 10*time.Second
	return experiment{
		use:   "trickle",
		short: "Small messages now and then: processor time and latency",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&connections, "connections", connections, "sessions")
			cmd.Flags().IntVar(&size, "size", size, "payload of a message in bytes")
			cmd.Flags().DurationVar(&every, "every", every, "time between two messages of a session")
		},
		run: func(ctx context.Context, m *measurement) error {
			o := m.options(3)
			o.Connections, o.Size, o.Opening, o.Every = connections, size, 64, every
			if !m.quick {
				o.Duration = max(o.Duration, trickleLeast)
			}
			return m.contested(contest.Trickle(ctx, o))
		},
	}
}
