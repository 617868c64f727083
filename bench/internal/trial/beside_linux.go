package trial

import (
	"context"
	"fmt"
	"time"

	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/load"
	"github.com/pointsman/pointsman/bench/internal/operator"
	"github.com/pointsman/pointsman/bench/internal/procstat"
)

// Calm describes a measurement of latency beside a drain.
type Calm struct {
	Sessions int  // measured, one message in flight on each
	Size     int  // of a message in bytes
	Drained  int  // idle sessions that are drained meanwhile
	Rate     int  // of the drain
	Return   bool // those who are closed come back, through the same router
	// Rounds is how often a time with the drain and one without are measured, for Window each after Warmup.
	Rounds         int
	Window, Warmup time.Duration
}

// RunBeside measures the latency of sessions beside others that are drained by an operator. The drain is paused and resumed, so
// that both are measured shortly after one another: first with it and then without, in the next round the other way round.
func RunBeside(ctx context.Context, o Options, m Calm) (Beside, error) {
	res := Beside{Sessions: m.Sessions, Size: m.Size, Drained: m.Drained, Rate: m.Rate, Return: m.Return}
	err := onStage(o, "beside", func(s *stage) error {
		var list string
		// The clients that are drained, and their upstreams, would be on other machines: what is measured is what their coming and
		// going costs the router, and not what it costs them.
		for _, name := range []string{"calm", "left", "right"} {
			u, err := s.place(name)
			if err != nil {
				return err
			}
			if name != "calm" {
				u.yields = true
			}
			if err := s.start(ctx, u); err != nil {
				return err
			}
			list += u.entry("role: primary")
		}
		config := everywhere + asUsual.String() + "upstreams:\n" + list +
			"routes:\n  - {match: {path: /calm}, upstreams: [calm]}\n  - {match: {path: /}, upstreams: [left, right]}\n"
		if err := s.serve(ctx, config, 1, "calm", "left", "right"); err != nil {
			return err
		}
		if err := s.door.Order(ctx, "/upstreams/right/disable", nil, nil); err != nil {
			return err
		}
		c, err := s.gather(ctx, crowd.Options{Clients: m.Drained, Return: m.Return, Yields: true}, "left")
		if err != nil {
			return err
		}
		if err := s.door.Order(ctx, "/upstreams/right/enable", nil, nil); err != nil {
			return err
		}
		var d operator.Drain
		if err := s.door.Order(ctx, "/upstreams/left/drain", map[string]any{"rate": m.Rate}, &d); err != nil {
			return err
		}
		draining := true
		measure := func(on bool) (BesideSample, error) {
			if on != draining {
				order := map[bool]string{true: "resume", false: "pause"}[on]
				if err := s.door.Order(ctx, "/drains/"+d.ID+"/"+order, nil, nil); err != nil {
					return BesideSample{}, err
				}
				draining = on
			}
			sample, errors, err := m.sample(ctx, s, c)
			res.Errors += errors
			return sample, err
		}
		for i := range m.Rounds {
			s.progress("  round %d of %d", i+1, m.Rounds)
			var round BesideRound
			for _, on := range []bool{i%2 == 0, i%2 != 0} {
				at := &round.Quiet
				if on {
					at = &round.Drain
				}
				var err error
				if *at, err = measure(on); err != nil {
					return err
				}
			}
			res.Rounds = append(res.Rounds, round)
		}
		return s.alive()
	})
	res.Ratio = medianRatio(res.Rounds)
	return res, err
}

// sample measures once, and counts the closes meanwhile.
func (m Calm) sample(ctx context.Context, s *stage, c *crowd.Crowd) (BesideSample, int64, error) {
	var begin, end time.Duration
	var used, usedBefore procstat.CPU
	got, err := load.Relay(ctx, load.Options{
		Target: s.at[0], Path: "/calm", Connections: m.Sessions, Size: m.Size, Loops: s.Loops, Warmup: m.Warmup, Duration: m.Window,
		Begin: func() (err error) {
			begin = c.Now()
			usedBefore, err = procstat.ReadCPU(s.router.PID())
			return err
		},
		End: func() (err error) {
			end = c.Now()
			used, err = procstat.ReadCPU(s.router.PID())
			return err
		},
	})
	if err != nil {
		return BesideSample{}, 0, fmt.Errorf("measure beside a drain: %w", err)
	}
	closes := history(c.Events()).where(kind(crowd.Closed), from(begin), before(end))
	return BesideSample{
		Latency: got.Latency, PerSecond: got.PerSecond, Seconds: got.Seconds, Closes: len(closes),
		Busy: used.Sub(usedBefore).Total().Seconds() / got.Seconds,
	}, got.Errors.Total(), nil
}
