package report

import (
	"strings"
	"testing"

	"github.com/pointsman/pointsman/bench/internal/contest"
)

// fanned has two rounds; the second is slower for all by a factor of ten.
func fanned() contest.Outcome {
	o := contest.Outcome{Experiment: "fanout", Setting: "a test", Callers: 16}
	for _, e := range []struct {
		name string
		s    contest.Sample
	}{
		{contest.OneCall, contest.Sample{PerSecond: 80_000, P50: 10, P99: 100, Calls: 9, EchoBusy: 0.6}},
		{pointsman, contest.Sample{PerSecond: 5_000, CPU: 200, User: 150, P50: 30, P99: 500, Calls: 7, EchoBusy: 0.4}},
		{contest.CallsInTurn, contest.Sample{PerSecond: 20_000, P50: 40, P99: 200, Calls: 9}},
		{contest.CallsAtOnce, contest.Sample{PerSecond: 25_000, P50: 20, P99: 400, Calls: 9}},
	} {
		slow := e.s
		slow.Round = 1
		slow.PerSecond /= 10
		slow.P50 *= 10
		slow.P99 *= 10
		o.Entries = append(o.Entries, contest.Entry{Name: e.name, Samples: []contest.Sample{e.s, slow}})
	}
	return o
}

func TestJudgeFanout(t *testing.T) {
	f := func(name, finding string, judged, holds bool, change func(*contest.Outcome)) {
		t.Helper()
		o := fanned()
		change(&o)
		v := Judge(o)
		if len(v) != 1 || v[0].Judged != judged || v[0].Holds != holds || !strings.Contains(v[0].Finding, finding) {
			t.Errorf("%s: %v", name, v)
		}
	}
	f("good", "14 messages, 0 errors in all ways; 0.06 times the rate of one direct call and 5.00 times its p99", true, true, func(*contest.Outcome) {})
	f("an error", "1 errors in all ways; first: pointsman: one came again", true, false, func(o *contest.Outcome) {
		o.Entries[1].Samples[1].Errors, o.Entries[1].Samples[1].First = 1, "one came again"
	})
	f("an error of the ends", "first: "+contest.CallsAtOnce, true, false, func(o *contest.Outcome) {
		o.Entries[3].Samples[0].Errors, o.Entries[3].Samples[0].First = 1, "broken"
	})
	f("nothing sent", "0 messages", true, false, func(o *contest.Outcome) { o.Entries[1].Samples = nil })
	f("not measured", "pointsman was not measured", false, false, func(o *contest.Outcome) { o.Entries = o.Entries[:1] })
}

func TestPrintFanout(t *testing.T) {
	var b strings.Builder
	if err := Print(&b, fanned()); err != nil {
		t.Fatal(err)
	}
	printed(t, b.String(), "fanout: a test; medians", "200.0", "150.0", "50.0",
		"rate of pointsman: 0.06 × 1 direct call, 0.25 × 4 direct calls in turn, 0.20 × 4 direct calls at once",
		"p99 of pointsman: 5.00 × 1 direct call, 2.50 × 4 direct calls in turn, 1.25 × 4 direct calls at once",
		"each upstream used 0.10 of a processor behind pointsman; called directly, one takes 16.0 times the messages")
	if strings.Contains(b.String(), "warning") {
		t.Errorf("an upstream is blamed:\n%s", b.String())
	}
	b.Reset()
	o := fanned()
	for i := range o.Entries[1].Samples {
		o.Entries[1].Samples[i].EchoBusy = 3.8
	}
	if err := Print(&b, o); err != nil {
		t.Fatal(err)
	}
	printed(t, b.String(), "warning: an upstream may be the limit")
}
