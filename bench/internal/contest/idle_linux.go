package contest

import (
	"context"
	"fmt"
	"time"

	"github.com/pointsman/pointsman/bench/internal/load"
	"github.com/pointsman/pointsman/bench/internal/procstat"
)

// Idle is the contest in holding sessions on which nothing happens. Each measurement has a fresh process, so that the
// memory before the first session is known.
func Idle(ctx context.Context, o Options) (Outcome, error) {
	out := Outcome{
		Experiment: o.TLS.experiment("idle"),
		Setting:    o.TLS.setting(fmt.Sprintf("%d idle sessions, memory read %v after the last handshake", o.Connections, o.Settle)),
	}
	err := withStage(ctx, o, func(s *stage) error {
		for round := range o.Rounds {
			for _, name := range rotate(o.Candidates, round) {
				o.progress("%s: round %d of %d: %s", out.Experiment, round+1, o.Rounds, name)
				sample, err := s.rest(ctx, name, round)
				if err != nil {
					return err
				}
				out.add(name, sample)
			}
		}
		return nil
	})
	return out, err
}

// rest measures one fresh candidate.
func (s *stage) rest(ctx context.Context, name string, round int) (Sample, error) {
	c, err := s.start(ctx, name, fmt.Sprintf("-idle-%d", round))
	if err != nil {
		return Sample{}, err
	}
	defer c.Stop()
	empty, err := procstat.ReadMemory(c.Process.PID())
	if err != nil {
		return Sample{}, c.Blame(err)
	}
	var full procstat.Memory
	hold := func(ctx context.Context) (err error) {
		t := time.NewTimer(s.opts.Settle)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		full, err = procstat.ReadMemory(c.Process.PID())
		return err
	}
	res, err := s.opts.TLS.secured(func(ctx context.Context, o load.Options) (load.Result, error) {
		return load.Idle(ctx, o, hold)
	})(ctx, load.Options{
		Target:      c.Addr,
		Connections: s.opts.Connections,
		Opening:     s.opts.Opening,
		Size:        s.opts.Size,
		Loops:       s.opts.LoadLoops,
	})
	if err != nil {
		return Sample{}, c.Blame(err)
	}
	each := func(bytes int64) float64 { return float64(bytes) / float64(s.opts.Connections) }
	return Sample{
		Round:     round,
		PerSecond: res.PerSecond,
		RSS:       each(full.RSS - empty.RSS),
		PSS:       each(full.PSS - empty.PSS),
		Empty:     float64(empty.RSS),
		Errors:    res.Errors.Total(),
	}, nil
}
