package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/flood"
	"github.com/pointsman/pointsman/bench/internal/peer"
	"github.com/pointsman/pointsman/bench/internal/report"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

// floodCommand is the attacker of hellosExperiment, a process of its own.
func floodCommand() *cobra.Command {
	var clients int
	var duration time.Duration
	cmd := &cobra.Command{
		Use:   "flood ADDRESS",
		Short: "Send hellos of TLS to an address, leave when they are answered, and print the result as JSON",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := peer.RaiseDescriptors(); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), duration)
			defer cancel()
			res, err := flood.Run(ctx, args[0], clients)
			if err != nil {
				return err
			}
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(res); err != nil {
				return fmt.Errorf("write result: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&clients, "clients", 400, "clients at a time")
	cmd.Flags().DurationVar(&duration, "duration", time.Minute, "how long, if nobody ends it before")
	return cmd
}

func hellosCommand() *cobra.Command { return hellosExperiment().command() }

// hellosExperiment asks what sessions notice of a flood of TLS handshakes.
func hellosExperiment() experiment {
	return experiment{
		use:   "hellos",
		short: "TLS handshakes without end that nobody finishes, beside sessions that send",
		run: func(ctx context.Context, m *measurement) error {
			f := trial.Flood{Sessions: 1000, Every: 2 * time.Second, Size: 125, Clients: 400, Seconds: 6, Rounds: 3}
			if m.quick {
				f = trial.Flood{Sessions: 100, Every: 500 * time.Millisecond, Size: 125, Clients: 50, Seconds: 1, Rounds: 1}
			}
			if m.runs != 0 {
				f.Rounds = m.runs
			}
			f.Candidates = m.candidates
			fmt.Fprintln(m.log, "hellos")
			h, err := trial.RunFlood(ctx, m.trials(), f)
			return tried(m, h, err, func(all *trial.Results, r *trial.Hellos) { all.Hellos = r }, report.PrintHellos, report.JudgeHellos)
		},
	}
}
