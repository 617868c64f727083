package roster

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// check recounts everything.
func check(t *rapid.T, r *Roster[int]) {
	members, groups := 0, 0
	for name, h := range r.hubs {
		if len(h.byID) == 0 {
			t.Fatalf("hub %s is empty", name)
		}
		members += len(h.byID)
		groups += len(h.byGroup)
		users, memberships := 0, 0
		for id, one := range h.byID {
			if one.ID != id {
				t.Fatalf("%s is filed as %s", one.ID, id)
			}
			if one.User != "" {
				users++
				if h.byUser[one.User][id] != one {
					t.Fatalf("%s is not in the books of its user", id)
				}
			}
			for group := range one.groups {
				memberships++
				if h.byGroup[group][id] != one {
					t.Fatalf("%s is not in the books of group %s", id, group)
				}
			}
			if len(one.groups) > r.limits.Memberships {
				t.Fatalf("%s is in %d groups", id, len(one.groups))
			}
		}
		for _, list := range h.byUser {
			users -= len(list)
		}
		for group, list := range h.byGroup {
			memberships -= len(list)
			if len(list) == 0 {
				t.Fatalf("group %s is empty", group)
			}
		}
		if users != 0 || memberships != 0 {
			t.Fatalf("hub %s: books of users differ by %d, of groups by %d", name, users, memberships)
		}
	}
	if members != r.total || groups != r.groups || members > r.limits.Connections || groups > r.limits.Groups {
		t.Fatalf("%d members, %d groups; counted as %d, %d", members, groups, r.total, r.groups)
	}
}

// TestModel: whatever happens, the roster says what a plain list of facts says.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := New[int](Limits{Connections: 6, Groups: 4, Memberships: 3})
		type key struct{ hub, id string }
		users := map[key]string{}
		in := map[key]map[string]bool{}
		name := func(label string, n int) string { return fmt.Sprint(label, rapid.IntRange(0, n).Draw(t, label)) }
		groupsOf := func() int {
			seen := map[string]bool{}
			for k, gs := range in {
				for g := range gs {
					seen[k.hub+"/"+g] = true
				}
			}
			return len(seen)
		}
		exists := func(hub, group string) bool {
			for k, gs := range in {
				if k.hub == hub && gs[group] {
					return true
				}
			}
			return false
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			hub, id, group := name("h", 1), name("c", 5), name("g", 3)
			k := key{hub, id}
			_, known := users[k]
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				user := rapid.SampledFrom([]string{"", "ann", "bob"}).Draw(t, "user")
				err := r.Join(hub, Entry[int]{ID: id, User: user, Member: 7})
				switch {
				case len(users) >= 6:
					if !errors.Is(err, ErrFull) {
						t.Fatalf("join a full roster: %v", err)
					}
				case known:
					if !errors.Is(err, ErrTaken) {
						t.Fatalf("join twice: %v", err)
					}
				case err != nil:
					t.Fatalf("join: %v", err)
				default:
					users[k], in[k] = user, map[string]bool{}
				}
			case 1:
				if got := r.Leave(hub, id); got != known {
					t.Fatalf("leave: %v, want %v", got, known)
				}
				delete(users, k)
				delete(in, k)
			case 2:
				err := r.Enter(hub, id, group)
				switch {
				case !known:
					if !errors.Is(err, ErrUnknown) {
						t.Fatalf("enter unknown: %v", err)
					}
				case in[k][group]:
					if err != nil {
						t.Fatalf("enter again: %v", err)
					}
				case len(in[k]) >= 3 || !exists(hub, group) && groupsOf() >= 4:
					if !errors.Is(err, ErrGroups) {
						t.Fatalf("enter beyond the limit: %v", err)
					}
				case err != nil:
					t.Fatalf("enter: %v", err)
				default:
					in[k][group] = true
				}
			case 3:
				if got := r.Exit(hub, id, group); got != in[k][group] {
					t.Fatalf("exit: %v, want %v", got, in[k][group])
				}
				delete(in[k], group)
			case 4:
				r.ExitAll(hub, id)
				clear(in[k])
			}
			check(t, r)
			var want []string
			for k, gs := range in {
				if k.hub == hub && gs[group] {
					want = append(want, k.id)
				}
			}
			if diff := cmp.Diff(sorted(want), ids(r.Group(hub, group))); diff != "" {
				t.Fatalf("group (-want +got):\n%s", diff)
			}
			if r.Has(hub, id, group) != in[k][group] {
				t.Fatalf("has: want %v", in[k][group])
			}
		}
		for k, user := range users {
			e, ok := r.Get(k.hub, k.id)
			if !ok || e.User != user || e.Member != 7 {
				t.Fatalf("get: %+v %v", e, ok)
			}
		}
		if r.Len() != len(users) || len(r.Everybody()) != len(users) {
			t.Fatalf("%d members, everybody %d, want %d", r.Len(), len(r.Everybody()), len(users))
		}
	})
}

func ids(entries []Entry[int]) []string {
	var list []string
	for _, e := range entries {
		list = append(list, e.ID)
	}
	return sorted(list)
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

func TestLists(t *testing.T) {
	r := New[int](Limits{Connections: 9, Groups: 9, Memberships: 9})
	for _, e := range []struct{ hub, id, user string }{{"chat", "c1", "ann"}, {"chat", "c2", "ann"}, {"chat", "c3", ""}, {"news", "c1", "ann"}} {
		if err := r.Join(e.hub, Entry[int]{ID: e.id, User: e.user}); err != nil {
			t.Fatal(err)
		}
	}
	for _, group := range []string{"b", "a"} {
		if err := r.Enter("chat", "c1", group); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct{ got, want []string }{
		"all":           {ids(r.All("chat")), []string{"c1", "c2", "c3"}},
		"user":          {ids(r.User("chat", "ann")), []string{"c1", "c2"}},
		"nobody":        {ids(r.User("chat", "")), nil},
		"no hub":        {ids(r.All("none")), nil},
		"groups":        {r.Groups("chat", "c1"), []string{"a", "b"}},
		"none's groups": {r.Groups("chat", "c9"), nil},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
