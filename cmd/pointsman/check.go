package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/config"
	"github.com/pointsman/pointsman/proxy"
)

func newCheckCommand() *cobra.Command {
	var print bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Find every mistake in a configuration file",
		Long: `check reads a configuration file as serve would, environment included, and
does everything that serve does before it opens a port; files of certificates and
keys are read, too. It reports all mistakes at once, each with line, column, an
excerpt and what was expected, and warns of what serve would warn of.

Exit codes: 0 the file is right; 1 it is not, or cannot be read.`,
		Example: `  pointsman check /etc/pointsman/pointsman.yaml

  # The whole configuration with its defaults:
  pointsman check --print /etc/pointsman/pointsman.yaml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := config.Load(args[0], os.Environ())
			if err != nil {
				return err
			}
			// What a certificate makes serve warn of, too.
			logger := newLogger(config.FormatText, slog.LevelWarn, cmd.ErrOrStderr())
			options, err := c.Build(logger, nil)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := proxy.Check(options); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if _, err := newEntrances(c, logger); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			for _, warning := range c.Warnings() {
				cmd.PrintErrln("warning: " + warning)
			}
			if print {
				_, err = fmt.Fprint(cmd.OutOrStdout(), c.YAML())
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is right: %d upstreams, %d routes\n",
				args[0], len(c.Upstreams), len(c.Routes))
			return err
		},
	}
	cmd.Flags().BoolVar(&print, "print", false, "print the configuration with all defaults filled in")
	return cmd
}
