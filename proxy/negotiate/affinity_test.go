package negotiate

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pointsman/pointsman/internal/azure"
)

func newAffinity(t testing.TB, o AffinityOptions) *Affinity {
	t.Helper()
	a, err := NewAffinity(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var regions = []string{"north", "east", "west"}

func TestAffinityHints(t *testing.T) {
	k1, k2 := key(t, ownText), key(t, newText)
	maker := newAffinity(t, AffinityOptions{Keys: []azure.Key{k1}})
	id := maker.Pin("jZ2_-.~token", "east")
	if !strings.HasPrefix(id, "jZ2_-.~token.pm") || len(id) != len("jZ2_-.~token")+19 || url.QueryEscape(id) != id {
		t.Errorf("id with hint: %q", id)
	}
	if strings.Contains(id, "east") {
		t.Errorf("the id names the upstream: %q", id)
	}
	flip := func(s string, at int) string {
		b := []byte(s)
		b[at] ^= 1
		return string(b)
	}
	for _, row := range []struct {
		name      string
		a         *Affinity
		id        string
		upstreams []string
		bare, to  string
	}{
		{"the one that made it", maker, id, regions, "jZ2_-.~token", "east"},
		{"another router", newAffinity(t, AffinityOptions{Keys: []azure.Key{k1}}), id, regions, "jZ2_-.~token", "east"},
		{"after a rotation", newAffinity(t, AffinityOptions{Keys: []azure.Key{k2, k1}}), id, regions, "jZ2_-.~token", "east"},
		{"another key", newAffinity(t, AffinityOptions{Keys: []azure.Key{k2}}), id, regions, id, ""},
		{"no key", newAffinity(t, AffinityOptions{}), id, regions, id, ""},
		{"upstream is gone", newAffinity(t, AffinityOptions{Keys: []azure.Key{k1}}), id, []string{"north", "west"}, id, ""},
		{"other token", newAffinity(t, AffinityOptions{Keys: []azure.Key{k1}}), flip(id, 0), regions, flip(id, 0), ""},
		{"other MAC", newAffinity(t, AffinityOptions{Keys: []azure.Key{k1}}), flip(id, len(id)-3), regions, flip(id, len(id)-3), ""},
		{"shorter MAC", maker, id[:len(id)-1], regions, id[:len(id)-1], ""},
		{"only a hint", maker, id[len("jZ2_-.~token"):], regions, id[len("jZ2_-.~token"):], ""},
		{"bare, remembered", maker, "jZ2_-.~token", regions, "jZ2_-.~token", "east"},
		{"bare, not remembered", newAffinity(t, AffinityOptions{Keys: []azure.Key{k1}}), "jZ2_-.~token", regions, "jZ2_-.~token", ""},
		{"empty", maker, "", regions, "", ""},
		{"no base64", maker, "a.pm****************", regions, "a.pm****************", ""},
		{"too long", maker, strings.Repeat("a", MaxID+20), regions, strings.Repeat("a", MaxID+20), ""},
	} {
		for range 2 { // the second time it may be remembered
			bare, to, found := row.a.Find(row.id, row.upstreams)
			if bare != row.bare || to != row.to || found != (row.to != "") {
				t.Errorf("%s: got %q, %q, %v", row.name, bare, to, found)
			}
		}
	}
}

func TestAffinityIDThatLooksLikeAHint(t *testing.T) {
	a := newAffinity(t, AffinityOptions{})
	const odd = "x.pmAAAAAAAAAAAAAAAA"
	a.Remember(odd, "west")
	if bare, to, found := a.Find(odd, regions); bare != odd || to != "west" || !found {
		t.Errorf("got %q, %q, %v", bare, to, found)
	}
	id := a.Pin(odd, "east")
	if bare, to, found := newAffinity(t, AffinityOptions{}).Find(id, regions); bare != id || to != "" || found {
		t.Errorf("a stranger finds %q, %q", bare, to)
	}
	if bare, to, found := a.Find(id, regions); bare != odd || to != "east" || !found {
		t.Errorf("got %q, %q, %v", bare, to, found)
	}
}

func TestAffinityCannotBeCutElsewhere(t *testing.T) {
	a := newAffinity(t, AffinityOptions{Keys: []azure.Key{key(t, ownText)}})
	id := a.Issue("ab")
	forged := "b" + id // the text "ab"+id is "a"+"b"+id
	if _, to, found := a.Find(forged, []string{"a"}); found {
		t.Errorf("leads to %q", to)
	}
}

func TestAffinityIssue(t *testing.T) {
	a := newAffinity(t, AffinityOptions{Keys: []azure.Key{key(t, ownText)}})
	one, two := a.Issue("east"), a.Issue("east")
	if one == two || len(one) != 41 || a.Pinned() != 0 {
		t.Errorf("%q, %q, %d pinned", one, two, a.Pinned())
	}
	for _, id := range []string{one, two} {
		if _, to, found := a.Find(id, regions); to != "east" || !found {
			t.Errorf("%q leads to %q", id, to)
		}
	}
}

func TestAffinityForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAffinity(t, AffinityOptions{Pinned: 2, PinnedFor: time.Minute})
		known := func(id string, want bool) {
			t.Helper()
			if _, _, found := a.Find(id, nil); found != want {
				t.Errorf("%s is known: %v", id, found)
			}
		}
		a.Remember("asked", "east")
		a.Remember("silent", "east")
		for range 10 {
			time.Sleep(50 * time.Second)
			known("asked", true)
		}
		known("silent", false)
		time.Sleep(time.Minute)
		known("asked", false)
		if a.Pinned() != 0 {
			t.Errorf("%d ids are remembered", a.Pinned())
		}
		for i := range 5 {
			a.Remember(fmt.Sprint(i), "east")
		}
		known("2", false)
		known("3", true)
		known("4", true)
		if a.Pinned() != 2 {
			t.Errorf("%d ids are remembered", a.Pinned())
		}
		a.Remember("", "east")
		if long := strings.Repeat("a", MaxID+1); a.Pin(long, "east") != long || a.Pin("", "east") != "" || a.Pinned() != 2 {
			t.Error("what cannot be pinned was")
		}
	})
}

func TestNewAffinityRefuses(t *testing.T) {
	for _, o := range []AffinityOptions{{Pinned: -1}, {PinnedFor: -1}, {Keys: []azure.Key{{}}}} {
		if _, err := NewAffinity(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestAffinityConcurrently(t *testing.T) {
	a := newAffinity(t, AffinityOptions{Pinned: 16})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 200 {
				token, to := fmt.Sprint("token", g, "-", i), regions[i%3]
				if bare, got, found := a.Find(a.Pin(token, to), regions); bare != token || got != to || !found {
					t.Errorf("got %q, %q, %v", bare, got, found)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestGone(t *testing.T) {
	if g := Gone(); g.Status != 404 || string(g.Body) != "No Connection with that ID" {
		t.Errorf("%+v", g)
	}
}
