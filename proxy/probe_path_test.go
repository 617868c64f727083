package proxy

import (
	"context"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
)

// TestProbePathDownServes is fault 11 with real handshakes: between two failed
// probes a client is served, and that is what counts.
func TestProbePathDownServes(t *testing.T) {
	t.Parallel()
	turn := make(chan struct{})
	probe := func(ctx context.Context) error {
		select {
		case <-turn:
			return errGone
		case <-ctx.Done():
			return health.ErrLocal
		}
	}
	r := start(t, stay,
		member{name: "east", address: newEchoer(t, "east").address(), health: health.Options{
			Probe: probe, InitialUp: true, Fall: 2, Interval: time.Millisecond, Recheck: time.Millisecond, Timeout: patience,
		}},
		member{name: "west", address: newEchoer(t, "west").address(), role: pool.Secondary})
	east := r.upstream("east").Checker()
	for range 20 {
		last := east.Status().LastProbe.At
		turn <- struct{}{}
		until(t, "the probe to be noted", func() bool { return east.Status().LastProbe.At != last })
		r.wantNew("east")
	}
	if s := east.Status(); s.Trips != 0 || !s.Healthy || s.LastProbe.Err == "" {
		t.Errorf("status %+v", s)
	}
	turn <- struct{}{}
	turn <- struct{}{}
	until(t, "probes to be believed when nobody is served", func() bool { return !east.Healthy() })
}
