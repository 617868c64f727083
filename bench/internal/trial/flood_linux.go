package trial

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/load"
	"github.com/pointsman/pointsman/bench/internal/peer"
)

// Flood describes a flood of TLS handshakes.
type Flood struct {
	Candidates []string // names of package peer, without peer.Direct
	Sessions   int
	Every      time.Duration // between two messages of a session
	Size       int           // of a message in bytes
	Clients    int           // of the flood, at a time
	Seconds    int           // of each measurement
	Rounds     int
}

// floodTakes is what passes between the start of a flood and the first second that is measured.
const floodTakes = 2

// RunFlood lets sessions with TLS send at a fixed pace, for a time alone and for a time beside a flood on the same listener, through each
// candidate in turn.
func RunFlood(ctx context.Context, o Options, f Flood) (Hellos, error) {
	res := Hellos{Sessions: f.Sessions, PerSecond: float64(f.Sessions) / f.Every.Seconds(), Size: f.Size, Clients: f.Clients}
	a, err := authority.New(filepath.Join(o.Dir, "hellos-authority"))
	if err != nil {
		return res, err
	}
	err = onStage(o, "hellos", func(s *stage) error {
		u, err := s.upstream(ctx, "primary")
		if err != nil {
			return err
		}
		var victims []*peer.Candidate
		for _, name := range f.Candidates {
			c, err := peer.Start(ctx, name, peer.Stand{
				Dir: filepath.Join(o.Dir, "hellos-"+name), Upstream: u.addr, Pointsman: o.Pointsman, TLS: peer.TLS{Authority: a, Clients: true},
			})
			if err != nil {
				return err
			}
			s.processes = append(s.processes, c.Process)
			victims = append(victims, c)
			res.Floods = append(res.Floods, FloodedBy{Candidate: name})
		}
		for round := range f.Rounds {
			for turn := range victims {
				i := (turn + round) % len(victims)
				v := victims[i]
				s.progress("  round %d of %d: %s", round+1, f.Rounds, v.Name)
				r, err := f.round(ctx, s, v, a)
				if err != nil {
					return v.Blame(err)
				}
				res.Floods[i].Rounds = append(res.Floods[i].Rounds, r)
			}
		}
		return nil
	})
	return res, err
}

// round measures the same sessions alone, and then beside a flood.
func (f Flood) round(ctx context.Context, s *stage, v *peer.Candidate, a *authority.Authority) (res FloodRound, err error) {
	var (
		second int // the next one
		flood  *peer.Flood
	)
	defer func() {
		if flood != nil { // after an error there is another one
			_, _ = flood.Stop()
		}
	}()
	o := load.Options{
		Target: v.Addr, Connections: f.Sessions, Size: f.Size, Loops: s.Loops, Every: f.Every, Duration: time.Second,
		TLS: a.Clients(authority.Full).Config(),
	}
	o.Begin = func() (err error) {
		if second == f.Seconds {
			flood, err = peer.StartFlood(v.Addr, f.Clients)
		}
		second++
		return err
	}
	got, err := load.Series(ctx, o, 2*f.Seconds+floodTakes)
	if err != nil {
		return res, fmt.Errorf("measure beside hellos: %w", err)
	}
	told, err := flood.Stop()
	if flood = nil; err != nil {
		return res, err
	}
	for i, r := range got {
		switch {
		case i < f.Seconds:
			res.Alone.Latency = append(res.Alone.Latency, r.Latency)
		case i >= f.Seconds+floodTakes:
			res.Beside.Latency = append(res.Beside.Latency, r.Latency)
		}
	}
	res.Alone.sumUp()
	res.Beside.sumUp()
	res.Answered, res.Failed, res.Errors = float64(told.Answered)/max(told.Seconds, 1e-3), told.Failed, got[0].Errors.Total()
	return res, nil
}
