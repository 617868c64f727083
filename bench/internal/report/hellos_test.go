package report

import (
	"strings"
	"testing"

	"github.com/pointsman/pointsman/bench/internal/trial"
)

func hellos() trial.Hellos {
	flooded := func(who string, p99 ...float64) trial.FloodedBy {
		f := trial.FloodedBy{Candidate: who}
		for _, ms := range p99 {
			f.Rounds = append(f.Rounds, trial.FloodRound{Alone: trial.Flooded{P99: 400}, Beside: trial.Flooded{P50: 300, P99: ms * 1e3}, Answered: 2000})
		}
		return f
	}
	return trial.Hellos{Sessions: 1000, PerSecond: 500, Clients: 400, Floods: []trial.FloodedBy{
		flooded("pointsman", 4, 5, 90), flooded("nginx", 8, 9, 10), flooded("haproxy", 1, 6, 7),
	}}
}

func TestHellos(t *testing.T) {
	judged(t, hellos(), JudgeHellos, rowsOf[trial.Hellos]{
		"good":      {afresh(hellos, func(*trial.Hellos) {}), ""},
		"worse":     {afresh(hellos, func(r *trial.Hellos) { r.Floods[0].Rounds[0].Beside.P99 = 7e3 }), "p99"},
		"no figure": {afresh(hellos, func(r *trial.Hellos) { r.Floods[0].Rounds = nil }), "harmed"},
		"an error":  {afresh(hellos, func(r *trial.Hellos) { r.Floods[0].Rounds[2].Errors = 1 }), "harmed"},
		"spared":    {afresh(hellos, func(r *trial.Hellos) { r.Floods[0].Rounds[2].Answered = 0 }), "harmed"},
	})
	alone := hellos()
	alone.Floods = alone.Floods[:1]
	if v := JudgeHellos(alone)[0]; v.Judged || v.Holds {
		t.Errorf("judged without others: %+v", v)
	}
	var b strings.Builder
	if err := PrintHellos(&b, hellos()); err != nil {
		t.Fatal(err)
	}
	printed(t, b.String(), "400 clients at a time", "haproxy", "90000", "2000")
}
