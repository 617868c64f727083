package pool

import (
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pointsman/pointsman/health"
)

// A row says the candidates with role and share, as "P0 P1 S.5", and those that are offered with a draw of 0.3.
func TestOffered(t *testing.T) {
	kinds := map[string]struct {
		role  Role
		share float64
	}{
		"P1": {Primary, 1}, "P0": {Primary, 0}, "P.2": {Primary, 0.2}, "P.3": {Primary, 0.3}, "P.4": {Primary, 0.4},
		"S1": {Secondary, 1}, "S0": {Secondary, 0}, "S.2": {Secondary, 0.2}, "S.4": {Secondary, 0.4},
	}
	for _, row := range []struct{ name, candidates, want string }{
		{"nobody comes home", "P1 S1 P1", "P1 S1 P1"},
		{"a held primary is left out", "P0 S1", "S1"},
		{"in the set's order", "S1 P0 S1 P0 S0", "S1 S1 S0"},
		{"held with nobody else stays", "P0", "P0"},
		{"all held stay", "P0 S0 P0", "P0 S0 P0"},
		{"held beside its own role stays", "P0 P1 S1", "P0 P1 S1"},
		{"a held secondary beside a primary stays", "P1 S0", "P1 S0"},
		{"a held secondary beside a secondary stays", "S0 S1", "S0 S1"},
		{"in the ramp: above the draw", "P.4 S1", "P.4 S1"},
		{"in the ramp: below the draw", "P.2 S1", "S1"},
		{"in the ramp: at the draw", "P.3 S1", "S1"},
		{"in the ramp beside its own role", "P.2 P1", "P1"},
		{"in the ramp, alone", "P.2", "P.2"},
		{"in the ramp, all out", "P.2 P.2 S.2", "P.2 P.2 S.2"},
		{"one draw for all", "P.2 P.4 P.2 S.2 S.4", "P.4 S.4"},
		{"drawn out beside a held one of its role", "P.2 P0", "P.2 P0"},
		{"drawn out: the held one does not come home in its place", "P.2 P0 S1", "S1"},
		{"drawn in: the held one stays beside it", "P.4 P0 S1", "P.4 P0 S1"},
		{"drawn out beside a held secondary", "P.2 S0", "P.2 S0"},
		{"a secondary in its ramp is somebody", "P0 S.4", "S.4"},
		{"unless it is drawn out", "P0 S.2", "P0 S.2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			names := map[*Upstream]string{}
			words := strings.Fields(row.candidates)
			c := newCandidates(len(words))
			for range 2 { // the second time in used slices
				c.reset()
				for _, word := range words {
					u := build(t, member{name: word, role: kinds[word].role})
					names[u] = word
					c.add(u, kinds[word].share)
				}
				if c.settled == strings.ContainsAny(row.candidates, "0.") {
					t.Fatalf("settled %v", c.settled)
				}
				var got []string
				for _, u := range c.offered(0.3) {
					got = append(got, names[u])
				}
				if strings.Join(got, " ") != row.want {
					t.Fatalf("offered %v, want %s", got, row.want)
				}
				if len(c.list) != len(words) {
					t.Fatal("the whole list is not whole any more")
				}
			}
		})
	}
}

