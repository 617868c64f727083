package report

import (
	"strings"
	"testing"

	"github.com/pointsman/pointsman/bench/internal/latency"
	"github.com/pointsman/pointsman/bench/internal/trial"
)

// printed checks that a text holds what it should.
func printed(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range append(want, "\n") {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in:\n%s", w, text)
		}
	}
	if strings.Contains(text, "%!") {
		t.Errorf("badly formatted:\n%s", text)
	}
}

// afresh lets a change have a result of its own: rows share what slices hold.
func afresh[T any](fresh func() T, change func(*T)) func(*T) {
	return func(r *T) {
		*r = fresh()
		change(r)
	}
}

func took(ms float64) latency.Summary {
	return latency.Summary{P50: ms * 1e3, P90: ms * 1e3, P99: ms * 1e3, Max: ms * 1e3}
}

func spares() trial.Spares {
	return trial.Spares{RoundTrip: 80, PerSecond: 10, Cases: []trial.SparesCase{
		{Took: took(165)}, {Spares: 8, Took: took(85)},
		{TLS: true, Took: took(245)}, {TLS: true, Spares: 8, Took: took(85)},
		{Failover: true, Took: took(165)}, {Failover: true, Spares: 8, Took: took(100)},
	}}
}

func TestSpares(t *testing.T) {
	judged(t, spares(), JudgeSpares, rowsOf[trial.Spares]{
		"good":      {afresh(spares, func(*trial.Spares) {}), ""},
		"two trips": {afresh(spares, func(r *trial.Spares) { r.Cases[5].Took = took(101) }), "failover, ws"},
		"slow, wss": {func(r *trial.Spares) {
			r.Cases = append(r.Cases[:3:3], trial.SparesCase{TLS: true, Spares: 8, Took: took(160)})
		}, "first connect, wss"},
		"no figure":   {afresh(spares, func(r *trial.Spares) { r.Cases = []trial.SparesCase{{Spares: 8}} }), "first connect, ws"},
		"one refused": {afresh(spares, func(r *trial.Spares) { r.Cases = []trial.SparesCase{{Failed: 1, First: "no session"}} }), "fails"},
	})
	var b strings.Builder
	if err := PrintSpares(&b, spares()); err != nil {
		t.Fatal(err)
	}
	printed(t, b.String(), "80 ms away", "first connect, wss", "245.0", "2.1")
}

func siege() trial.Slow {
	quiet := trial.SlowSample{P50: 100, P99: 500}
	ordinary := trial.SlowSample{P50: 100, P99: 1000, Opened: 100}
	attack := trial.SlowSample{
		P50: 100, P99: 1100, Alive: []int{10, 100, 40, 0}, Every: 0.25, Opened: 100, Refused: 100, Longest: 4.2,
		RSS: 20 << 20, Peak: 24 << 20,
	}
	return trial.Slow{Sessions: 1000, PerSecond: 2000, Slow: 100, SlowRate: 50, Deadline: 3, Attacks: []trial.SlowAttack{
		{Candidate: pointsman, Mode: "slow header", Ratio: 1.1, Rounds: []trial.SlowRound{{Alone: quiet, Ordinary: ordinary, Attack: attack}, {Alone: quiet, Ordinary: ordinary, Attack: attack}}},
		{Candidate: pointsman, Mode: "slow read", TLS: true, Ratio: 0.9, Rounds: []trial.SlowRound{{Alone: quiet, Ordinary: ordinary, Attack: attack}}},
		// Nothing is asked of the others.
		{Candidate: nginx, Mode: "slow read", TLS: true, Ratio: 2.5, Rounds: []trial.SlowRound{{Errors: 1, Attack: trial.SlowSample{Longest: 9, Left: 8, Peak: 1 << 30}}}},
	}}
}

