package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/admin"
)

// watchEvery is the time between two looks of "status --watch".
const watchEvery = time.Second

func newStatusCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a running router believes and does",
		Long: `status shows a running router in one line, its upstreams in one line each, the
drains under way, the certificates that clients are shown, and the last reload if
it failed.

An upstream is healthy, held (it is back, but not trusted with new sessions yet),
ramping (it gets a rising share of them), down, disabled (by an operator),
suspended (a failover drill), unknown (not probed yet), or leaving (a reload has
removed it, and it still has sessions).`,
		Example: `  pointsman status
  pointsman status --watch
  pointsman status --json --admin unix:/run/pointsman.sock`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second until Ctrl-C")
	return newCallCommand(cmd, func(c *call, _ []string) error {
		if watch {
			return c.watchStatus()
		}
		return c.showStatus("")
	})
}

// showStatus looks once. before goes out in front of it.
func (c *call) showStatus(before string) error {
	var s admin.Status
	answer, err := c.get(c.ctx, "/status", &s)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(c.stdout, before); err != nil {
		return err
	}
	return c.tell(answer, func() string { return statusPage(&s, time.Now()) })
}

// watchStatus looks until somebody ends it, which is no failure. A router that
// does not answer for a while is shown as that, unless it never did.
func (c *call) watchStatus() error {
	before, between := "", "\n"
	if isTerminal(c.stdout) {
		before = "\x1b[H\x1b[2J" // to the corner, and clear
		between = before
	}
	if c.asJSON {
		before, between = "", ""
	}
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for first := true; ; first = false {
		err := c.showStatus(before)
		before = between
		switch {
		case errors.Is(c.ctx.Err(), context.Canceled):
			return nil
		case err != nil && first:
			return err
		case err != nil:
			if _, err := fmt.Fprintf(c.stderr, "%s%v\n", between, err); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-c.ctx.Done():
			return nil
		}
	}
}
