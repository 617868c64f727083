package pool

import "testing"

func TestQuery(t *testing.T) {
	east, west := build(t, member{name: "east"}), build(t, member{name: "west one", role: Secondary})
	router := Query("endpoint", func(Request, []*Upstream) *Upstream { return nil })
	for query, want := range map[string]*Upstream{
		"":                            nil,
		"endpoint":                    nil,
		"endpoint=":                   nil,
		"endpoint=east":               east,
		"a=b&endpoint=east&c":         east,
		"endpoint=west+one":           west,
		"endpoint=west%20one":         west,
		"end%70oint=east":             east,
		"endpoint=east&endpoint=west": east,
		"endpoint=East":               nil,
		"Endpoint=east":               nil,
		"endpoints=east":              nil,
		"endpoint=north":              nil,
		"endpoint=%zz":                nil,
		"%zz=1&endpoint=east":         east,
		"endpoint=&endpoint=east":     nil,
	} {
		if got := router(Request{Query: query}, []*Upstream{east, west}); got != want {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	if got := router(Request{Query: "endpoint=east"}, []*Upstream{west}); got != nil {
		t.Errorf("%v, which is not a candidate", got)
	}
	if n := testing.AllocsPerRun(100, func() { router(Request{Query: "a=b&endpoint=east"}, []*Upstream{east, west}[:1:1]) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// Who is named and not there is somebody else's decision.
func TestQueryOtherwise(t *testing.T) {
	east := build(t, member{name: "east"})
	router := Query("endpoint", Priority)
	for _, query := range []string{"", "endpoint=west"} {
		if got := router(Request{Query: query}, []*Upstream{east}); got != east {
			t.Errorf("%q: %v", query, got)
		}
	}
}

func FuzzQueryValue(f *testing.F) {
	f.Add("a=b&endpoint=east", "endpoint")
	f.Add("%65ndpoint=%2B", "endpoint")
	f.Fuzz(func(t *testing.T, query, parameter string) {
		if value, ok := QueryValue(query, parameter); ok == (value == "") {
			t.Errorf("%q, %v", value, ok)
		}
	})
}
