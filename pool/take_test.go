package pool

import (
	"errors"
	"net/url"
	"testing"

	"github.com/pointsman/pointsman/internal/azure"
)

func TestTake(t *testing.T) {
	for _, row := range []struct {
		name  string
		m     member
		taken bool
	}{
		{"well", member{name: "a", role: Secondary}, true},
		{"held", member{name: "a", coming: held}, true},
		{"down", member{name: "a", down: true}, false},
		{"disabled", member{name: "a", disabled: true}, false},
		{"full", member{name: "a", max: 1, holding: 1}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := set(t, Priority, row.m, member{name: "b"})
			u := s.Upstreams()[0]
			before := u.Sessions()
			lease, err := s.Take(u, Tried{})
			if !row.taken {
				if !errors.Is(err, ErrNoUpstream) || u.Sessions() != before {
					t.Fatalf("got %v, %d sessions", err, u.Sessions())
				}
				return
			}
			if err != nil || lease.Upstream() != u || u.Sessions() != before+1 {
				t.Fatalf("got %v, %v, %d sessions", lease, err, u.Sessions())
			}
			lease.Release()
			if _, err := s.Take(u, Tried{}.Add(u)); !errors.Is(err, ErrNoUpstream) {
				t.Errorf("one that was tried: %v", err)
			}
			if u.Sessions() != before {
				t.Errorf("%d sessions", u.Sessions())
			}
		})
	}
	s := set(t, Priority, member{name: "a"})
	old := s.Upstreams()[0]
	after := set(t, Priority, member{name: "a", replaces: old}, member{name: "b"})
	lease, err := after.Take(old, Tried{})
	if err != nil || lease.Upstream() != after.Upstreams()[0] {
		t.Errorf("after a reload: %v, %v", lease, err)
	}
	lease.Release()
	for _, u := range []*Upstream{nil, build(t, member{name: "c"})} {
		if _, err := after.Take(u, Tried{}); !errors.Is(err, ErrNoUpstream) {
			t.Errorf("one that is not in the set: %v", err)
		}
	}
}

func TestConnection(t *testing.T) {
	if _, ok := build(t, member{name: "a"}).Connection(); ok {
		t.Error("an upstream without a connection string has one")
	}
	c, err := azure.ParseConnectionString("Endpoint=https://a.example;AccessKey=key")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Name: "a", URL: &url.URL{Scheme: "wss", Host: "a.example"}, Checker: build(t, member{name: "a"}).Checker(), Connection: c}
	u, err := NewUpstream(o)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := u.Connection(); !ok || got != c {
		t.Errorf("got %v, %v", got, ok)
	}
	o.Connection.Key = azure.Key{}
	if _, err := NewUpstream(o); err == nil {
		t.Error("half a connection string is taken")
	}
}
