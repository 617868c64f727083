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
	// Rounds is how often a time with the drain and one without are measured, for Window each after Warmup, with a share of the
	// load that the machine bears.
	Rounds         int
	Window, Warmup time.Duration
}

// calmShare is how much of the load that the machine bears the measured sessions make, whose processors are then half idle: messages that
// come one by one cost more than those that come in crowds. With all of the load, whatever else is done shows in
// the latency, wherever it is done.
const calmShare = 0.2

// RunBeside measures the latency of sessions of a router beside others of it that are drained by an operator, beside others of another
// router that are drained, and beside no drain. Clients and upstreams of those that are drained would be on other machines, but here they
// share the processors with what is measured; and the kernel does not interrupt what it does for them. So what the drain costs the
// router is seen in comparison with the same drain elsewhere. The drains are paused and resumed, so that all three are measured
// shortly after one another, in turn.
func RunBeside(ctx context.Context, o Options, m Calm) (Beside, error) {
	res := Beside{Sessions: m.Sessions, Size: m.Size, Drained: m.Drained, Rate: m.Rate, Return: m.Return}
	err := onStage(o, "beside", func(s *stage) error {
		return onStage(o, "elsewhere", func(other *stage) error {
			here, err := m.prepare(ctx, s, true)
			if err != nil {
				return err
			}
			there, err := m.prepare(ctx, other, false)
			if err != nil {
				return err
			}
			if err := other.router.Yield(); err != nil {
				return err
			}
			return m.rounds(ctx, s, here, there, &res)
		})
	})
	res.sumUp()
	return res, err
}

// rounds measures.
func (m Calm) rounds(ctx context.Context, s *stage, here, there *drainage, res *Beside) error {
	measure := func(at *BesideSample, running *drainage, every time.Duration) error {
		for _, d := range [...]*drainage{here, there} {
			if err := d.run(ctx, d == running); err != nil {
				return err
			}
		}
		sample, errors, err := m.sample(ctx, s, [...]*drainage{here, there}, every)
		res.Errors += errors
		*at = sample
		return err
	}
	var all BesideSample
	if err := measure(&all, nil, 0); err != nil {
		return err
	}
	res.PerSecond = max(all.PerSecond*calmShare, 1)
	every := time.Duration(float64(m.Sessions) / res.PerSecond * float64(time.Second))
	for i := range m.Rounds {
		s.progress("  round %d of %d", i+1, m.Rounds)
		var round BesideRound
		for k := range 3 {
			var err error
			switch (i + k) % 3 {
			case 0:
				err = measure(&round.Drain, here, every)
			case 1:
				err = measure(&round.Elsewhere, there, every)
			default:
				err = measure(&round.Quiet, nil, every)
			}
			if err != nil {
				return err
			}
		}
		res.Rounds = append(res.Rounds, round)
	}
	return s.alive()
}

// drainage is a drain that can be paused.
type drainage struct {
	door    operator.Door
	id      string
	crowd   *crowd.Crowd
	running bool
}

// prepare starts a router and gathers those who are to be drained. With calm there is a place for those who are measured.
func (m Calm) prepare(ctx context.Context, s *stage, calm bool) (*drainage, error) {
	names := []string{"left", "right"}
	routes := "routes:\n"
	if calm {
		names = append(names, "calm")
		routes += "  - {match: {path: /calm}, upstreams: [calm]}\n"
	}
	routes += "  - {match: {path: /}, upstreams: [left, right]}\n"
	list := "upstreams:\n"
	for _, name := range names {
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
	if err := s.serve(ctx, everywhere+asUsual.String()+list+routes, 1, names...); err != nil {
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
	if err := s.door.Order(ctx, "/upstreams/left/drain", map[string]any{"rate": m.Rate}, &d); err != nil {
		return nil, err
	}
	drain := &drainage{door: s.door, id: d.ID, crowd: c, running: true}
	return drain, drain.run(ctx, false)
}

// run lets the drain go on, or pauses it.
func (d *drainage) run(ctx context.Context, on bool) error {
	if on == d.running {
		return nil
	}
	d.running = on
	order := map[bool]string{true: "resume", false: "pause"}[on]
	return d.door.Order(ctx, "/drains/"+d.id+"/"+order, nil, nil)
}

// sample measures once, and counts the closes of each drain meanwhile.
func (m Calm) sample(ctx context.Context, s *stage, drains [2]*drainage, every time.Duration) (BesideSample, int64, error) {
	var begin, end [2]time.Duration
	var used, usedBefore procstat.CPU
	mark := func(at *[2]time.Duration, cpu *procstat.CPU) func() error {
		return func() (err error) {
			for i, d := range drains {
				at[i] = d.crowd.Now()
			}
			*cpu, err = procstat.ReadCPU(s.router.PID())
			return err
		}
	}
	got, err := load.Relay(ctx, load.Options{
		Target: s.at[0], Path: "/calm", Connections: m.Sessions, Size: m.Size, Loops: s.Loops, Every: every, Warmup: m.Warmup, Duration: m.Window,
		Begin: mark(&begin, &usedBefore), End: mark(&end, &used),
	})
	if err != nil {
		return BesideSample{}, 0, fmt.Errorf("measure beside a drain: %w", err)
	}
	closes := func(i int) int {
		return len(history(drains[i].crowd.Events()).where(kind(crowd.Closed), from(begin[i]), before(end[i])))
	}
	return BesideSample{
		Latency: got.Latency, PerSecond: got.PerSecond, Seconds: got.Seconds, Closes: closes(0), Elsewhere: closes(1),
		Busy: used.Sub(usedBefore).Total().Seconds() / got.Seconds,
	}, got.Errors.Total(), nil
}
