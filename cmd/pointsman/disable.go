package main

import (
	"net/url"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/admin"
)

func newDisableCommand() *cobra.Command {
	var why string
	var force bool
	cmd := &cobra.Command{
		Use:   "disable NAME",
		Short: "Let an upstream have no new sessions",
		Long: `disable lets an upstream have no new sessions until "pointsman enable". Its open
sessions go on, and it is still probed. A restart of the router forgets it.

The last upstream that takes sessions is not disabled without --force.`,
		Example: `  pointsman disable east --why "new disks"
  pointsman enable east`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&why, "why", "", "`text` for those who look at the status")
	cmd.Flags().BoolVar(&force, "force", false, "also if new clients would find no place")
	return newCallCommand(cmd, func(c *call, args []string) error {
		order := make(given)
		order.take(cmd, "why", "why", why)
		order.take(cmd, "force", "force", force)
		var u admin.Upstream
		answer, err := c.post(c.ctx, "/upstreams/"+url.PathEscape(args[0])+"/disable", order, &u)
		if err != nil {
			return err
		}
		return c.tell(answer, line("%s gets no new sessions; %s open", u.Name, count(u.Sessions, "session")))
	})
}
