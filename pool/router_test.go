package pool

import (
	"fmt"
	"math"
	"testing"
)

func TestParseRouter(t *testing.T) {
	for _, name := range []string{"priority", "weighted", "least-sessions", "hash"} {
		r, err := ParseRouter(name)
		if err != nil {
			t.Fatal(err)
		}
		u := build(t, member{name: "a"})
		if r(Request{}, []*Upstream{u}) != u {
			t.Errorf("%s does not choose the only candidate", name)
		}
	}
	if _, err := ParseRouter("random"); err == nil || err.Error() != `router "random" is not one of priority, weighted, least-sessions, hash` {
		t.Fatal(err)
	}
}

// share draws often and returns each candidate's share of the draws.
func share(t *testing.T, router Router, members ...member) []float64 {
	t.Helper()
	const draws = 40_000
	var ups []*Upstream
	index := map[*Upstream]int{}
	for i, m := range members {
		m.name = fmt.Sprint(i)
		u := build(t, m)
		index[u] = i
		ups = append(ups, u)
	}
	shares := make([]float64, len(ups))
	for range draws {
		u := router(Request{}, ups)
		i, ok := index[u]
		if !ok {
			t.Fatal("chose something else")
		}
		shares[i] += 1.0 / draws
	}
	return shares
}

func TestShares(t *testing.T) {
	// One standard deviation of a share is at most 0.0025: six of them make a false alarm rarer than one in 10^8.
	const tolerance = 6 * 0.0025
	for _, row := range []struct {
		name    string
		router  Router
		members []member
		want    []float64
	}{
		{"priority: even", Priority, []member{{}, {}, {}, {}}, []float64{.25, .25, .25, .25}},
		{"priority: weights", Priority, []member{{weight: 1}, {weight: 2}, {weight: 5}}, []float64{.125, .25, .625}},
		{"priority: free share", Priority, []member{{max: 10, holding: 5}, {max: 10}}, []float64{1. / 3, 2. / 3}},
		{"priority: weight times free share", Priority,
			[]member{{weight: 4, max: 100, holding: 75}, {weight: 3}}, []float64{.25, .75}},
		{"priority: the size of a limit is no weight", Priority, []member{{max: 1000}, {max: 10}}, []float64{.5, .5}},
		{"priority: secondaries get nothing", Priority,
			[]member{{role: Secondary, weight: 100}, {}, {}}, []float64{0, .5, .5}},
		{"priority: only secondaries", Priority,
			[]member{{role: Secondary, weight: 3}, {role: Secondary}}, []float64{.75, .25}},
		{"priority: full by now", Priority, []member{{max: 1, holding: 1}, {}}, []float64{0, 1}},
		{"priority: full by now, last", Priority, []member{{}, {max: 1, holding: 1}}, []float64{1, 0}},
		{"priority: all full by now", Priority, []member{{max: 1, holding: 1}}, []float64{1}},
		{"least: fewest", LeastSessions, []member{{holding: 3}, {holding: 2}, {holding: 4}}, []float64{0, 1, 0}},
		{"least: per weight", LeastSessions, []member{{holding: 4, weight: 4}, {holding: 2}}, []float64{1, 0}},
		{"least: ties", LeastSessions, []member{{holding: 2}, {holding: 1}, {holding: 4, weight: 4}, {holding: 1}},
			[]float64{0, 1. / 3, 1. / 3, 1. / 3}},
		{"least: an idle secondary gets nothing", LeastSessions, []member{{role: Secondary}, {holding: 9}}, []float64{0, 1}},
		{"least: only secondaries", LeastSessions,
			[]member{{role: Secondary, holding: 1}, {role: Secondary}}, []float64{0, 1}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := share(t, row.router, row.members...)
			for i, want := range row.want {
				exact := want == 0 || want == 1
				if exact && math.Abs(got[i]-want) > 1e-6 || math.Abs(got[i]-want) > tolerance {
					t.Fatalf("shares %.4f, want %.4f", got, row.want)
				}
			}
		})
	}
}
