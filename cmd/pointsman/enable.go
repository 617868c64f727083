package main

import (
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/admin"
)

func newEnableCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enable NAME",
		Short: "Let an upstream have new sessions again",
		Long: `enable lets an upstream have new sessions again: after "pointsman disable", after
a drain, during a drain, which ends, and during a failover drill, which ends too.`,
		Example: `  pointsman enable east`,
		Args:    cobra.ExactArgs(1),
	}
	return newCallCommand(cmd, func(c *call, args []string) error {
		var u admin.Upstream
		answer, err := c.post(c.ctx, "/upstreams/"+url.PathEscape(args[0])+"/enable", nil, &u)
		if err != nil {
			return err
		}
		return c.tell(answer, line("%s is enabled: %s", u.Name, stateOf(&u, time.Now())))
	})
}
