package proxy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pointsman/pointsman/proxy/drain"
)

// TestDrainSome: a part of the sessions is closed, and the upstream goes on to
// take new ones, so these clients come back to it.
func TestDrainSome(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		selection drain.Selection
		a, b      int // of the ten on /a and the four on /b
		either    int // more, on either
	}{
		{"share", drain.Selection{Share: 0.5}, 0, 0, 7},
		{"small share", drain.Selection{Share: 0.01}, 0, 0, 1},
		{"count", drain.Selection{Count: 3}, 0, 0, 3},
		{"count beyond all", drain.Selection{Count: 99}, 10, 4, 0},
		{"path", drain.Selection{Path: "/a"}, 10, 0, 0},
		{"share of a path", drain.Selection{Path: "/b", Share: 0.5}, 0, 2, 0},
		{"client", drain.Selection{Client: netip.MustParsePrefix("127.0.0.0/8")}, 10, 4, 0},
		{"nobody's path", drain.Selection{Path: "/c"}, 0, 0, 0},
		{"nobody's client", drain.Selection{Client: netip.MustParsePrefix("10.0.0.0/8")}, 0, 0, 0},
		{"nobody's client of the other kind", drain.Selection{Client: netip.MustParsePrefix("::/0")}, 0, 0, 0},
		{"nobody is so old", drain.Selection{OlderThan: time.Hour}, 0, 0, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := newPair(t, stay, nil)
			a, b := r.gather(10, "/a"), r.gather(4, "/b/c?d=e")
			row.selection.Upstream = "east"
			d, _, err := r.Drain(drain.Plan{Selection: row.selection, Rate: 500})
			if err != nil {
				t.Fatal(err)
			}
			s := endsAs(t, d, drain.Done)
			// Who comes back at once can pass for one who was there at the beginning, if the machine is busy.
			want := row.a + row.b + row.either
			if s.Found != want || s.Asked < want || row.either > 0 && s.Asked > want {
				t.Errorf("status %+v, want %d", s, want)
			}
			until(t, "those who were asked to be back", func() bool { return len(a.farewells())+len(b.farewells()) == s.Asked })
			a.echo()
			b.echo()
			na, nb := len(a.farewells()), len(b.farewells())
			if row.either == 0 && (na < row.a || nb < row.b || row.a == 0 && na > 0 || row.b == 0 && nb > 0) {
				t.Errorf("%d on /a and %d on /b were closed, want %d and %d", na, nb, row.a, row.b)
			}
			r.wantDisabled("east", "")
			a.wantAt("east")
			b.wantAt("east")
		})
	}
}

// TestDrainOlder: ages are told apart.
func TestDrainOlder(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	old := r.gather(5, "/old")
	within(4*soon, func() bool { return false })
	began := time.Now()
	young := r.gather(5, "/young")
	// The young ones are younger than this when the drain looks, unless the
	// machine stops for the whole of it.
	age := time.Since(began) + 2*soon
	d, _, err := r.Drain(drain.Plan{Selection: drain.Selection{Upstream: "east", OlderThan: age}, Rate: 500})
	if err != nil {
		t.Fatal(err)
	}
	s := endsAs(t, d, drain.Done)
	if took := time.Since(began); took >= age {
		t.Skipf("this machine took %v: nobody is young any more", took)
	}
	if s.Asked != 5 {
		t.Errorf("status %+v", s)
	}
	young.untouched()
	old.moved("east", movedByOperator)
}
