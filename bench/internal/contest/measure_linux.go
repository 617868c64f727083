package contest

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/load"
	"github.com/pointsman/pointsman/bench/internal/peer"
	"github.com/pointsman/pointsman/bench/internal/procstat"
)

// work is one measurement of load.
type work func(context.Context, load.Options) (load.Result, error)

// meter reads processor times at the two ends of a measured interval.
type meter struct {
	candidate       *peer.Process   // nil without a proxy
	ends            []*peer.Process // the echo, or all upstreams
	proxied, echoed procstat.CPU    // at first the readings at the begin, then the differences; echoed is the sum of the ends
	own             time.Duration   // the same for this process
}

func (m *meter) read() (proxied, echoed procstat.CPU, own time.Duration, err error) {
	if m.candidate != nil {
		if proxied, err = procstat.ReadCPU(m.candidate.PID()); err != nil {
			return proxied, echoed, 0, err
		}
	}
	for _, end := range m.ends {
		used, err := procstat.ReadCPU(end.PID())
		if err != nil {
			return proxied, echoed, 0, err
		}
		echoed.User += used.User
		echoed.System += used.System
	}
	var u unix.Rusage
	if err = unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		err = fmt.Errorf("read own processor time: %w", err)
	}
	return proxied, echoed, time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

func (m *meter) begin() (err error) {
	m.proxied, m.echoed, m.own, err = m.read()
	return err
}

func (m *meter) end() error {
	proxied, echoed, own, err := m.read()
	m.proxied, m.echoed, m.own = proxied.Sub(m.proxied), echoed.Sub(m.echoed), own-m.own
	return err
}

// measure puts load on one candidate and turns the result into a sample.
func (s *stage) measure(ctx context.Context, name string, round int, do work) (Sample, error) {
	c := s.candidates[name]
	m := &meter{candidate: c.Process, ends: []*peer.Process{s.echo}}
	if name == peer.Direct && s.direct != nil {
		m.ends[0] = s.direct
	}
	o := load.Options{
		Target:      c.Addr,
		Connections: s.opts.Connections,
		Opening:     s.opts.Opening,
		Size:        s.opts.Size,
		Every:       s.opts.Every,
		Loops:       s.opts.LoadLoops,
		Warmup:      s.opts.Warmup,
		Duration:    s.opts.Duration,
		Begin:       m.begin,
		End:         m.end,
	}
	res, err := s.opts.TLS.secured(do)(ctx, o)
	if err == nil && res.Done == 0 {
		err = fmt.Errorf("nothing succeeded in %v; errors %+v", s.opts.Duration, res.Errors)
	}
	if err != nil {
		return Sample{}, c.Blame(err)
	}
	if s.opts.TLS.Clients {
		// With TLS a part of the load's work is not done by its loops: collecting garbage.
		res.CPUSeconds = m.own.Seconds()
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(res.Done) }
	return Sample{
		Round:     round,
		PerSecond: res.PerSecond,
		CPU:       each(m.proxied.Total()),
		User:      each(m.proxied.User),
		LoadCPU:   res.CPUSeconds * 1e6 / float64(res.Done),
		P50:       res.Latency.P50,
		P99:       res.Latency.P99,
		Busy:      m.proxied.Total().Seconds() / res.Seconds,
		LoadBusy:  res.CPUSeconds / res.Seconds,
		EchoBusy:  m.echoed.Total().Seconds() / res.Seconds,
		Errors:    res.Errors.Total(),
	}, nil
}
