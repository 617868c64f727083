package failover

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestDetection(t *testing.T) {
	h := Health{Interval: 2 * time.Second, Recheck: 500 * time.Millisecond, Timeout: time.Second, Fall: 3}
	if got, want := h.Detection(), 6500*time.Millisecond; got != want {
		t.Errorf("without jitter: %v, want %v", got, want)
	}
	h.Jitter = 0.1
	if got, want := h.Detection(), 6850*time.Millisecond; got != want {
		t.Errorf("with jitter: %v, want %v", got, want)
	}
}

func TestTally(t *testing.T) {
	const ms = time.Millisecond
	health := Health{Interval: 100 * ms, Timeout: 10 * ms, Fall: 1} // found within 110 ms
	refused, lost := errors.New("refused"), errors.New("lost")
	got := Result{Health: health}
	got.tally([]attempt{
		{begun: 0, took: 1 * ms},
		{begun: 999 * ms, took: 1 * ms, cut: lost},
		{begun: 1001 * ms, took: 90 * ms},           // on the secondary after 91 ms
		{begun: 1002 * ms, took: 3 * ms, cut: lost}, // no proof of the secondary
		{begun: 1010 * ms, took: 50 * ms},           // begun later, there sooner: 60 ms
		{begun: 1050 * ms, took: 5 * ms, err: refused},
		{begun: 1111 * ms, took: 2 * ms},               // late
		{begun: 1200 * ms, took: 4 * ms, err: refused}, // late
	}, 1000*ms)
	want := Result{
		Health: health, Tried: 8, Failed: 2, Late: 2, LateFailed: 1, Cut: 2, FirstFailure: "refused", FirstCut: "lost",
		FirstOnSecondary: 60, P50: 3, P99: 90, Slowest: 90, SlowestLate: 4,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0.002, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	none := Result{}
	none.tally([]attempt{{begun: 0, took: ms}}, time.Hour)
	if none.FirstOnSecondary >= 0 {
		t.Errorf("first on the secondary after %v ms without a fault", none.FirstOnSecondary)
	}
}
