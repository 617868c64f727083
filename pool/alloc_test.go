package pool

import (
	"fmt"
	"testing"
)

func crowd(t failer, router Router, n int) *Set {
	members := make([]member, n)
	for i := range members {
		members[i] = member{name: fmt.Sprint(i), weight: 1 + i%3, max: i % 2 * 1000}
	}
	return set(t, router, members...)
}

// homecomers is a crowd whose primaries come home, with secondaries that have served so far.
func homecomers(t failer, router Router, n int, how coming) *Set {
	members := make([]member, n)
	for i := range members {
		members[i] = member{name: fmt.Sprint(i), role: Role(i % 2), coming: coming(1-i%2) * how}
	}
	return set(t, router, members...)
}

func TestPickDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector sync.Pool drops things on purpose")
	}
	for name, s := range map[string]*Set{
		"priority":       crowd(t, Priority, 256),
		"least-sessions": crowd(t, LeastSessions, 256),
		"held":           homecomers(t, Priority, 256, held),
		"ramping":        homecomers(t, Priority, 256, ramping),
		"all held":       set(t, Priority, member{name: "a", coming: held}, member{name: "b", coming: held}),
	} {
		if n := testing.AllocsPerRun(1000, func() {
			var tried Tried
			for range min(4, len(s.upstreams)) {
				lease, err := s.Pick(Request{Host: "chat.example", Path: "/chat"}, tried)
				if err != nil {
					t.Fatal(err)
				}
				tried = tried.Add(lease.Upstream())
				lease.Release()
			}
		}); n > 0 {
			t.Errorf("%s: pick, tried and release: %v allocs", name, n)
		}
	}
}

func TestDrainQuestionsDoNotAllocate(t *testing.T) {
	s := homecomers(t, Priority, 256, held)
	from := s.Upstreams()[255]
	stranger := build(t, member{name: "stranger"})
	if n := testing.AllocsPerRun(1000, func() {
		_ = s.Home(from) || s.HasBetter(from) || s.Elsewhere(from) || s.Contains(from)
		_ = s.Contains(stranger)
		_ = s.Home(from)
		_ = s.Elsewhere(from)
		_ = from.Usable()
		_, _ = from.Disabled()
	}); n > 0 {
		t.Errorf("%v allocs", n)
	}
}

func BenchmarkPick(b *testing.B) {
	pick := func(b *testing.B, s *Set) {
		b.ReportAllocs()
		for b.Loop() {
			lease, err := s.Pick(Request{}, Tried{})
			if err != nil {
				b.Fatal(err)
			}
			lease.Release()
		}
	}
	for name, router := range map[string]Router{"priority": Priority, "least-sessions": LeastSessions} {
		for _, size := range []int{2, 16, 256} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) { pick(b, crowd(b, router, size)) })
		}
	}
	for name, how := range map[string]coming{"held": held, "ramping": ramping} {
		b.Run(name+"/16", func(b *testing.B) { pick(b, homecomers(b, Priority, 16, how)) })
	}
}
