package trial

import (
	"context"
	"errors"
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
	// Rounds is how often all three are measured, for Window each after Warmup.
	Rounds         int
	Window, Warmup time.Duration
}

// RunBeside measures the latency of sessions beside others that are drained by an operator, beside the same drain of another router,
// and beside none. The clients that are drained would be on other machines, but here they share the processors with what is measured,
// and so does what the kernel does for them. So what a drain costs the router is seen in comparison with the one elsewhere.
// Drains are paused and resumed, so that all three are measured shortly after one another; the next round begins with another one.
func RunBeside(ctx context.Context, o Options, m Calm) (Beside, error) {
	res := Beside{Sessions: m.Sessions, Size: m.Size, Drained: m.Drained, Rate: m.Rate, Return: m.Return}
	err := onStage(o, "beside", func(s *stage) error {
		return onStage(o, "beside-elsewhere", func(other *stage) error {
			here, err := m.prepare(ctx, s)
			if err != nil {
				return err
			}
			elsewhere, err := m.prepare(ctx, other)
			if err != nil {
				return err
			}
			for number := range m.Rounds {
				s.progress("  round %d of %d", number+1, m.Rounds)
				var r BesideRound
				for i := range 3 {
					at, drained := &r.Quiet, (*drainage)(nil)
					switch (number + i) % 3 {
					case 1:
						at, drained = &r.Elsewhere, elsewhere
					case 2:
						at, drained = &r.Drain, here
					}
					for _, d := range []*drainage{here, elsewhere} {
						if err := d.turn(ctx, d == drained); err != nil {
							return err
						}
					}
					if err := m.sample(ctx, here, elsewhere, at); err != nil {
						return err
					}
					res.Errors += at.Errors
				}
				res.Rounds = append(res.Rounds, r)
			}
			return errors.Join(s.alive(), other.alive())
		})
	})
	res.sumUp()
	return res, err
}

// drainage is a router some of whose sessions are drained.
type drainage struct {
	*stage
	crowd *crowd.Crowd // of those
	id    string       // of the drain
	on    bool         // it is not paused
}

// prepare starts a router with sessions that are drained, and their drain.
func (m Calm) prepare(ctx context.Context, s *stage) (*drainage, error) {
	var list string
	// The clients that are drained, and their upstreams, run when nobody else wants to: what is measured is what their coming and
	// going costs the router, and not what it costs them.
	for _, name := range []string{"calm", "left", "right"} {
		u, err := s.place(name)
		if err != nil {
			return nil, err
		}
		u.yields = name != "calm"
		if err := s.start(ctx, u); err != nil {
			return nil, err
		}
		list += u.entry("role: primary")
	}
	config := everywhere + asUsual.String() + "upstreams:\n" + list +
		"routes:\n  - {match: {path: /calm}, upstreams: [calm]}\n  - {match: {path: /}, upstreams: [left, right]}\n"
	if err := s.serve(ctx, config, 1, "calm", "left", "right"); err != nil {
		return nil, err
	}
	if err := s.door.Order(ctx, "/upstreams/right/disable", nil, nil); err != nil {
		return nil, err
	}
	c, err := s.gather(ctx, crowd.Options{Clients: m.Drained, Return: m.Return, Yields: true}, "left")
	if err != nil {
		return nil, err
	}
	if err := s.door.Order(ctx, "/upstreams/right/enable", nil, nil); err != nil {
		return nil, err
	}
	var d operator.Drain
	err = s.door.Order(ctx, "/upstreams/left/drain", map[string]any{"rate": m.Rate}, &d)
	return &drainage{stage: s, crowd: c, id: d.ID, on: true}, err
}

// turn lets the drain go on, or pauses it.
func (d *drainage) turn(ctx context.Context, on bool) error {
	if d.on == on {
		return nil
	}
	order := "pause"
	if on {
		order = "resume"
	}
	d.on = on
	return d.door.Order(ctx, "/drains/"+d.id+"/"+order, nil, nil)
}

// sample measures the sessions of here once, and counts the closes of both drains meanwhile.
func (m Calm) sample(ctx context.Context, here, elsewhere *drainage, res *BesideSample) error {
	var begin, end [2]time.Duration
	var used, usedBefore procstat.CPU
	got, err := load.Relay(ctx, load.Options{
		Target: here.at[0], Path: "/calm", Connections: m.Sessions, Size: m.Size, Loops: here.Loops, Warmup: m.Warmup, Duration: m.Window,
		Begin: func() (err error) {
			begin = [...]time.Duration{here.crowd.Now(), elsewhere.crowd.Now()}
			usedBefore, err = procstat.ReadCPU(here.router.PID())
			return err
		},
		End: func() (err error) {
			end = [...]time.Duration{here.crowd.Now(), elsewhere.crowd.Now()}
			used, err = procstat.ReadCPU(here.router.PID())
			return err
		},
	})
	if err != nil {
		return fmt.Errorf("measure beside a drain: %w", err)
	}
	closes := 0
	for i, d := range []*drainage{here, elsewhere} {
		closes += len(history(d.crowd.Events()).where(kind(crowd.Closed), from(begin[i]), before(end[i])))
	}
	*res = BesideSample{
		Latency: got.Latency, PerSecond: got.PerSecond, Seconds: got.Seconds, Errors: got.Errors.Total(), Closes: closes,
		Busy: used.Sub(usedBefore).Total().Seconds() / got.Seconds,
	}
	return nil
}
