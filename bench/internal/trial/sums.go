package trial

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/tempo"
)

// What the router's Close frames say (docs/operations.md).
const (
	goingAway    = 1001
	restart      = 1012
	shuttingDown = "shutting down"
	moved        = "moved to primary"
	removed      = "upstream removed"
)

// ofDrain selects the closes of a failback, ofShutdown those of a shutdown.
var (
	ofDrain    = closedWith(restart, moved)
	ofShutdown = closedWith(goingAway, shuttingDown)
)

// lastTenth is where the active sessions are looked for.
const lastTenth = 0.1

// sumUp takes the figures from what the clients saw; zero is the moment from which their times are measured, began when the
// primary was started.
func (r *Homecoming) sumUp(all history, zero time.Time, began time.Duration) {
	closes := all.where(ofDrain)
	r.Pace = closes.pace(zero)
	r.Damage = all.damage()
	if len(closes) > 0 {
		r.Waited = milliseconds(closes[0].At - began)
	}
	active := make([]bool, len(closes))
	for i, e := range closes {
		active[i] = crowd.Active(e.Client, r.Active, r.Sessions)
		if e.Pending {
			r.Pending++
		}
	}
	r.ActiveLate, _, r.ActiveMedian = tempo.LastPart(active, lastTenth)
	opened, away := all.reopened(ofDrain)
	r.Away = away.Summary()
	for _, e := range opened {
		if e.Where == "primary" {
			r.Home++
		} else {
			r.Astray++
		}
	}
}

// sumUp is told when the primary was killed, and when it was started again.
func (r *Relapse) sumUp(all history, zero time.Time, killed, back time.Duration) {
	first, second := all.where(ofDrain, before(back)), all.where(ofDrain, from(back))
	_, twice := first.most()
	_, again := second.most()
	r.Twice = twice + again
	late := first.where(from(killed))
	if r.Late = len(late); r.Late > 0 {
		r.LastClose = milliseconds(late[r.Late-1].At - killed)
	}
	r.Ends = make(map[string]int)
	on := make(map[int]string)
	for _, e := range all {
		switch {
		case e.Kind == crowd.Opened:
			if on[e.Client] = e.Where; e.Where == "primary" && e.At < killed {
				r.Home++
			}
		case e.Kind == crowd.Closed && e.Where == "primary":
			r.Ends[fmt.Sprintf("%d %s", e.Code, e.Reason)]++
		}
	}
	for _, where := range on {
		if where == "primary" {
			r.InTheEnd++
		}
	}
	r.Return = second.pace(zero)
	r.Worst = all.where(ofDrain).pace(zero).Worst
	r.Damage = all.damage()
}

// medianRatio is the median of the rounds' ratios of two p99, zero without any.
func medianRatio[R any](rounds []R, p99 func(R) (of, to float64)) float64 {
	var ratios []float64
	for _, r := range rounds {
		if of, to := p99(r); to > 0 {
			ratios = append(ratios, of/to)
		}
	}
	return median(ratios)
}

// meanRatio is the geometric mean of the rounds' ratios of two p99, zero if one is not known, or without any.
func meanRatio[R any](rounds []R, p99 func(R) (of, to float64)) float64 {
	sum := 0.0
	for _, r := range rounds {
		of, to := p99(r)
		if of <= 0 || to <= 0 {
			return 0
		}
		sum += math.Log(of / to)
	}
	if len(rounds) == 0 {
		return 0
	}
	return math.Exp(sum / float64(len(rounds)))
}

// median is zero without any values. It sorts them.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func (r *Flap) sumUp(all history) {
	opened := all.where(kind(crowd.Opened))
	most, _ := opened.most()
	r.Moves, r.MostMoves = len(opened)-r.Sessions, most-1
	r.DrainCloses = len(all.where(ofDrain))
	r.Refused = len(all.where(kind(crowd.Refused)))
	r.Damage = all.damage()
}

func (r *Shutdown) sumUp(all history, zero time.Time, signalled time.Duration) {
	closes := all.where(ofShutdown)
	r.Pace = closes.pace(zero)
	r.Other = len(all.where(kind(crowd.Closed))) - len(closes)
	r.Damage = all.damage()
	if len(closes) > 0 {
		r.First = milliseconds(closes[0].At - signalled)
	}
}

// sumUp gets the clients that were there from the beginning and those that came when the third upstream was there; gone is when
// it was removed.
func (r *Reload) sumUp(settled, added history, zero time.Time, gone time.Duration) {
	isEnd := func(e crowd.Event) bool { return e.Kind != crowd.Opened }
	// Sessions that the removed upstream never had must not end either, in whichever crowd.
	ends := append(settled.where(isEnd), added.where(isEnd, func(e crowd.Event) bool { return e.Where != "three" })...)
	if r.Ended = len(ends); r.Ended > 0 {
		r.FirstEnd = describe(ends[0])
	}
	leaving := func(e crowd.Event) bool { return closedWith(restart, removed)(e) && e.Where == "three" && e.At >= gone }
	closes := added.where(leaving)
	r.Closed, r.Removal = len(closes), closes.pace(zero)
	opened, _ := added.reopened(leaving)
	r.Returned = len(opened.where(func(e crowd.Event) bool { return e.Where != "three" }))
	r.Damage = slices.Concat(settled, added).damage()
}

func (r *Storm) sumUp(all history, killed time.Duration) {
	after := all.where(from(killed))
	back := after.where(kind(crowd.Opened)).series()
	reached := func(share float64) float64 {
		at, ok := back.Reached(share, r.Sessions)
		if !ok {
			return -1
		}
		return (at - killed).Seconds()
	}
	r.Most, r.All = reached(0.99), reached(1)
	refusals := after.where(func(e crowd.Event) bool { return e.Kind == crowd.Refused && e.Code == 503 })
	r.Refused = len(refusals)
	r.Told = len(refusals.where(func(e crowd.Event) bool { return e.Reason != "" }))
	r.MostRefusals, _ = refusals.most()
	r.Other = len(after.where(func(e crowd.Event) bool { return e.Kind == crowd.Refused && e.Code != 503 || e.Kind == crowd.Failed }))
	r.Seconds = after.seconds(killed)
	r.Damage = all.damage()
}
