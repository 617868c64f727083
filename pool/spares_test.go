package pool

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// idle stands in for a connection. Nothing is done with it in this package.
type idle struct {
	net.Conn
	name    string
	bad     bool // not usable any more
	dropped atomic.Int32
}

func usable(c net.Conn, _ time.Duration) bool { return !c.(*idle).bad }

// drawer is a store of spares whose connections have names.
type drawer struct {
	*Spares
	up    *Upstream
	drops []string
}

func newDrawer(t failer, spares int, age time.Duration) *drawer {
	t.Helper()
	d := &drawer{up: build(t, member{name: "east", spares: spares, age: age})}
	d.Spares = d.up.NewSpares(func(c net.Conn) {
		i := c.(*idle)
		i.dropped.Add(1)
		d.drops = append(d.drops, i.name)
	})
	return d
}

// take takes a spare and returns its name, "" for none.
func (d *drawer) take() string {
	if c := d.Take(usable); c != nil {
		return c.(*idle).name
	}
	return ""
}

// wantDropped checks which connections were dropped since the last call, in whatever order.
func (d *drawer) wantDropped(t *testing.T, names ...string) {
	t.Helper()
	slices.Sort(d.drops)
	if !slices.Equal(d.drops, names) {
		t.Errorf("dropped %q, want %q", d.drops, names)
	}
	d.drops = nil
}

func TestSpares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrawer(t, 3, 10*time.Second)
		if got := d.take(); got != "" {
			t.Errorf("took %q out of nothing", got)
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			d.Add(&idle{name: name})
		}
		d.wantDropped(t, "d") // there is room for three
		if d.Ready() != 3 || d.up.SparesReady() != 3 {
			t.Errorf("%d and %d ready", d.Ready(), d.up.SparesReady())
		}
		if got := d.take(); got != "a" {
			t.Errorf("took %q, want the oldest", got)
		}
		d.Add(&idle{name: "e", bad: true})
		d.Add(&idle{name: "f"})
		if got := d.take() + d.take(); got != "bc" {
			t.Errorf("took %q, want the oldest ones", got)
		}
		d.wantDropped(t, "f")
		if got := d.take(); got != "" {
			t.Errorf("took %q, which is not usable", got)
		}
		d.wantDropped(t, "e")
		d.up.CountSpare(true)
		if got := d.up.Totals(); got.SparesUsed != 1 || got.SparesWasted != 3 || d.up.SparesReady() != 0 {
			t.Errorf("totals %+v, %d ready", got, d.up.SparesReady())
		}
	})
}

// A spare lives for its age, or up to a fifth less, whoever looks at it then.
func TestSpareAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrawer(t, 2, 10*time.Second)
		d.Add(&idle{name: "a"})
		d.Add(&idle{name: "b"})
		time.Sleep(8*time.Second - 1)
		if aged := d.Tidy(usable); aged != 0 || d.Ready() != 2 {
			t.Errorf("%d aged before their time, %d ready", aged, d.Ready())
		}
		if got := d.take(); got != "a" {
			t.Errorf("took %q, want the oldest", got)
		}
		time.Sleep(2*time.Second + 1)
		if got := d.take(); got != "" {
			t.Errorf("took %q, which is too old", got)
		}
		d.wantDropped(t, "b")
		d.Add(&idle{name: "c"})
		time.Sleep(time.Second)
		d.Add(&idle{name: "d", bad: true})
		d.Tidy(func(c net.Conn, age time.Duration) bool {
			if want := map[string]time.Duration{"c": time.Second, "d": 0}[c.(*idle).name]; age != want {
				t.Errorf("%s has waited for %v, want %v", c.(*idle).name, age, want)
			}
			return true
		})
		if aged := d.Tidy(usable); aged != 0 || d.Ready() != 1 {
			t.Errorf("%d aged, %d ready", aged, d.Ready())
		}
		d.wantDropped(t, "d")
		time.Sleep(10 * time.Second)
		if aged := d.Tidy(usable); aged != 1 || d.Ready() != 0 {
			t.Errorf("%d aged, %d ready", aged, d.Ready())
		}
		d.wantDropped(t, "c")
	})
	if u := build(t, member{name: "east", spares: 1}); u.SpareAge() != DefaultSpareAge {
		t.Errorf("the default is %v", u.SpareAge())
	}
}

