package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// demoOptions are the demo's flags, and what its test replaces.
type demoOptions struct {
	clients int
	rate    int           // visitors per second
	phase   time.Duration // length of steady and failover
	timeout time.Duration // of the whole story
	keep    bool
	asJSON  bool

	exe      string   // what is started for the children
	environ  []string // of the children
	router   func(primaryURL, secondaryURL string) []string
	failback demoFailback
}

func (o demoOptions) validate() error {
	switch {
	case o.clients < 1:
		return usageErrorf("--clients %d: want at least 1", o.clients)
	case o.rate < 1 || o.rate > 1000:
		return usageErrorf("--rate %d: want 1 to 1000", o.rate)
	case o.phase < 0:
		return usageErrorf("--phase %s: must not be negative", o.phase)
	case o.timeout <= 0:
		return usageErrorf("--timeout %s: want more than zero", o.timeout)
	}
	return nil
}

func newDemoCommand() *cobra.Command {
	opts := demoOptions{router: serveArgs}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch clients survive the death of the primary, and return to it",
		Long: `demo starts two echo upstreams and a router as processes of their own, lets a
few hundred clients talk through the router, kills the primary, starts it again,
watches everybody come home, and checks every handshake and every message.

The router holds the primary back for 3 s when it is well again. Then it moves
so many sessions per second that all are home within about 5 s, at least 10.

It needs nothing installed, uses free ports of 127.0.0.1, takes no POINTSMAN_…
variables and leaves nothing behind. The exit code is 1 if any client handshake
failed, any message came back wrong or missing, sessions were moved faster than
they should or elsewhere, or the time was over.`,
		Example: `  pointsman demo
  pointsman demo --clients 50 --phase 1s --json
  pointsman demo --keep`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := opts.validate(); err != nil {
				return err
			}
			exe, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find own executable: %w", err)
			}
			opts.exe = exe
			opts.environ = withoutSettings(os.Environ())
			opts.failback = newDemoFailback(opts.clients)
			return runDemo(cmd.Context(), opts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&opts.clients, "clients", 300, "`number` of clients that stay and reconnect")
	f.IntVar(&opts.rate, "rate", 20, "`number` of fresh connections per second besides them")
	f.DurationVar(&opts.phase, "phase", 4*time.Second, "`length` of steady and failover once their goal is reached")
	f.DurationVar(&opts.timeout, "timeout", time.Minute, "give up after this `time`")
	f.BoolVar(&opts.keep, "keep", false, "leave all running after the table until Ctrl-C")
	f.BoolVar(&opts.asJSON, "json", false, "print the result as JSON on stdout, progress on stderr")
	return cmd
}

// errInterrupted ends a demo that was stopped by a signal.
var errInterrupted = errors.New("interrupted")

// childDeathGrace is how long the end of a child waits for a signal to explain
// it: Ctrl-C in a terminal reaches the children too, and may reach them first.
const childDeathGrace = 200 * time.Millisecond

// runDemo runs the demo, prints its report and returns an error unless it
// passed. All processes and goroutines it started have ended when it returns.
func runDemo(parent context.Context, opts demoOptions, stdout, stderr io.Writer) error {
	ctx, abort := context.WithCancelCause(parent)
	defer abort(nil)
	telling, done := context.WithTimeoutCause(ctx, opts.timeout,
		fmt.Errorf("not finished within %s", opts.timeout))
	defer done()

	told := stdout
	if opts.asJSON {
		told = stderr
	}
	progress := newDemoProgress(told)
	tree := &demoTree{
		exe: opts.exe, environ: opts.environ,
		router: opts.router, routerEnviron: opts.failback.environ(),
		failed: func(err error) {
			if sleepContext(parent, childDeathGrace) {
				abort(err)
			}
		},
	}
	defer tree.stop()

	progress.note("starting two upstreams and the router")
	tally := newDemoTally(opts.clients, opts.failback)
	tally.begin(phaseConnect)
	end := tree.start(telling)
	leave := func() {}
	if end == nil {
		leave, end = playDemo(telling, ctx, opts, tree, tally, progress)
	}
	defer leave()
	progress.clear()
	if parent.Err() != nil {
		end = errInterrupted
	}

	report := tally.report(end)
	if err := printReport(report, opts.asJSON, stdout); err != nil {
		return err
	}
	var kept error
	if opts.keep && end == nil {
		kept = keepDemo(parent, ctx, tree, told)
	}
	leave()
	tree.stop()
	if report.Passed && kept == nil {
		return nil
	}
	if !errors.Is(end, errInterrupted) {
		tree.writeLogs(stderr)
	}
	if kept != nil {
		return fmt.Errorf("demo: %w", kept)
	}
	return fmt.Errorf("demo: %s", strings.Join(report.Problems, "; "))
}

// playDemo brings in the crowd, which stays until ctx ends or leave is called,
// and tells the story, which telling may end earlier. leave returns once
// everybody has left and may be called more than once.
func playDemo(telling, ctx context.Context, opts demoOptions, tree *demoTree, tally *demoTally, progress *demoProgress) (leave func(), err error) {
	status := newRouterStatus(tree.adminURL)
	defer status.close()
	if err := status.awaitReady(telling, demoPrimary, demoSecondary); err != nil {
		return func() {}, err
	}

	crowd := &demoCrowd{
		url:     tree.routerURL,
		client:  newDemoHTTPClient(),
		tally:   tally,
		clients: opts.clients,
		rate:    opts.rate,
	}
	staying, stop := context.WithCancel(ctx)
	var inside sync.WaitGroup
	inside.Go(func() { crowd.run(staying) })
	leave = func() {
		stop()
		inside.Wait()
	}

	shown, stopShowing := context.WithCancel(telling)
	var showing sync.WaitGroup
	showing.Go(func() { progress.run(shown, tally.line) })
	defer showing.Wait()
	defer stopShowing()

	story := &demoStory{tree: tree, tally: tally, status: status, progress: progress, phase: opts.phase}
	return leave, story.tell(telling)
}

func printReport(r demoReport, asJSON bool, w io.Writer) error {
	if asJSON {
		return r.writeJSON(w)
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return r.writeTable(w)
}

// keepDemo says where everything is and waits until parent ends, which is what
// it is meant to wait for, or ctx with the error of a child.
func keepDemo(parent, ctx context.Context, tree *demoTree, w io.Writer) error {
	_, _ = fmt.Fprintf(w, `
Everything keeps running, clients included:
  router     %s
  admin      %s/status
  primary    %s
  secondary  %s
Press Ctrl-C to end.
`, tree.routerURL, tree.adminURL, tree.primaryURL, tree.secondaryURL)
	<-ctx.Done()
	if parent.Err() != nil {
		return nil
	}
	return context.Cause(ctx)
}
