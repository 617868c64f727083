// Command bench measures pointsman beside nginx and HAProxy, all in the same run on one machine, and judges the figures
// that the project promises. README.md beside this file says what each figure means.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// errClaim makes the exit code non-zero when the measurement went well but a promise does not hold. The verdict has
// already been printed.
var errClaim = errors.New("a claim does not hold")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errClaim):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "bench",
		Short:         "Measure pointsman beside nginx and HAProxy",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(verbs()...)
	return cmd
}
