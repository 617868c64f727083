package pool

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// model is a set in any state, and what must be true of it.
type model struct {
	set    *Set
	leases []Lease
	held   map[*Upstream]int
}

// pick picks once and checks the choice: never an unavailable upstream, never one already tried; an error only when there is nobody; a role
// that is not worse than that of anybody whose share is 1; and one that is held only beside its equals, or when there
// is nobody else.
func (m *model) pick(t *rapid.T) {
	var tried Tried
	for _, u := range m.set.Upstreams() {
		if rapid.IntRange(0, 3).Draw(t, "tried") == 0 {
			tried = tried.Add(u)
		}
	}
	free := map[*Upstream]float64{} // the share of each
	bestFull, bestNotHeld, best := Role(9), Role(9), Role(9)
	for _, u := range m.set.Upstreams() {
		_, disabled := u.Disabled()
		if !u.Healthy() || disabled || u.Full() || tried.Has(u) {
			continue
		}
		share := u.Checker().Share()
		free[u] = share
		best = min(best, u.Role())
		if share > 0 {
			bestNotHeld = min(bestNotHeld, u.Role())
		}
		if share == 1 {
			bestFull = min(bestFull, u.Role())
		}
	}
	lease, err := m.set.Pick(Request{}, tried)
	if err != nil {
		if len(free) > 0 || !errors.Is(err, ErrNoUpstream) {
			t.Fatalf("%v, with %d free", err, len(free))
		}
		return
	}
	u := lease.Upstream()
	share, ok := free[u]
	switch {
	case !ok:
		t.Fatalf("%s is not free: healthy %v, full %v, tried %v", u.Name(), u.Healthy(), u.Full(), tried.Has(u))
	case u.Role() > bestFull:
		t.Fatalf("%s is a %v, and somebody better has a full share", u.Name(), u.Role())
	case share == 0 && bestFull != Role(9) && u.Role() < bestNotHeld:
		t.Fatalf("%s is held, and was picked before others who could take the session", u.Name())
	case bestFull == Role(9) && bestNotHeld == Role(9) && u.Role() != best:
		t.Fatalf("%s is a %v, and all are held", u.Name(), u.Role())
	case len(free) > 0 && bestFull == best && u.Role() != best:
		t.Fatalf("%s is a %v, and nobody better comes home", u.Name(), u.Role())
	}
	m.held[u]++
	m.leases = append(m.leases, lease)
}

func (m *model) release(t *rapid.T) {
	if len(m.leases) == 0 {
		t.Skip("no lease")
	}
	i := rapid.IntRange(0, len(m.leases)-1).Draw(t, "lease")
	m.held[m.leases[i].Upstream()]--
	m.leases[i].Release()
	m.leases = append(m.leases[:i], m.leases[i+1:]...)
}

// check recounts: the counts are those of the leases out, never above a limit, and what a drain asks agrees with what each upstream says.
func (m *model) check(t *rapid.T) {
	for _, u := range m.set.Upstreams() {
		if u.Sessions() != m.held[u] || (u.MaxSessions() > 0 && m.held[u] > u.MaxSessions()) {
			t.Fatalf("%s counts %d of %d leases, limit %d", u.Name(), u.Sessions(), m.held[u], u.MaxSessions())
		}
		home, better, elsewhere := false, false, false
		for _, v := range m.set.Upstreams() {
			better = better || v.Role() < u.Role()
			home = home || v.Role() < u.Role() && v.Available() && v.Checker().Share() == 1
			elsewhere = elsewhere || v != u && v.Available()
		}
		if m.set.Home(u) != home || m.set.HasBetter(u) != better || m.set.Elsewhere(u) != elsewhere || !m.set.Contains(u) {
			t.Fatalf("%s: home %v, better %v, elsewhere %v; want %v, %v, %v", u.Name(),
				m.set.Home(u), m.set.HasBetter(u), m.set.Elsewhere(u), home, better, elsewhere)
		}
	}
}

// Whatever happens in whatever order, in virtual time. All of it must be well below the day after which rapid has had enough.
func TestPickProperties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Not as a *testing.T, whose deadline is of the real time.
		rapid.Check(struct{ rapid.TB }{t}, func(t *rapid.T) {
			router := rapid.SampledFrom([]Router{Priority, LeastSessions}).Draw(t, "router")
			var members []member
			for i := range rapid.IntRange(1, 12).Draw(t, "size") {
				members = append(members, member{
					name:     fmt.Sprint(i),
					role:     Role(rapid.IntRange(0, 1).Draw(t, "role")),
					weight:   rapid.IntRange(0, 5).Draw(t, "weight"),
					max:      rapid.IntRange(0, 4).Draw(t, "max"),
					down:     rapid.IntRange(0, 3).Draw(t, "down") == 0,
					coming:   rapid.SampledFrom([]coming{home, home, held, ramping}).Draw(t, "coming"),
					within:   time.Second,
					disabled: rapid.IntRange(0, 5).Draw(t, "disabled") == 0,
				})
			}
			m := &model{set: set(t, router, members...), held: map[*Upstream]int{}}
			one := func(t *rapid.T) *Upstream { return rapid.SampledFrom(m.set.Upstreams()).Draw(t, "upstream") }
			t.Repeat(map[string]func(*rapid.T){
				"pick":      m.pick,
				"release":   m.release,
				"trip":      func(t *rapid.T) { trip(one(t)) },
				"come back": func(t *rapid.T) { comeBack(one(t)) },
				"disable":   func(t *rapid.T) { one(t).Disable("test") },
				"enable":    func(t *rapid.T) { one(t).Enable() },
				"pass":      func(*rapid.T) { time.Sleep(300 * time.Millisecond) },
				"":          m.check,
			})
		})
	})
}