func TestSparesEnd(t *testing.T) {
	d := newDrawer(t, 2, time.Hour)
	if n := d.Clear(); n != 0 {
		t.Errorf("cleared %d", n)
	}
	d.Add(&idle{name: "a"})
	d.Add(&idle{name: "b"})
	if n := d.Clear(); n != 2 || d.Ready() != 0 || d.up.SparesReady() != 0 {
		t.Errorf("cleared %d, %d ready", n, d.Ready())
	}
	d.wantDropped(t, "a", "b")
	d.Add(&idle{name: "c"})
	d.Close()
	d.wantDropped(t, "c")
	d.Add(&idle{name: "d"})
	d.wantDropped(t, "d")
	d.Close()
	if d.take() != "" || d.Ready() != 0 {
		t.Error("something is in a closed store")
	}
}

// The spares of an upstream and of the one that replaces it are counted together, and each store has its own limit.
func TestSparesOfReplaced(t *testing.T) {
	old := newDrawer(t, 2, time.Hour)
	old.Add(&idle{name: "a"})
	next := build(t, member{name: "east", spares: 1, replaces: old.up})
	s := next.NewSpares(func(net.Conn) {})
	s.Add(&idle{name: "b"})
	if next.SparesReady() != 2 || next.Spares() != 1 {
		t.Errorf("%d ready", next.SparesReady())
	}
	old.Close()
	if next.SparesReady() != 1 || next.Totals().SparesWasted != 1 {
		t.Errorf("%d ready, totals %+v", next.SparesReady(), next.Totals())
	}
}

// Whatever is done in whatever order: each connection is taken or dropped, once, and the counts are right.
func TestSparesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		d := newDrawer(t, limit, time.Hour)
		var all []*idle
		taken, closed := map[*idle]bool{}, false
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				c := &idle{name: fmt.Sprint(len(all))}
				all = append(all, c)
				d.Add(c)
			},
			"spoil": func(t *rapid.T) {
				if len(all) > 0 {
					rapid.SampledFrom(all).Draw(t, "which").bad = true
				}
			},
			"take": func(t *rapid.T) {
				switch c, _ := d.Take(usable).(*idle); {
				case c == nil && d.Ready() > 0:
					t.Fatal("took nothing")
				case c == nil:
				case taken[c] || c.bad || closed:
					t.Fatalf("took %s: taken %v, bad %v, closed %v", c.name, taken[c], c.bad, closed)
				default:
					taken[c] = true
				}
			},
			"tidy":  func(t *rapid.T) { d.Tidy(usable) },
			"clear": func(t *rapid.T) { d.Clear() },
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					d.Close()
					closed = true
				}
			},
			"": func(t *rapid.T) {
				wasted, waiting := 0, 0
				for _, c := range all {
					switch n := c.dropped.Load(); {
					case n > 1 || n == 1 && taken[c]:
						t.Fatalf("%s was dropped %d times, taken %v", c.name, n, taken[c])
					case n == 1:
						wasted++
					case !taken[c]:
						waiting++
					}
				}
				if d.Ready() != waiting || d.up.SparesReady() != waiting || waiting > limit || closed && waiting > 0 {
					t.Fatalf("%d and %d of %d are ready, want %d; closed %v", d.Ready(), d.up.SparesReady(), limit, waiting, closed)
				}
				if got := d.up.Totals().SparesWasted; got != uint64(wasted) {
					t.Fatalf("%d wasted, want %d", got, wasted)
				}
			},
		})
	})
}

// Many take, add and tidy at once: nobody shares a connection.
func TestSparesRace(t *testing.T) {
	up := build(t, member{name: "east", spares: 8, age: time.Hour})
	var dropped, taken atomic.Int64
	s := up.NewSpares(func(c net.Conn) {
		c.(*idle).dropped.Add(1)
		dropped.Add(1)
	})
	const workers, each = 4, 500
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := range each {
				s.Add(&idle{bad: i%7 == 0})
				if i%3 == 0 {
					s.Tidy(usable)
				}
			}
		})
		group.Go(func() {
			for range each {
				if c, ok := s.Take(usable).(*idle); ok {
					taken.Add(1)
					if c.dropped.Add(1) != 1 {
						t.Error("a connection was taken and dropped, or taken twice")
					}
				}
			}
		})
	}
	group.Wait()
	s.Close()
	if n := dropped.Load() + taken.Load(); n != workers*each || up.SparesReady() != 0 {
		t.Errorf("%d of %d are gone, %d ready", n, workers*each, up.SparesReady())
	}
}
