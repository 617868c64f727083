package main

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/peer"
	"github.com/pointsman/pointsman/bench/internal/report"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

func slowCommand() *cobra.Command { return slowExperiment().command() }

// slowExperiment asks what sessions notice of clients that are slow on purpose.
func slowExperiment() experiment {
	var sessions, slow, rate int
	var only string
	return experiment{
		use:   "slow",
		short: "Attacks with slow connections, beside sessions that send",
		tools: []string{peer.SlowHTTPTest},
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&sessions, "sessions", 0, "sessions; 0 = 1000, with --quick 100")
			cmd.Flags().IntVar(&slow, "slow", 0, "slow connections of an attack; 0 = 200, with --quick 100")
			cmd.Flags().IntVar(&rate, "rate", 0, "of them opened in a second; 0 = 20, with --quick 200")
			cmd.Flags().StringVar(&only, "only", "", "only the attacks whose name this regular expression matches, such as \"header\" or \"ws$\"")
		},
		run: func(ctx context.Context, m *measurement) error {
			g := trial.Siege{Sessions: 1000, Every: 500 * time.Millisecond, Size: 125, Slow: 200, Rate: 20, Deadline: 5 * time.Second, Rounds: 3}
			if m.quick {
				g = trial.Siege{Sessions: 100, Every: 200 * time.Millisecond, Size: 125, Slow: 100, Rate: 200, Deadline: time.Second, Rounds: 1, Brief: true}
			}
			if sessions != 0 {
				g.Sessions = sessions
			}
			g.Candidates = m.candidates
			var err error
			if g.Only, err = regexp.Compile(only); err != nil {
				return fmt.Errorf("--only: %w", err)
			}
			if slow != 0 {
				g.Slow = slow
			}
			if rate != 0 {
				g.Rate = rate
			}
			if m.runs != 0 {
				g.Rounds = m.runs
			}
			fmt.Fprintln(m.log, "slow")
			s, err := trial.RunSlow(ctx, m.trials(), g)
			return tried(m, s, err, func(all *trial.Results, r *trial.Slow) { all.Slow = r }, report.PrintSlow, report.JudgeSlow)
		},
	}
}
