package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/bench/internal/contest"
	"github.com/pointsman/pointsman/bench/internal/failover"
)

// outcome has two rounds for each candidate; the second is slower for all by a factor of three.
func outcome(experiment string, samples map[string]contest.Sample) contest.Outcome {
	o := contest.Outcome{Experiment: experiment, Setting: "a test"}
	for _, name := range []string{direct, pointsman, nginx, haproxy} {
		s, ok := samples[name]
		if !ok {
			continue
		}
		slow := s
		slow.Round = 1
		slow.PerSecond /= 3
		slow.CPU *= 3
		slow.P99 *= 3
		o.Entries = append(o.Entries, contest.Entry{Name: name, Samples: []contest.Sample{s, slow}})
	}
	return o
}

func TestJudge(t *testing.T) {
	type samples = map[string]contest.Sample
	f := func(name, experiment string, s samples, want ...bool) {
		t.Helper()
		var got []bool
		for _, v := range Judge(outcome(experiment, s)) {
			if !v.Judged {
				t.Errorf("%s: not judged: %v", name, v)
			}
			got = append(got, v.Holds)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	at := func(cpu, p99 float64) contest.Sample { return contest.Sample{CPU: cpu, P99: p99} }
	f("level", "relay", samples{pointsman: at(10, 100), nginx: at(10, 100), haproxy: at(15, 150)}, true, true)
	f("within the limit", "relay", samples{pointsman: at(10.4, 104), nginx: at(10, 100), haproxy: at(15, 150)}, true, true)
	f("more CPU than one peer", "relay", samples{pointsman: at(10.6, 90), nginx: at(15, 100), haproxy: at(10, 150)}, false, true)
	f("later than one peer", "relay", samples{pointsman: at(9, 110), nginx: at(15, 100), haproxy: at(10, 150)}, true, false)
	f("a peer without figures", "relay", samples{pointsman: at(9, 110), nginx: at(0, 0), haproxy: at(10, 150)}, false, false)

	f("a trickle, enough", "trickle", samples{pointsman: at(19.9, 999), nginx: at(10, 100), haproxy: at(15, 150)}, true)
	f("a trickle, too much", "trickle", samples{pointsman: at(20.1, 999), nginx: at(15, 100), haproxy: at(10, 150)}, false)
	rate := func(r float64) contest.Sample { return contest.Sample{PerSecond: r} }
	f("bulk, enough", "bulk", samples{pointsman: rate(1810), haproxy: rate(1000)}, true)
	f("bulk, too little", "bulk", samples{pointsman: rate(1790), haproxy: rate(1000)}, false)
	f("bulk with errors", "bulk", samples{pointsman: {PerSecond: 5000, Errors: 1}, haproxy: rate(1000)}, false)
	f("handshakes, enough", "handshakes", samples{pointsman: rate(710), nginx: rate(1000)}, true)
	f("handshakes, too few", "handshakes", samples{pointsman: rate(690), nginx: rate(1000)}, false)
	f("idle, small", "idle", samples{pointsman: {RSS: 2048}}, true)
	f("idle, large", "idle", samples{pointsman: {RSS: 2049}}, false)
	both := func(a, b float64) samples { return samples{pointsman: {RSS: a}, haproxy: {RSS: b}} }
	f("tls idle, half", "tls idle", both(10_000, 20_000), true)
	f("tls idle, more", "tls idle", both(10_001, 20_000), false)
	f("tls both idle, half", "tls both idle", both(20_000, 40_000), true)
	f("tls both idle, more", "tls both idle", both(20_001, 40_000), false)
	f("tls idle, a peer without figures", "tls idle", both(1, 0), false)
	f("tls relay, level", "tls relay", samples{pointsman: at(10.4, 999), nginx: at(10, 100), haproxy: at(15, 150)}, true)
	f("tls relay, more CPU than one", "tls relay", samples{pointsman: at(10.6, 1), nginx: at(15, 100), haproxy: at(10, 150)}, false)
	f("tls handshakes, level", "tls handshakes", samples{pointsman: rate(960), nginx: rate(1000)}, true)
	f("tls handshakes, fewer", "tls handshakes", samples{pointsman: rate(940), nginx: rate(1000)}, false)
	f("tls resumed, fewer", "tls resumed handshakes", samples{pointsman: rate(940), nginx: rate(1000)}, false)
	f("idle with lost sessions", "idle", samples{pointsman: {RSS: 100, Errors: 1}}, false)
}

func TestNotJudged(t *testing.T) {
	for _, experiment := range []string{"relay", "trickle", "bulk", "idle", "handshakes", "tls idle", "tls both idle", "tls relay", "tls handshakes", "tls resumed handshakes"} {
		for _, v := range Judge(outcome(experiment, map[string]contest.Sample{nginx: {CPU: 1}, haproxy: {CPU: 1}})) {
			if v.Judged || v.Holds || !strings.Contains(v.String(), "not judged") {
				t.Errorf("%s without pointsman: %v", experiment, v)
			}
			if !(&Document{Verdicts: []Verdict{v}}).Hold() {
				t.Errorf("%s: what is not judged does not fail", experiment)
			}
		}
	}
}

func TestJudgeFailover(t *testing.T) {
	good := failover.Result{Fault: failover.Kill, Tried: 100, Late: 10, FirstOnSecondary: 3, SlowestLate: 5, SecondarySessions: 60}
	f := func(name string, change func(*failover.Result), want ...bool) {
		t.Helper()
		r := good
		change(&r)
		var got []bool
		for _, v := range JudgeFailover(r) {
			got = append(got, v.Holds)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	f("good", func(*failover.Result) {}, true, true)
	f("early failure", func(r *failover.Result) { r.Failed = 1 }, false, true)
	f("late failure", func(r *failover.Result) { r.Failed, r.LateFailed = 1, 1 }, false, false)
	f("late and slow", func(r *failover.Result) { r.SlowestLate = 5000 }, true, false)
	f("nobody on the secondary", func(r *failover.Result) { r.FirstOnSecondary = -1 }, false, true)
	f("nothing late", func(r *failover.Result) { r.Late = 0 }, true, false)
}

func TestPrint(t *testing.T) {
	var b strings.Builder
	o := outcome("relay", map[string]contest.Sample{
		direct:    {PerSecond: 90_000, LoadBusy: 0.99, EchoBusy: 0.8},
		pointsman: {PerSecond: 30_000, CPU: 10, P99: 300, LoadBusy: 0.5},
		nginx:     {PerSecond: 15_000, CPU: 20, P99: 600, EchoBusy: 0.95},
	})
	if err := Print(&b, o); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"relay: a test; medians",
		"CPU of pointsman: 0.50 × nginx",
		"rate of pointsman: 2.00 × nginx",
		"warning: with nginx the load used 0.00 and the echo 0.95",
		"the ends alone do 3.0 times the rate of pointsman",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "warning: with direct") {
		t.Errorf("the ends are compared with themselves:\n%s", b.String())
	}

	b.Reset()
	if err := Print(&b, outcome("idle", map[string]contest.Sample{nginx: {RSS: 20_000}, haproxy: {RSS: 5_000}})); err != nil {
		t.Fatal(err)
	}
	if want := "RSS of nginx: 4.00 × haproxy"; !strings.Contains(b.String(), want) {
		t.Errorf("no %q in:\n%s", want, b.String())
	}

	b.Reset()
	if err := Print(&b, outcome("tls resumed handshakes", map[string]contest.Sample{pointsman: {PerSecond: 10, LoadCPU: 123.4}, direct: {}})); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CPU µs per handshake", "load's CPU µs", "123.40"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
	b.Reset()
	if err := Print(&b, outcome("tls idle", map[string]contest.Sample{pointsman: {RSS: 8000}})); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "RSS bytes per session") {
		t.Errorf("no memory in:\n%s", b.String())
	}
	for bytes, want := range map[float64]string{8000: "within the goal", 9000: "above the goal"} {
		v := Judge(outcome("tls idle", map[string]contest.Sample{pointsman: {RSS: bytes}, haproxy: {RSS: 20_000}}))
		if len(v) != 1 || !strings.Contains(v[0].Finding, want) {
			t.Errorf("%v: %v", bytes, v)
		}
	}

	b.Reset()
	if err := PrintFailover(&b, failover.Result{Fault: failover.Stop, Detection: 6850, Tried: 9, FirstOnSecondary: 1.25, P99: 2.5}); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); strings.Contains(s, "%!") || !strings.Contains(s, "SIGSTOP") || !strings.Contains(s, "within 6850 ms") {
		t.Errorf("failover text:\n%s", s)
	}
}

func TestDocument(t *testing.T) {
	d := NewDocument()
	d.Contests = append(d.Contests, outcome("bulk", map[string]contest.Sample{pointsman: {PerSecond: 1}, haproxy: {PerSecond: 1}}))
	d.Verdicts = Judge(d.Contests[0])
	if d.Hold() {
		t.Error("a failed claim holds")
	}
	file := filepath.Join(t.TempDir(), "result.json")
	if err := d.Write(file); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var again Document
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*d, again); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}
