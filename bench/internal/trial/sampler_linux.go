package trial

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pointsman/pointsman/bench/internal/latency"
)

// sampler makes handshakes at a steady pace, each in a goroutine of its own, so that a slow one does not hide the next.
type sampler struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
	mu     sync.Mutex
	took   *latency.Histogram
	well   int
	failed int
	status map[int]int // of those that failed: how many were answered with which status, 0 for none
	first  error       // of them
}

// sample starts a sampler of so many handshakes per second. The caller must call stop.
func sample(ctx context.Context, addr string, rate int) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{cancel: cancel, took: latency.New(), status: make(map[int]int)}
	s.group.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			s.group.Go(func() { s.note(handshake(addr)) })
		}
	})
	return s
}

func (s *sampler) note(took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.failed++
		status := 0
		if r, ok := errors.AsType[*refusal](err); ok {
			status = r.status
		}
		s.status[status]++
		if s.first == nil {
			s.first = err
		}
		return
	}
	s.took.Record(took)
	s.well++
}

// stop ends the sampler, waits for the handshakes under way, whose time-outs bound that, and returns how long they took and how
// many failed. It may be called again.
func (s *sampler) stop() (latency.Summary, int) {
	s.cancel()
	s.group.Wait()
	return s.took.Summary(), s.failed
}

// tried is how many handshakes there were. It may be called after stop.
func (s *sampler) tried() int { return s.well + s.failed }
