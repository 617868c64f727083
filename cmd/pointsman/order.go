package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// call is one visit of a verb at the door of a running router.
type call struct {
	*caller
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
	asJSON bool
}

// newCallCommand returns a verb that talks to a running router: do is called
// with the arguments. The flags that it shares with the others are added.
func newCallCommand(cmd *cobra.Command, do func(c *call, args []string) error) *cobra.Command {
	flags := new(callFlags)
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := flags.caller(cmd)
		if err != nil {
			return err
		}
		defer c.close()
		return do(&call{
			caller: c, ctx: cmd.Context(), asJSON: flags.asJSON,
			stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(),
		}, args)
	}
	return cmd
}

// tell prints the answer of the door as it is, with --json, or what words makes
// of it.
func (c *call) tell(answer []byte, words func() string) error {
	if c.asJSON {
		_, err := c.stdout.Write(answer)
		return err
	}
	_, err := io.WriteString(c.stdout, words())
	return err
}

// line is words for tell.
func line(format string, args ...any) func() string {
	return func() string { return fmt.Sprintf(format, args...) + "\n" }
}

// given collects what was said by flags. What was not is left to the router.
type given map[string]any

// take adds the value of a flag under the name that the door has for it.
func (g given) take(cmd *cobra.Command, flag, field string, value any) {
	if cmd.Flags().Changed(flag) {
		g[field] = value
	}
}
