package latency

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSummary(t *testing.T) {
	a, b := New(), New()
	for i := 1; i <= 1000; i++ {
		h := a
		if i%2 == 0 {
			h = b
		}
		h.Record(time.Duration(i) * time.Millisecond)
	}
	a.Merge(b)
	want := Summary{Mean: 500.5e3, P50: 500e3, P90: 900e3, P99: 990e3, P999: 999e3, Max: 1000e3}
	if diff := cmp.Diff(want, a.Summary(), cmpopts.EquateApprox(0.001, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Summary{}, New().Summary()); diff != "" {
		t.Errorf("empty (-want +got):\n%s", diff)
	}
}

func TestEdges(t *testing.T) {
	h := New()
	h.Record(-time.Second)
	h.Record(time.Hour)
	want := Summary{Mean: 60e6, P50: 1, P90: 120e6, P99: 120e6, P999: 120e6, Max: 120e6}
	if diff := cmp.Diff(want, h.Summary(), cmpopts.EquateApprox(0.03, 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	h := New()
	if n := testing.AllocsPerRun(1000, func() { h.Record(time.Millisecond) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
