package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/admin"
)

func newReloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have a running router take on its configuration file anew",
		Long: `reload has a running router read its configuration file again, as SIGHUP does.
Sessions of upstreams that did not change are not touched. A file with mistakes
changes nothing; the exit code is 1 then, and the mistakes are printed.`,
		Example: `  pointsman check /etc/pointsman/pointsman.yaml && pointsman reload`,
		Args:    cobra.NoArgs,
	}
	return newCallCommand(cmd, func(c *call, _ []string) error {
		var r admin.Reload
		answer, err := c.post(c.ctx, "/reload", nil, &r)
		if err != nil {
			return err
		}
		text := "reloaded"
		if len(r.NeedsRestart) > 0 {
			text += "; what has changed here needs a restart: " + printable(strings.Join(r.NeedsRestart, ", "))
		}
		return c.tell(answer, line("%s", text))
	})
}
