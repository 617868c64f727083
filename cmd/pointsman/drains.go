package main

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/proxy/drain"
)

func newDrainsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drains",
		Short: "Show drains, also those that have ended",
		Long: `drains shows the drains under way, and the last ones that have ended, oldest
first: why sessions are closed, at what pace, and how far that has got.`,
		Example: `  pointsman drains
  pointsman drains --json`,
		Args: cobra.NoArgs,
	}
	return newCallCommand(cmd, func(c *call, _ []string) error {
		var d admin.Drains
		answer, err := c.get(c.ctx, "/drains", &d)
		if err != nil {
			return err
		}
		return c.tell(answer, func() string {
			if len(d.Drains) == 0 {
				return "no drains\n"
			}
			return drainTable(d.Drains, time.Now())
		})
	})
}

func newPauseCommand() *cobra.Command {
	return newDrainOrder("pause", "Let a drain close no more sessions for now", `pause lets a drain close no more sessions until "pointsman resume". Sessions that
were asked to close end. The time counts for the deadline of the drain.`)
}

func newResumeCommand() *cobra.Command {
	return newDrainOrder("resume", "Let a paused drain go on", `resume lets a drain go on that "pointsman pause" has stopped.`)
}

func newCancelCommand() *cobra.Command {
	return newDrainOrder("cancel", "End a drain early", `cancel ends a drain. The sessions that are left stay where they are. If the
drain had disabled its upstream, that takes new sessions again.`)
}

// newDrainOrder returns a verb that gives an order to a drain.
func newDrainOrder(verb, short, long string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   verb + " ID",
		Short: short,
		Long: long + `

"pointsman drains" shows the IDs.`,
		Example: "  pointsman " + verb + " 3",
		Args:    cobra.ExactArgs(1),
	}
	return newCallCommand(cmd, func(c *call, args []string) error {
		var s drain.Status
		answer, err := c.post(c.ctx, "/drains/"+url.PathEscape(args[0])+"/"+verb, nil, &s)
		if err != nil {
			return err
		}
		return c.tell(answer, line("drain %s is %v: %s gone, %d left", s.ID, s.State, count(s.Gone, "session"), s.Left+s.Asked-s.Gone))
	})
}
