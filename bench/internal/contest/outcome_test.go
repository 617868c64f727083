package contest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRotate(t *testing.T) {
	names := []string{"a", "b", "c"}
	for round, want := range [][]string{{"a", "b", "c"}, {"b", "c", "a"}, {"c", "a", "b"}, {"a", "b", "c"}} {
		if diff := cmp.Diff(want, rotate(names, round)); diff != "" {
			t.Errorf("round %d (-want +got):\n%s", round, diff)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names); diff != "" {
		t.Errorf("rotate changed its argument:\n%s", diff)
	}
	if got := rotate(nil, 3); len(got) != 0 {
		t.Errorf("rotate of nothing = %v", got)
	}
}

func TestMedian(t *testing.T) {
	f := func(want float64, values ...float64) {
		t.Helper()
		if got := median(values); got != want {
			t.Errorf("median(%v) = %v, want %v", values, got, want)
		}
	}
	f(0)
	f(3, 3)
	f(2.5, 4, 1)
	f(3, 9, 1, 3)
	f(2.5, 100, 2, 3, 1)
	values := []float64{3, 1, 2}
	median(values)
	if diff := cmp.Diff([]float64{3, 1, 2}, values); diff != "" {
		t.Errorf("median changed its argument:\n%s", diff)
	}
}

// The ratio is taken within each round: the slow second round changes both figures and not the ratio.
func TestRatio(t *testing.T) {
	var o Outcome
	for round, slower := range []float64{1, 10, 1} {
		o.add("a", Sample{Round: round, CPU: 2 * slower})
		o.add("b", Sample{Round: round, CPU: 4 * slower, Errors: 1})
	}
	cpu := func(s Sample) float64 { return s.CPU }
	a, _ := o.Entry("a")
	b, ok := o.Entry("b")
	if got := Ratio(a, b, cpu); got != 0.5 || !ok {
		t.Errorf("ratio %v, want 0.5", got)
	}
	if got := b.Median(cpu); got != 4 {
		t.Errorf("median %v, want 4", got)
	}
	if got := b.Errors(); got != 3 {
		t.Errorf("%d errors, want 3", got)
	}
	if _, ok := o.Entry("c"); ok {
		t.Error("an entry for a candidate that was not there")
	}
	zero := Entry{Samples: []Sample{{Round: 0}}}
	if got := Ratio(a, zero, cpu); got != 0 {
		t.Errorf("ratio to nothing = %v, want 0", got)
	}
}
