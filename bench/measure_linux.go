package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/contest"
	"github.com/pointsman/pointsman/bench/internal/peer"
	"github.com/pointsman/pointsman/bench/internal/report"
)

// settings are the flags that all measuring verbs share.
type settings struct {
	peers     []string
	pointsman string
	runs      int
	warmup    time.Duration
	duration  time.Duration
	quick     bool
	json      string
	noVerdict bool
	loops     int
}

// Values of --pointsman that are no path.
const (
	buildIt   = "build"
	withoutIt = "none"
)

// experiment is one of the things that can be measured. Its fields other than run are for a verb of its own.
type experiment struct {
	use, short string
	flags      func(*cobra.Command)
	run        func(context.Context, *measurement) error
	// ours is set if the experiment makes no sense without pointsman.
	ours bool
	// tools are programs that it needs beside the peers.
	tools []string
}

// command makes a verb of its own for the experiment.
func (e experiment) command() *cobra.Command { return command(e.use, e.short, e) }

// measurement is one run of the program: what stands ready, and what has been found so far.
type measurement struct {
	settings
	dir        string // removed at the end
	binary     string // of pointsman; empty without it
	candidates []string
	doc        *report.Document
	out, log   io.Writer
}

// command makes a verb that does the experiments in turn.
func command(use, short string, experiments ...experiment) *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return measure(cmd, s, experiments) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&s.peers, "peers", []string{peer.Nginx, peer.HAProxy}, "peers to measure beside pointsman; \"\" for none")
	f.StringVar(&s.pointsman, "pointsman", buildIt, "path of a pointsman binary, \"build\" to compile it, or \"none\"")
	f.IntVar(&s.runs, "runs", 0, "rounds; 0 = 5, idle 2")
	f.DurationVar(&s.warmup, "warmup", 500*time.Millisecond, "before each measured interval")
	f.DurationVar(&s.duration, "duration", 3*time.Second, "each measured interval")
	f.BoolVar(&s.quick, "quick", false, "smoke run: everything short and small; its figures mean little")
	f.StringVar(&s.json, "json", "", "write the results to this file")
	f.BoolVar(&s.noVerdict, "no-verdict", false, "exit 0 even if a claim does not hold")
	f.IntVar(&s.loops, "loops", 2, "threads of the load and of the echo, each")
	if len(experiments) == 1 && experiments[0].flags != nil {
		experiments[0].flags(cmd)
	}
	return cmd
}

func measure(cmd *cobra.Command, s settings, experiments []experiment) (err error) {
	m := &measurement{settings: s, doc: report.NewDocument(), out: cmd.OutOrStdout(), log: cmd.ErrOrStderr()}
	if s.quick && !cmd.Flags().Changed("warmup") {
		m.warmup = 100 * time.Millisecond
	}
	if s.quick && !cmd.Flags().Changed("duration") {
		m.duration = 400 * time.Millisecond
	}
	if err := errors.Join(m.findPeers(), m.findTools(experiments)); err != nil {
		return err
	}
	if err := peer.RaiseDescriptors(); err != nil {
		return err
	}
	if m.dir, err = os.MkdirTemp("", "pointsman-bench-"); err != nil {
		return fmt.Errorf("make temporary directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(m.dir)) }()
	if err := m.findPointsman(cmd.Context()); err != nil {
		return err
	}
	if len(m.candidates) == 0 {
		return errors.New("nothing to measure: no peer and no pointsman")
	}
	for _, e := range experiments {
		if e.ours && m.binary == "" {
			fmt.Fprintf(m.log, "%s: left out, it needs pointsman\n", e.use)
			continue
		}
		if err := e.run(cmd.Context(), m); err != nil {
			return fmt.Errorf("%s: %w", e.use, err)
		}
	}
	return m.conclude()
}

// findPeers checks the choice of peers before anything is built or started.
func (m *measurement) findPeers() error {
	var errs []error
	for _, name := range m.peers {
		if name != peer.Nginx && name != peer.HAProxy {
			errs = append(errs, fmt.Errorf("peer %q: want %s or %s", name, peer.Nginx, peer.HAProxy))
			continue
		}
		if slices.Contains(m.candidates, name) {
			continue
		}
		if _, err := peer.Installed(name); err != nil {
			errs = append(errs, err)
		}
		m.candidates = append(m.candidates, name)
	}
	return errors.Join(errs...)
}

// findTools checks for the tools of the experiments, so that a long run does not end for want of one.
func (m *measurement) findTools(experiments []experiment) error {
	var errs []error
	for _, e := range experiments {
		if e.ours && m.pointsman == withoutIt {
			continue
		}
		for _, name := range e.tools {
			if _, err := peer.FindTool(name); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", e.use, err))
			}
		}
	}
	return errors.Join(errs...)
}

// findPointsman makes the binary available, as --pointsman says.
func (m *measurement) findPointsman(ctx context.Context) (err error) {
	switch m.pointsman {
	case withoutIt:
		return nil
	case buildIt:
		fmt.Fprintln(m.log, "building pointsman")
		m.binary, err = peer.Build(ctx, m.dir)
		if err != nil {
			return err
		}
	default:
		if _, err := os.Stat(m.pointsman); err != nil {
			return fmt.Errorf("find pointsman: %w", err)
		}
		m.binary = m.pointsman
	}
	m.candidates = slices.Insert(m.candidates, 0, peer.Pointsman)
	return nil
}

// options are the contest's options as far as the shared flags say; rounds is what --runs 0 means.
func (m *measurement) options(rounds int) contest.Options {
	if m.runs > 0 {
		rounds = m.runs
	} else if m.quick {
		rounds = 1
	}
	return contest.Options{
		Candidates: m.candidates,
		Pointsman:  m.binary,
		Dir:        m.dir,
		Rounds:     rounds,
		Warmup:     m.warmup,
		Duration:   m.duration,
		EchoLoops:  m.loops,
		LoadLoops:  m.loops,
		Progress:   func(line string) { fmt.Fprintln(m.log, line) },
	}
}

// contested prints and judges the outcome of a contest.
func (m *measurement) contested(o contest.Outcome, err error) error {
	if err != nil {
		return err
	}
	m.doc.Contests = append(m.doc.Contests, o)
	m.doc.Verdicts = append(m.doc.Verdicts, report.Judge(o)...)
	return report.Print(m.out, o)
}

// conclude prints the verdicts and writes the document.
func (m *measurement) conclude() error {
	fmt.Fprintln(m.out)
	for _, v := range m.doc.Verdicts {
		fmt.Fprintln(m.out, v)
	}
	if m.json != "" {
		if err := m.doc.Write(m.json); err != nil {
			return err
		}
	}
	if !m.noVerdict && !m.doc.Hold() {
		return errClaim
	}
	return nil
}
