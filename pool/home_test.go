package pool

import "testing"

func TestWhereASessionWouldGo(t *testing.T) {
	secondary := member{name: "s", role: Secondary}
	for _, row := range []struct {
		name                    string
		others                  []member // beside the one that the session is on
		from                    member
		home, better, elsewhere bool
	}{
		{"on the only one", nil, member{name: "p"}, false, false, false},
		{"on a primary beside another", []member{{name: "q"}}, member{name: "p"}, false, false, true},
		{"on a primary beside a secondary", []member{secondary}, member{name: "p"}, false, false, true},
		{"on a secondary", []member{{name: "p"}}, secondary, true, true, true},
		{"on a full secondary", []member{{name: "p"}}, member{name: "s", role: Secondary, max: 1, holding: 1}, true, true, true},
		{"the primary is down", []member{{name: "p", down: true}}, secondary, false, true, false},
		{"the primary is held", []member{{name: "p", coming: held}}, secondary, false, true, true},
		{"the primary is in its ramp", []member{{name: "p", coming: ramping}}, secondary, false, true, true},
		{"the primary is full", []member{{name: "p", max: 1, holding: 1}}, secondary, false, true, false},
		{"the primary is disabled", []member{{name: "p", disabled: true}}, secondary, false, true, false},
		{"one of two primaries is well", []member{{name: "p", coming: held}, {name: "q"}}, secondary, true, true, true},
		{"only secondaries", []member{{name: "s2", role: Secondary}}, secondary, false, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := set(t, Priority, append([]member{row.from}, row.others...)...)
			from := s.Upstreams()[0]
			check := func(s *Set, from *Upstream) {
				t.Helper()
				if s.Home(from) != row.home || s.HasBetter(from) != row.better || s.Elsewhere(from) != row.elsewhere {
					t.Fatalf("home %v, better %v, elsewhere %v", s.Home(from), s.HasBetter(from), s.Elsewhere(from))
				}
			}
			check(s, from)
			// After a reload the session is still on the old upstream, and asks the new set.
			heir := row.from
			heir.replaces, heir.holding = from, 0
			ups := append(s.Upstreams()[1:], build(t, heir))
			after, err := NewSet(Priority, ups)
			if err != nil {
				t.Fatal(err)
			}
			check(after, from)
		})
	}
}

func TestHomeAfterReload(t *testing.T) {
	p, s := build(t, member{name: "p"}), build(t, member{name: "s", role: Secondary})
	t.Run("the roles have been exchanged", func(t *testing.T) {
		after := set(t, Priority,
			member{name: "p", role: Secondary, replaces: p}, member{name: "s", replaces: s})
		if after.Home(s) || after.HasBetter(s) || !after.Home(p) || !after.HasBetter(p) {
			t.Fatal("the roles of before count")
		}
	})
	t.Run("the only one is a primary now", func(t *testing.T) {
		after := set(t, Priority, member{name: "s", replaces: s})
		if after.Home(s) || after.HasBetter(s) || after.Elsewhere(s) {
			t.Fatal("its successor is taken for another")
		}
	})
	t.Run("it was removed", func(t *testing.T) {
		after := set(t, Priority, member{name: "q"})
		if !after.Home(s) || !after.HasBetter(s) || !after.Elsewhere(s) || after.Home(p) || !after.Elsewhere(p) {
			t.Fatal("it counts with the role that it had")
		}
	})
}

func TestContains(t *testing.T) {
	a, b := build(t, member{name: "a"}), build(t, member{name: "b"})
	heir := build(t, member{name: "a", replaces: a})
	before, err := NewSet(Priority, []*Upstream{b, a})
	if err != nil {
		t.Fatal(err)
	}
	after, err := NewSet(Priority, []*Upstream{heir})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		s    *Set
		u    *Upstream
		want bool
	}{
		{"itself", before, a, true},
		{"its successor", before, heir, true},
		{"its predecessor", after, a, true},
		{"another", after, b, false},
		{"a namesake", after, build(t, member{name: "a"}), false},
		{"nobody", after, nil, false},
	} {
		if got := row.s.Contains(row.u); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}
