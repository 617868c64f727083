package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/admin"
)

func newUpstreamsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upstreams",
		Short: "Show the upstreams of a running router",
		Long: `upstreams shows the upstreams of a running router in one line each, as status
does.`,
		Example: `  pointsman upstreams
  pointsman upstreams --json`,
		Args: cobra.NoArgs,
	}
	return newCallCommand(cmd, func(c *call, _ []string) error {
		var u admin.Upstreams
		answer, err := c.get(c.ctx, "/upstreams", &u)
		if err != nil {
			return err
		}
		return c.tell(answer, func() string { return upstreamTable(u.Upstreams, time.Now()) })
	})
}
