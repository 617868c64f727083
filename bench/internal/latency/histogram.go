package latency

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	lowest  = time.Microsecond
	highest = 2 * time.Minute
)

// Histogram counts durations. Make it with New.
type Histogram struct{ h *hdrhistogram.Histogram }

// New returns an empty histogram.
func New() *Histogram {
	return &Histogram{hdrhistogram.New(int64(lowest), int64(highest), 3)}
}

// Record counts d.
func (h *Histogram) Record(d time.Duration) {
	if err := h.h.RecordValue(int64(min(max(d, lowest), highest))); err != nil {
		panic("BUG: value within the bounds of the histogram was refused: " + err.Error())
	}
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) { h.h.Merge(other.h) }

// Summary is what is reported of a histogram, in microseconds.
type Summary struct {
	Mean float64 `json:"mean_us"`
	P50  float64 `json:"p50_us"`
	P90  float64 `json:"p90_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	Max  float64 `json:"max_us"`
}

// Summary describes what has been counted so far; all figures are zero if there was nothing.
func (h *Histogram) Summary() Summary {
	if h.h.TotalCount() == 0 {
		return Summary{} // the library would give the width of the first bucket as the maximum
	}
	at := func(percent float64) float64 { return float64(h.h.ValueAtQuantile(percent)) / 1e3 }
	return Summary{
		Mean: h.h.Mean() / 1e3,
		P50:  at(50),
		P90:  at(90),
		P99:  at(99),
		P999: at(99.9),
		Max:  float64(h.h.Max()) / 1e3,
	}
}
