package contest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/pointsman/pointsman/bench/internal/peer"
)

// Options describe a contest. All fields are required unless they say otherwise.
type Options struct {
	// Candidates are names of package peer, without peer.Direct, which the contest adds where it makes sense.
	Candidates []string
	// Pointsman is the path of the binary, if it is a candidate.
	Pointsman string
	// Dir is an empty directory for files of the candidates.
	Dir string
	// Rounds is how often each candidate is measured, 1 to 100.
	Rounds int
	// Warmup and Duration are the two parts of a measurement. An idle contest ignores them.
	Warmup, Duration time.Duration
	// Connections is the number of sessions, or of callers of a fan-out. A handshake contest ignores it.
	Connections int
	// Opening is the number of handshakes under way at a time.
	Opening int
	// Size is the payload of a message in bytes.
	Size int
	// Every is the time between two messages of a session. Only a trickle contest uses it.
	Every time.Duration
	// Settle is how long idle sessions rest before memory is read. Only an idle contest uses it.
	Settle time.Duration
	// EchoLoops and LoadLoops are the threads at the two ends.
	EchoLoops, LoadLoops int
	// TLS says where TLS is spoken, if at all.
	TLS TLS
	// Progress, if set, is called before each measurement with a line for the user.
	Progress func(string)
}

func (o Options) check() error {
	var errs []error
	if len(o.Candidates) == 0 {
		errs = append(errs, errors.New("no candidates"))
	}
	if o.Rounds < 1 || o.Rounds > 100 {
		errs = append(errs, fmt.Errorf("%d rounds, want 1 to 100", o.Rounds))
	}
	return errors.Join(errs...)
}

func (o Options) progress(format string, args ...any) {
	if o.Progress != nil {
		o.Progress(fmt.Sprintf(format, args...))
	}
}

// stage is what stands ready for a contest: the echo, and the candidates that run for all of it.
type stage struct {
	opts       Options
	echo       *peer.Process // behind the candidates
	upstream   string
	candidates map[string]*peer.Candidate
	direct     *peer.Process // the echo without a proxy, if it is another one
}

// withStage starts the echo, runs script and stops all that was started.
func withStage(ctx context.Context, o Options, script func(*stage) error) error {
	if err := o.check(); err != nil {
		return fmt.Errorf("contest options: %w", err)
	}
	echo, upstream, err := peer.StartEcho(ctx, o.echo(o.TLS.Upstream))
	if err != nil {
		return err
	}
	s := &stage{opts: o, echo: echo, upstream: upstream, candidates: make(map[string]*peer.Candidate)}
	defer func() {
		for _, c := range s.candidates {
			c.Stop()
		}
		if s.direct != nil {
			s.direct.Stop()
		}
		echo.Stop()
	}()
	return script(s)
}

// echo is how an echo is started, with or without TLS.
func (o Options) echo(secure bool) peer.Echo {
	e := peer.Echo{Loops: o.EchoLoops}
	if secure {
		e.Cert, e.Key = o.TLS.Authority.CertFile, o.TLS.Authority.KeyFile
	}
	return e
}

// start starts a candidate; label keeps the files of several starts apart.
func (s *stage) start(ctx context.Context, name, label string) (*peer.Candidate, error) {
	return peer.Start(ctx, name, peer.Stand{
		Dir: filepath.Join(s.opts.Dir, name+label), Upstream: s.upstream, Pointsman: s.opts.Pointsman, TLS: s.opts.TLS.at(),
	})
}

// startAll starts the candidates that stay for the whole contest. Without a proxy, the load talks to an echo that speaks what the
// candidates speak with it.
func (s *stage) startAll(ctx context.Context) error {
	for _, name := range append([]string{peer.Direct}, s.opts.Candidates...) {
		c, err := s.start(ctx, name, "")
		if err != nil {
			return err
		}
		s.candidates[name] = c
	}
	if s.opts.TLS.Clients == s.opts.TLS.Upstream {
		return nil
	}
	direct, addr, err := peer.StartEcho(ctx, s.opts.echo(s.opts.TLS.Clients))
	if err != nil {
		return err
	}
	s.direct, s.candidates[peer.Direct].Addr = direct, addr
	return nil
}
