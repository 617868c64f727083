package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newHealthcheckCommand() *cobra.Command {
	var (
		flags callFlags
		ready bool
	)
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask a running router whether it is well",
		Long: `healthcheck asks the admin address of a running router whether it is alive,
or with --ready whether it has a healthy upstream. It is meant for container
health checks, where no other client is installed.

Exit codes: 0 yes; 1 no, or nobody answered.`,
		Example: `  pointsman healthcheck
  pointsman healthcheck --ready --admin 127.0.0.1:9090
  pointsman healthcheck --admin unix:/run/pointsman.sock`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/healthz"
			if ready {
				path = "/readyz"
			}
			c, err := flags.caller(cmd)
			if err != nil {
				return err
			}
			defer c.close()
			status, body, err := c.exchange(cmd.Context(), http.MethodGet, path, nil)
			if err != nil {
				return err
			}
			answer := printable(strings.TrimSpace(string(body)))
			if status != http.StatusOK {
				return fmt.Errorf("%s answered %d: %s", c.address, status, answer)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), answer)
			return err
		},
	}
	flags.addAddress(cmd, 3*time.Second)
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether it has a healthy upstream")
	return cmd
}
