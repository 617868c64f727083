package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

func newFailoverCommand() *cobra.Command {
	var lasting, steady, patience time.Duration
	var rate int
	var force bool
	cmd := &cobra.Command{
		Use:   "failover NAME --for TIME",
		Short: "Practise the loss of an upstream, and its return",
		Long: `failover is a drill on a running router. For the given time it treats an upstream
as if it was down: new clients go elsewhere, and its sessions are closed at a
pace, so that their clients follow. Then the upstream counts as recovered, with
hold, ramp and failback as after a real loss. The upstream itself notices only
that its clients leave.

It watches until new sessions go to the upstream again and no session is being
led home any more, and prints what happened in each phase:

  steady     before the drill
  failover   the upstream counts as down
  failback   it counts as up; hold and ramp
  home       it takes its full share again, and sessions are led home

"failed" are requests with any other answer than 101, malformed ones included.
Times are as seen by looking ten times a second.

Ctrl-C ends the drill early. The last upstream that takes sessions is not
touched without --force. The exit code is 1 if the upstream did not come back.`,
		Example: `  pointsman failover east --for 30s
  pointsman failover east --for 2m --rate 500 --json`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.DurationVar(&lasting, "for", 0, "`time` in which the upstream counts as down")
	f.IntVar(&rate, "rate", 0, "most closes per `second` (default: failover.drain_rate)")
	f.BoolVar(&force, "force", false, "also if clients would find no place")
	f.DurationVar(&steady, "steady", 2*time.Second, "`time` to look before the drill begins")
	f.DurationVar(&patience, "patience", 5*time.Minute, "longest `time` to watch when that of the drill is over")
	if err := cmd.MarkFlagRequired("for"); err != nil {
		panic(err) // there is no such flag
	}
	return newCallCommand(cmd, func(c *call, args []string) error {
		if steady < 0 || patience <= 0 {
			return usageErrorf("--steady %v, --patience %v: want a time of 0 or more, and one above 0", steady, patience)
		}
		order := given{"for": lasting.String()}
		order.take(cmd, "rate", "rate", rate)
		order.take(cmd, "force", "force", force)
		told := c.stdout
		if c.asJSON {
			told = c.stderr
		}
		d := &drill{
			caller: c.caller, name: args[0], order: order, lasting: lasting, steady: steady, patience: patience,
			progress: newDemoProgress(told),
		}
		return d.run(c.ctx, c.asJSON, c.stdout)
	})
}

// run practises and prints a report.
func (d *drill) run(ctx context.Context, asJSON bool, stdout io.Writer) error {
	if err := d.prepare(ctx); err != nil {
		return err
	}
	shown, stopShowing := context.WithCancel(ctx)
	var showing sync.WaitGroup
	showing.Go(func() { d.progress.run(shown, d.line) })
	end := d.tell(ctx)
	stopShowing()
	showing.Wait()
	d.progress.clear()
	interrupted := errors.Is(ctx.Err(), context.Canceled)
	switch {
	case d.drainID == "" && interrupted:
		return fmt.Errorf("%w before the drill had begun", errInterrupted)
	case d.drainID == "":
		return end
	case interrupted:
		end = d.interrupt(context.WithoutCancel(ctx))
	}
	r := d.report(context.WithoutCancel(ctx), end)
	if err := r.write(stdout, asJSON); err != nil {
		return err
	}
	if end != nil {
		return fmt.Errorf("failover: %w", end)
	}
	return nil
}
