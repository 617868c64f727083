package pool

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestNewSet(t *testing.T) {
	a, b := build(t, member{name: "a"}), build(t, member{name: "b"})
	for _, row := range []struct {
		name   string
		router Router
		ups    []*Upstream
		want   string
	}{
		{"no router", nil, []*Upstream{a}, "router is missing"},
		{"empty", Priority, nil, "no upstreams"},
		{"nil", Priority, []*Upstream{a, nil}, "upstream 1 is nil"},
		{"twice", Priority, []*Upstream{a, b, a}, `name "a" is given twice`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := NewSet(row.router, row.ups); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("error %v, want %q", err, row.want)
			}
		})
	}
	given := []*Upstream{a, b}
	s, err := NewSet(Priority, given)
	if err != nil {
		t.Fatal(err)
	}
	given[0] = nil
	s.Upstreams()[1] = nil
	if got := s.Upstreams(); len(got) != 2 || got[0] != a || got[1] != b {
		t.Fatalf("upstreams %v: the set shares a slice with its caller", got)
	}
}

func TestPickWalksTheSet(t *testing.T) {
	s := set(t, Priority,
		member{name: "s1", role: Secondary}, member{name: "p1"}, member{name: "p2"}, member{name: "p3", down: true})
	var tried Tried
	var order []string
	for {
		lease, err := s.Pick(Request{}, tried)
		if err != nil {
			if !errors.Is(err, ErrNoUpstream) || lease.Upstream() != nil {
				t.Fatal(lease, err)
			}
			lease.Release() // the zero value: nothing happens
			break
		}
		if n := lease.Upstream().Sessions(); n != 1 {
			t.Fatalf("%d sessions while leased", n)
		}
		tried = tried.Add(lease.Upstream())
		order = append(order, lease.Upstream().Name())
		lease.Release()
	}
	if got := strings.Join(order, " "); got != "p1 p2 s1" && got != "p2 p1 s1" {
		t.Fatalf("order %s", got)
	}
	for _, u := range s.Upstreams() {
		if u.Sessions() != 0 {
			t.Fatalf("%s still holds %d", u.Name(), u.Sessions())
		}
	}
}

func TestPickWithRouters(t *testing.T) {
	stranger := build(t, member{name: "stranger"})
	t.Run("none", func(t *testing.T) {
		s := set(t, func(Request, []*Upstream) *Upstream { return nil }, member{name: "a"})
		if _, err := s.Pick(Request{}, Tried{}); !errors.Is(err, ErrNoUpstream) {
			t.Fatal(err)
		}
	})
	t.Run("not a candidate", func(t *testing.T) {
		s := set(t, func(Request, []*Upstream) *Upstream { return stranger }, member{name: "a"})
		_, err := s.Pick(Request{}, Tried{})
		if !errors.Is(err, ErrNoUpstream) || !strings.Contains(err.Error(), `"stranger", which is not a candidate`) {
			t.Fatal(err)
		}
		if stranger.Sessions() != 0 {
			t.Fatal("a place was taken")
		}
	})
	t.Run("request and candidates", func(t *testing.T) {
		want := Request{Host: "chat.example", Path: "/chat", Query: "room=1"}
		var names []string
		s := set(t, func(r Request, c []*Upstream) *Upstream {
			if r != want {
				t.Errorf("request %+v", r)
			}
			for _, u := range c {
				names = append(names, u.Name())
			}
			return c[0]
		}, member{name: "a"}, member{name: "b", down: true}, member{name: "c", role: Secondary}, member{name: "d", max: 1, holding: 1})
		if _, err := s.Pick(want, Tried{}); err != nil || fmt.Sprint(names) != "[a c]" {
			t.Fatal(names, err)
		}
	})
	t.Run("not called for nothing", func(t *testing.T) {
		s := set(t, func(Request, []*Upstream) *Upstream { t.Error("called"); return nil }, member{name: "a", down: true})
		if _, err := s.Pick(Request{}, Tried{}); !errors.Is(err, ErrNoUpstream) {
			t.Fatal(err)
		}
	})
	t.Run("a lost race for the last place", func(t *testing.T) {
		calls := 0
		s := set(t, func(_ Request, c []*Upstream) *Upstream {
			calls++
			if c[0].Name() == "a" {
				c[0].acquire() // another session, just now
			}
			return c[0]
		}, member{name: "a", max: 1}, member{name: "b"})
		lease, err := s.Pick(Request{}, Tried{})
		if err != nil || lease.Upstream().Name() != "b" || calls != 2 {
			t.Fatalf("%v after %d calls, %v", lease.Upstream(), calls, err)
		}
	})
}

func TestLargeSet(t *testing.T) {
	var members []member
	for i := range 300 {
		members = append(members, member{name: fmt.Sprint(i), role: Role(i % 2), down: i != 298 && i != 299})
	}
	s := set(t, LeastSessions, members...)
	var tried Tried
	for _, want := range []string{"298", "299"} {
		lease, err := s.Pick(Request{}, tried)
		if err != nil || lease.Upstream().Name() != want {
			t.Fatalf("%+v, %v; want %s", lease, err, want)
		}
		tried = tried.Add(lease.Upstream())
	}
}

// Many goroutines at the limit: never above it, nothing lost, and nobody is turned away while there is room for all.
func TestPickConcurrently(t *testing.T) {
	for name, router := range map[string]Router{"priority": Priority, "least-sessions": LeastSessions} {
		t.Run(name, func(t *testing.T) {
			s := set(t, router,
				member{name: "a", max: 3}, member{name: "b", max: 1}, member{name: "c", max: 4, role: Secondary})
			const workers, room = 16, 8
			var picked, refused atomic.Int64
			var inside [3]atomic.Int64
			index := map[*Upstream]int{}
			for i, u := range s.Upstreams() {
				index[u] = i
			}
			work := func() {
				for range 500 {
					lease, err := s.Pick(Request{}, Tried{})
					if err != nil {
						refused.Add(1)
						continue
					}
					picked.Add(1)
					u := lease.Upstream()
					if n := inside[index[u]].Add(1); n > int64(u.MaxSessions()) {
						t.Errorf("%s has %d sessions of %d", u.Name(), n, u.MaxSessions())
					}
					inside[index[u]].Add(-1)
					lease.Release()
				}
			}
			var wg sync.WaitGroup
			for range workers {
				wg.Go(work)
			}
			wg.Wait()
			if picked.Load()+refused.Load() != workers*500 || picked.Load() == 0 {
				t.Fatalf("%d picked, %d refused", picked.Load(), refused.Load())
			}
			for range room {
				wg.Go(func() {
					if _, err := s.Pick(Request{}, Tried{}); err != nil {
						t.Errorf("turned away with room for all: %v", err)
					}
				})
			}
			wg.Wait()
			for _, u := range s.Upstreams() {
				if u.Sessions() != u.MaxSessions() {
					t.Errorf("%s holds %d of %d", u.Name(), u.Sessions(), u.MaxSessions())
				}
			}
			if _, err := s.Pick(Request{}, Tried{}); !errors.Is(err, ErrNoUpstream) {
				t.Errorf("one above all limits: %v", err)
			}
		})
	}
}
