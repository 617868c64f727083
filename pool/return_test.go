package pool

import (
	"errors"
	"testing"
)

// TestReturn checks that a client that is there already comes in where a new one
// does not, unless the upstream is down or has been tried.
func TestReturn(t *testing.T) {
	u := build(t, member{name: "east", max: 1})
	s, err := NewSet(Priority, []*Upstream{u})
	if err != nil {
		t.Fatal(err)
	}
	u.Disable("test")
	for range 3 {
		lease, err := s.Return(u, Tried{})
		if err != nil || lease.Upstream() != u {
			t.Fatalf("got %v, %v", lease, err)
		}
		defer lease.Release()
	}
	if n := u.Sessions(); n != 3 {
		t.Errorf("%d places are held", n)
	}
	if _, err := s.Return(u, Tried{}.Add(u)); !errors.Is(err, ErrNoUpstream) {
		t.Errorf("tried: %v", err)
	}
}
