package trial

import (
	"fmt"
	"slices"
	"time"

	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/latency"
	"github.com/pointsman/pointsman/bench/internal/tempo"
)

// history is what happened to a crowd, in the order in which it happened.
type history []crowd.Event

// where returns the events for which all conditions hold.
func (h history) where(conditions ...func(crowd.Event) bool) history {
	var found history
	for _, e := range h {
		if !slices.ContainsFunc(conditions, func(holds func(crowd.Event) bool) bool { return !holds(e) }) {
			found = append(found, e)
		}
	}
	return found
}

func kind(k crowd.Kind) func(crowd.Event) bool {
	return func(e crowd.Event) bool { return e.Kind == k }
}

func from(at time.Duration) func(crowd.Event) bool {
	return func(e crowd.Event) bool { return e.At >= at }
}

func before(at time.Duration) func(crowd.Event) bool {
	return func(e crowd.Event) bool { return e.At < at }
}

// closedWith selects Close frames with a code and reason.
func closedWith(code int, reason string) func(crowd.Event) bool {
	return func(e crowd.Event) bool { return e.Kind == crowd.Closed && e.Code == code && e.Reason == reason }
}

// series is when the events happened.
func (h history) series() tempo.Series {
	moments := make([]time.Duration, len(h))
	for i, e := range h {
		moments[i] = e.At
	}
	return tempo.New(moments)
}

// pace is how the events came; zero is the moment from which their times are measured.
func (h history) pace(zero time.Time) Pace {
	s := h.series()
	worst, _ := s.Worst(time.Second)
	return Pace{Closes: len(h), PerSecond: s.PerSecond(zero), Worst: worst, Seconds: s.Span().Seconds()}
}

// damage counts what must not happen.
func (h history) damage() Damage {
	var d Damage
	for _, e := range h {
		switch e.Kind {
		case crowd.Lost:
			d.Lost++
			if e.Partial {
				d.Partial++
			}
		case crowd.Broken:
			d.Broken++
		case crowd.Stalled:
			d.Stalled++
		default:
			continue
		}
		if d.First == "" {
			d.First = describe(e)
		}
	}
	return d
}

func describe(e crowd.Event) string {
	s := fmt.Sprintf("client %d on %q %v after %v: %s", e.Client, e.Where, e.Kind, e.At.Round(time.Millisecond), e.Reason)
	if e.Code != 0 {
		s += fmt.Sprintf(" (%d)", e.Code)
	}
	return s
}

// most is the largest number of events of one client, and how many clients have more than one.
func (h history) most() (largest, several int) {
	count := make(map[int]int)
	for _, e := range h {
		count[e.Client]++
		if count[e.Client] == 2 {
			several++
		}
		largest = max(largest, count[e.Client])
	}
	return largest, several
}

// reopened looks for the session that each client opened next after an end, and tells how long that took. An end without a
// next session is not among them.
func (h history) reopened(isEnd func(crowd.Event) bool) (opened history, away *latency.Histogram) {
	ended := make(map[int]time.Duration)
	away = latency.New()
	for _, e := range h {
		at, waits := ended[e.Client]
		switch {
		case isEnd(e):
			ended[e.Client] = e.At
		case e.Kind == crowd.Opened && waits:
			opened = append(opened, e)
			away.Record(e.At - at)
			delete(ended, e.Client)
		}
	}
	return opened, away
}

// seconds sums up each second after begin: how many were accepted and how long they took, and how many were refused.
func (h history) seconds(begin time.Duration) []StormSecond {
	var all []StormSecond
	var took []*latency.Histogram
	for _, e := range h {
		if e.At < begin || e.Kind != crowd.Opened && e.Kind != crowd.Refused {
			continue
		}
		i := int((e.At - begin) / time.Second)
		for len(all) <= i {
			all, took = append(all, StormSecond{}), append(took, latency.New())
		}
		if e.Kind == crowd.Refused {
			all[i].Refused++
			continue
		}
		all[i].Accepted++
		took[i].Record(e.Took)
	}
	for i := range all {
		sum := took[i].Summary()
		all[i].P50, all[i].P99 = sum.P50/1e3, sum.P99/1e3
	}
	return all
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
