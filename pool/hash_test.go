package pool

import (
	"fmt"
	"math"
	"testing"
)

func hashed(t *testing.T, members ...member) []*Upstream {
	var ups []*Upstream
	for i, m := range members {
		m.name = fmt.Sprint("upstream-", i)
		ups = append(ups, build(t, m))
	}
	return ups
}

// whereTo is who gets each of many clients.
func whereTo(candidates []*Upstream) map[string]*Upstream {
	const clients = 20_000
	to := make(map[string]*Upstream, clients)
	for i := range clients {
		affinity := fmt.Sprint("user", i)
		to[affinity] = Hash(Request{Affinity: affinity}, candidates)
	}
	return to
}

// Each upstream gets clients by its weight, however alike their names are.
func TestHashShares(t *testing.T) {
	ups := hashed(t, member{}, member{weight: 2}, member{weight: 5}, member{role: Secondary, weight: 100})
	got := map[*Upstream]float64{}
	to := whereTo(ups)
	for _, u := range to {
		got[u] += 1 / float64(len(to))
	}
	for i, want := range []float64{0.125, 0.25, 0.625, 0} {
		if math.Abs(got[ups[i]]-want) > 0.02 {
			t.Errorf("%s: share %.3f, want %.3f", ups[i].Name(), got[ups[i]], want)
		}
	}
}

// When one goes, only its own clients move, and to all the others; when it is back all is as before.
func TestHashMovesOnlyWhoHasTo(t *testing.T) {
	ups := hashed(t, member{}, member{}, member{}, member{})
	before, without := whereTo(ups), whereTo([]*Upstream{ups[3], ups[0], ups[2]}) // the order does not matter
	moved := map[*Upstream]int{}
	for client, u := range before {
		switch now := without[client]; {
		case u == ups[1]:
			moved[now]++
		case u != now:
			t.Fatalf("%s moved from %s to %s, and %s had gone", client, u.Name(), now.Name(), ups[1].Name())
		}
	}
	if len(moved) != 3 {
		t.Errorf("its clients moved to %d others, want 3", len(moved))
	}
}

// What a client's lot is, is the same in every process and version: several routers must agree.
func TestHashIsStable(t *testing.T) {
	ups := hashed(t, member{}, member{}, member{})
	for affinity, want := range map[string]string{"192.0.2.1": "upstream-1", "carol-0": "upstream-2", "dave": "upstream-1", "alice": "upstream-1", "bob": "upstream-1", "é": "upstream-2"} {
		if got := Hash(Request{Affinity: affinity}, ups).Name(); got != want {
			t.Errorf("%q goes to %s, want %s", affinity, got, want)
		}
	}
}

// Without an affinity clients are spread.
func TestHashWithoutAffinity(t *testing.T) {
	ups := hashed(t, member{}, member{})
	got := map[*Upstream]bool{}
	for range 200 {
		got[Hash(Request{}, ups)] = true
	}
	if len(got) != 2 {
		t.Error("all went to one")
	}
}

func TestHashDoesNotAllocate(t *testing.T) {
	ups := hashed(t, member{}, member{}, member{})
	if n := testing.AllocsPerRun(100, func() { Hash(Request{Affinity: "alice"}, ups) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
