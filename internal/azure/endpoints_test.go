package azure

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// entry reads "name:role@host".
func entry(t testing.TB, text string) Endpoint {
	t.Helper()
	label, host, _ := strings.Cut(text, "@")
	name, role, err := ParseName(label)
	if err != nil {
		t.Fatal(err)
	}
	return Endpoint{Name: name, Role: role, Connection: mustConnection(t, "Endpoint=https://"+host+";AccessKey="+keyText), Source: text}
}

func TestReduce(t *testing.T) {
	for _, row := range []struct {
		name    string
		list    []string
		kept    []string
		dropped []string
		err     error
	}{
		{"nothing", nil, nil, nil, ErrNoEndpoint},
		{"one", []string{"a@x"}, []string{"a@x"}, nil, nil},
		{"no primary", []string{"a:secondary@x", "b:secondary@y"}, []string{"a:secondary@x", "b:secondary@y"}, nil, ErrNoPrimary},
		{"identical", []string{"a@x", "b@y", "a@x", "b@y"}, []string{"a@x", "b@y"}, nil, nil},
		{"identical but for the port in words", []string{"a@x", "a@x:443"}, []string{"a@x"}, nil, nil},
		{"another port", []string{"a@x", "a@x:444"}, []string{"a@x", "a@x:444"}, nil, nil},
		{"first of two primaries", []string{"a@x", "b@x"}, []string{"a@x"}, []string{"b@x < a@x"}, nil},
		{"a primary wins", []string{"a:secondary@x", "b@y", "c@x"}, []string{"c@x", "b@y"}, []string{"a:secondary@x < c@x"}, nil},
		{"the first primary wins", []string{"a:secondary@x", "b:secondary@x", "c@x", "d@x"}, []string{"c@x"},
			[]string{"b:secondary@x < c@x", "a:secondary@x < c@x", "d@x < c@x"}, nil},
		{"the first of secondaries", []string{"a:secondary@x", "b:secondary@x", "p@y"}, []string{"a:secondary@x", "p@y"},
			[]string{"b:secondary@x < a:secondary@x"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			var list []Endpoint
			for _, text := range row.list {
				list = append(list, entry(t, text))
			}
			kept, dropped, err := Reduce(list)
			var gotKept, gotDropped []string
			for _, e := range kept {
				gotKept = append(gotKept, e.Source)
			}
			for _, d := range dropped {
				gotDropped = append(gotDropped, d.Endpoint.Source+" < "+d.Winner.Source)
				if s := d.String(); !strings.Contains(s, d.Winner.Source) || strings.Contains(s, keyText) {
					t.Errorf("warning %q", s)
				}
			}
			if diff := cmp.Diff(row.kept, gotKept); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(row.dropped, gotDropped); diff != "" {
				t.Error(diff)
			}
			if !errors.Is(err, row.err) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestReduceKeepsAll checks with random lists: every address keeps one endpoint, a primary if it had one; and reducing again changes
// nothing.
func TestReduceKeepsAll(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var list []Endpoint
		for range rapid.IntRange(0, 12).Draw(r, "n") {
			list = append(list, entry(t, fmt.Sprintf("%s%s@%s", rapid.SampledFrom([]string{"a", "b"}).Draw(r, "name"),
				rapid.SampledFrom([]string{"", ":secondary"}).Draw(r, "role"), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(r,
					"host"))))
		}
		kept, dropped, err := Reduce(list)
		at := make(map[string]Endpoint)
		for _, e := range kept {
			if _, twice := at[e.address()]; twice {
				r.Fatalf("%s is kept twice", e.address())
			}
			at[e.address()] = e
		}
		for _, e := range list {
			if k, ok := at[e.address()]; !ok || e.Role == Primary && k.Role != Primary {
				r.Fatalf("%v is lost: %v", e, kept)
			}
		}
		for _, d := range dropped {
			if !at[d.Endpoint.address()].same(d.Winner) {
				r.Fatalf("%v is no winner", d.Winner)
			}
		}
		again, none, err2 := Reduce(kept)
		if len(again) != len(kept) || len(none) != 0 || !errors.Is(err2, err) {
			r.Fatalf("reduced again: %v, %v, %v", again, none, err2)
		}
	})
}