func TestPickHeld(t *testing.T) {
	primary := member{name: "primary", coming: held}
	with := func(change func(*member)) member {
		m := member{name: "secondary", role: Secondary}
		change(&m)
		return m
	}
	for _, row := range []struct {
		name    string
		members []member
		want    string
	}{
		{"somebody else is well", []member{primary, with(func(*member) {})}, "secondary"},
		{"alone", []member{primary}, "primary"},
		{"the other is down", []member{primary, with(func(m *member) { m.down = true })}, "primary"},
		{"the other is full", []member{primary, with(func(m *member) { m.max, m.holding = 1, 1 })}, "primary"},
		{"the other is disabled", []member{primary, with(func(m *member) { m.disabled = true })}, "primary"},
		{"the other is held too", []member{primary, with(func(m *member) { m.coming = held })}, "primary"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := set(t, Priority, row.members...)
			for range 20 {
				lease, err := s.Pick(Request{}, Tried{})
				if err != nil || lease.Upstream().Name() != row.want {
					t.Fatalf("picked %v, %v; want %s", lease.Upstream(), err, row.want)
				}
				lease.Release()
			}
		})
	}
	t.Run("the other has been tried", func(t *testing.T) {
		s := set(t, Priority, primary, with(func(*member) {}))
		lease, err := s.Pick(Request{}, Tried{}.Add(s.Upstreams()[1]))
		if err != nil || lease.Upstream().Name() != "primary" {
			t.Fatalf("picked %v, %v", lease.Upstream(), err)
		}
	})
	t.Run("the other loses its last place", func(t *testing.T) {
		s := set(t, func(r Request, c []*Upstream) *Upstream {
			u := Priority(r, c)
			if u.Name() == "secondary" {
				u.acquire() // another session, just now
			}
			return u
		}, primary, with(func(m *member) { m.max = 1 }))
		lease, err := s.Pick(Request{}, Tried{})
		if err != nil || lease.Upstream().Name() != "primary" {
			t.Fatalf("picked %v, %v", lease.Upstream(), err)
		}
	})
	t.Run("the router does not want the other", func(t *testing.T) {
		s := set(t, func(_ Request, c []*Upstream) *Upstream {
			for _, u := range c {
				if u.Role() == Primary {
					return u
				}
			}
			return nil
		}, primary, with(func(*member) {}))
		lease, err := s.Pick(Request{}, Tried{})
		if err != nil || lease.Upstream().Name() != "primary" {
			t.Fatalf("picked %v, %v", lease.Upstream(), err)
		}
	})
	t.Run("the router wants nobody, and is not asked again about the same", func(t *testing.T) {
		asked := 0
		s := set(t, func(Request, []*Upstream) *Upstream { asked++; return nil }, primary)
		if _, err := s.Pick(Request{}, Tried{}); err != ErrNoUpstream || asked != 1 {
			t.Fatalf("%v after %d questions", err, asked)
		}
	})
	t.Run("the router is at fault, and is not asked again", func(t *testing.T) {
		asked := 0
		stranger := build(t, member{name: "stranger"})
		s := set(t, func(Request, []*Upstream) *Upstream { asked++; return stranger }, primary, with(func(*member) {}))
		if _, err := s.Pick(Request{}, Tried{}); !errors.Is(err, ErrNoUpstream) || err == ErrNoUpstream || asked != 1 {
			t.Fatalf("%v after %d questions", err, asked)
		}
	})
}

// The primary comes back: nothing while it is held, then a rising share, then everything. The secondary has the rest.
func TestPickFollowsTheShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const draws = 40_000
		s := set(t, Priority, member{name: "p"}, member{name: "s", role: Secondary})
		checker, err := health.New("p", health.Options{
			Probe: health.TCPProbe("127.0.0.1:1"), InitialUp: true,
			Jitter: -1, Hold: time.Minute, Ramp: 100 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.upstreams[0].checker = checker
		comeBack(s.upstreams[0])
		for _, row := range []struct {
			wait time.Duration
			want float64
		}{
			{0, 0}, {time.Minute - 1, 0}, {1, 0.01}, {25 * time.Second, 0.25}, {50 * time.Second, 0.75}, {25 * time.Second, 1}, {time.Hour, 1},
		} {
			time.Sleep(row.wait)
			got := 0.0
			for range draws {
				lease, err := s.Pick(Request{}, Tried{})
				if err != nil {
					t.Fatal(err)
				}
				if lease.Upstream().Role() == Primary {
					got += 1.0 / draws
				}
				lease.Release()
			}
			// One standard deviation is at most 0.0025.
			exact := row.want == 0 || row.want == 1
			if exact && math.Abs(got-row.want) > 1e-6 || math.Abs(got-row.want) > 6*0.0025 {
				t.Fatalf("with a share of %v it got %.4f, want %v", checker.Share(), got, row.want)
			}
		}
	})
}
