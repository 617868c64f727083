package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/report"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

func drainCommand() *cobra.Command { return drainExperiment().command() }

// relapseShare is the part of the sessions that is home when the primary is killed again.
const relapseShare = 0.4

// drainExperiment asks what clients notice when they are led home, also when home is lost on the way, and what others notice.
func drainExperiment() experiment {
	var sessions, rate int
	var onlyBeside bool
	return experiment{
		use:   "drain",
		short: "Failback: sessions are led home at a pace",
		ours:  true,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&sessions, "sessions", 0, "sessions; 0 = 5000, with --quick 300")
			cmd.Flags().IntVar(&rate, "rate", 0, "closes per second; 0 = 200, and beside other sessions 50, with --quick 300")
			cmd.Flags().BoolVar(&onlyBeside, "beside", false, "measure only what sessions notice that are not drained")
		},
		run: func(ctx context.Context, m *measurement) error {
			way := trial.Return{Sessions: 5000, Rate: 200, Hold: time.Second, Period: time.Second}
			calm := trial.Calm{Sessions: 100, Size: 125, Drained: 4500, Rate: 50, Rounds: 40, Window: 800 * time.Millisecond, Warmup: 200 * time.Millisecond}
			if m.quick {
				way = trial.Return{Sessions: 300, Rate: 300, Hold: 100 * time.Millisecond, Period: 100 * time.Millisecond, Quick: true}
				calm.Drained, calm.Rate, calm.Rounds, calm.Window, calm.Warmup = 300, 300, 1, 400*time.Millisecond, 100*time.Millisecond
			}
			if sessions != 0 {
				way.Sessions = sessions
			}
			if rate != 0 {
				way.Rate, calm.Rate = rate, rate
			}
			if m.runs != 0 {
				calm.Rounds = m.runs
			}
			way.Active = way.Sessions / 20

			if !onlyBeside {
				if err := measureWayHome(ctx, m, way); err != nil {
					return err
				}
			}
			fmt.Fprintln(m.log, "drain: beside")
			beside, err := trial.RunBeside(ctx, m.trials(), calm)
			err = tried(m, beside, err, func(all *trial.Results, r *trial.Beside) { all.Beside = r }, report.PrintBeside, report.JudgeBeside)
			if err != nil {
				return err
			}
			calm.Return = true
			back, err := trial.RunBeside(ctx, m.trials(), calm)
			return tried(m, back, err, func(all *trial.Results, r *trial.Beside) { all.BesideBack = r }, report.PrintBeside, report.JudgeNothing)
		},
	}
}

// measureWayHome drains what is to go home, once without a disturbance and once with one.
func measureWayHome(ctx context.Context, m *measurement, way trial.Return) error {
	fmt.Fprintln(m.log, "drain: home")
	home, err := trial.RunHomecoming(ctx, m.trials(), way)
	err = tried(m, home, err, func(all *trial.Results, r *trial.Homecoming) { all.Homecoming = r }, report.PrintHomecoming, report.JudgeHomecoming)
	if err != nil {
		return err
	}
	fmt.Fprintln(m.log, "drain: home, and back")
	relapse, err := trial.RunRelapse(ctx, m.trials(), way, relapseShare)
	return tried(m, relapse, err, func(all *trial.Results, r *trial.Relapse) { all.Relapse = r }, report.PrintRelapse, report.JudgeRelapse)
}