func TestSlow(t *testing.T) {
	judged(t, siege(), JudgeSlow, rowsOf[trial.Slow]{
		"good":       {afresh(siege, func(*trial.Slow) {}), ""},
		"they show":  {afresh(siege, func(r *trial.Slow) { r.Attacks[0].Ratio = 1.26 }), "slow header, ws: p99"},
		"all do":     {afresh(siege, func(r *trial.Slow) { r.Attacks[0].Rounds[0].Attack.P99, r.Attacks[0].Rounds[1].Attack.P99 = 1101, 1101 }), "all attacks: p99"},
		"no figure":  {afresh(siege, func(r *trial.Slow) { r.Attacks[0].Ratio = 0 }), "slow header, ws: p99"},
		"a mistake":  {afresh(siege, func(r *trial.Slow) { r.Attacks[1].Rounds[0].Errors = 1 }), "slow read, wss: p99"},
		"one lasts":  {afresh(siege, func(r *trial.Slow) { r.Attacks[1].Rounds[0].Attack.Longest = 4.3 }), "slow read, wss: none"},
		"one stays":  {afresh(siege, func(r *trial.Slow) { r.Attacks[0].Rounds[1].Attack.Left = 1 }), "slow header, ws: none"},
		"it grows":   {afresh(siege, func(r *trial.Slow) { r.Attacks[0].Rounds[1].Attack.Peak = 27 << 20 }), "slow header, ws: at most"},
		"seen later": {afresh(siege, func(r *trial.Slow) { r.Attacks[0].Rounds[1].Attack.Opened = 3 }), ""},
	})
	few := siege()
	few.Attacks[0].Rounds[1].Attack.Opened, few.Attacks[0].Rounds[1].Attack.Refused = 32, 3
	for i, v := range JudgeSlow(few) {
		if v.Judged != (i >= 3 && i < 6) { // nor is what all have shown together
			t.Errorf("with an attack that hardly arrived: %v", v)
		}
	}
	few = siege()
	few.Attacks[0].Rounds[0].Ordinary.Opened = 3
	if v := JudgeSlow(few)[0]; v.Judged {
		t.Errorf("with ordinary clients that hardly arrived: %v", v)
	}
	var b strings.Builder
	if err := PrintSlow(&b, siege()); err != nil {
		t.Fatal(err)
	}
	printed(t, b.String(), "1000 sessions", "slow read, wss", "1.10", "2.20", "4.2", "alive every 0.25 s, slow header, ws, pointsman: 10 100 40 0")
}

func TestScarcity(t *testing.T) {
	good := trial.Scarcity{
		Limit: 2000, Before: 300, Rushed: 1200, Accepted: 600, Refused: 600, Tried: 60, Turned: 60, Silent: 1000, MostFiles: 1900, Looks: 100,
		Slowest: 20, Recovered: 15,
	}
	judged(t, good, JudgeScarcity, rowsOf[trial.Scarcity]{
		"good":            {func(*trial.Scarcity) {}, ""},
		"nobody refused":  {func(r *trial.Scarcity) { r.Refused = 0 }, "503"},
		"one cut":         {func(r *trial.Scarcity) { r.Other, r.First = 1, "reset" }, "503"},
		"one cut later":   {func(r *trial.Scarcity) { r.Odd = 1 }, "503"},
		"all used up":     {func(r *trial.Scarcity) { r.MostFiles = 2000 }, "limit"},
		"not looked":      {func(r *trial.Scarcity) { r.MostFiles = 0 }, "limit"},
		"a trip":          {func(r *trial.Scarcity) { r.Trips = 1 }, "breaker"},
		"a doubt":         {func(r *trial.Scarcity) { r.Doubts = 1 }, "breaker"},
		"slow to answer":  {func(r *trial.Scarcity) { r.Slowest = 1001 }, "admin"},
		"does not answer": {func(r *trial.Scarcity) { r.Failed = 1 }, "admin"},
		"never again":     {func(r *trial.Scarcity) { r.Recovered = -1 }, "room"},
		"not soon":        {func(r *trial.Scarcity) { r.Recovered = 1001 }, "room"},
		"others suffer":   {func(r *trial.Scarcity) { r.Damage.Lost = 1 }, "cut"},
	})
	var b strings.Builder
	if err := PrintScarcity(&b, good); err != nil {
		t.Fatal(err)
	}
	printed(t, b.String(), "may have 2000", "600 refused with 503", "most descriptors 1900", "after 15 ms")
}
