package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes of the process.
const (
	exitOK     = 0
	exitFailed = 1 // the operation failed or the file has mistakes
	exitUsage  = 2
)

// What the verbs are for.
const (
	groupRun     = "run"
	groupOperate = "operate"
	groupTry     = "try"
)

// usageError is a mistake in how a verb was called that only the verb itself
// can see. Mistakes in flags and arguments that cobra finds need none.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usageErrorf is fmt.Errorf for an error that ends the process with exitUsage.
func usageErrorf(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// newRootCommand returns the command with all its verbs.
func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "pointsman",
		Short: "A WebSocket failover router",
		Long: `pointsman puts one stable URL in front of several WebSocket upstreams.

New clients go to a healthy primary. When none is healthy they go, without
seeing an error, to a healthy secondary; when the primary is back and has
proved itself, it gets the new clients again, and the others are led home at a
pace.

The verbs for operators talk to the admin address of a running router (--admin,
or POINTSMAN_ADMIN). Each has an example in its help.

Exit codes: 0 it worked; 1 the operation failed or the file has mistakes;
2 wrong usage.`,
		Example: `  # See it work, with nothing installed:
  pointsman demo

  # Two echo upstreams to play with:
  pointsman upstream --listen 127.0.0.1:9001 --name east
  pointsman upstream --listen 127.0.0.1:9002 --name west

  # What does it do, and what happens if east is lost?
  pointsman status --watch
  pointsman failover east --for 30s`,
		Version:       currentBuild().Version,
		SilenceErrors: true, // run prints them, once
		SilenceUsage:  true,
		Args:          knownVerb,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usageErrorf("no command given")
		},
	}
	root.AddGroup(
		&cobra.Group{ID: groupRun, Title: "To run a router:"},
		&cobra.Group{ID: groupOperate, Title: "To see and steer a running router:"},
		&cobra.Group{ID: groupTry, Title: "To try things:"},
	)
	add := func(group string, verbs ...*cobra.Command) {
		for _, v := range verbs {
			v.GroupID = group
		}
		root.AddCommand(verbs...)
	}
	add(groupRun, newServeCommand(), newCheckCommand(), newHealthcheckCommand())
	add(groupOperate,
		newStatusCommand(), newUpstreamsCommand(), newDrainsCommand(),
		newDisableCommand(), newEnableCommand(), newDrainCommand(),
		newPauseCommand(), newResumeCommand(), newCancelCommand(),
		newFailoverCommand(), newReloadCommand(),
	)
	add(groupTry, newDemoCommand(), newUpstreamCommand())
	root.AddCommand(newVersionCommand())
	return root
}

// knownVerb refuses what is left over when no verb matched.
func knownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w, did you mean %s?", err, strings.Join(near, " or "))
	}
	return err
}

// run executes args as the command line and returns the exit code. It ends
// early, and orderly, when ctx does.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(append([]string{}, args...)) // nil would mean os.Args
	root.SetOut(stdout)
	root.SetErr(stderr)

	// Whatever fails before a verb began was found in the command line.
	began := false
	for _, verb := range root.Commands() {
		do := verb.RunE
		verb.RunE = func(cmd *cobra.Command, args []string) error {
			began = true
			return do(cmd, args)
		}
	}

	verb, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "pointsman: %v\n", err) // nowhere else to say it
	if began && !errors.As(err, new(usageError)) {
		return exitFailed
	}
	_, _ = fmt.Fprintf(stderr, "Run '%s --help' for usage.\n", verb.CommandPath())
	return exitUsage
}
