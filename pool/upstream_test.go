package pool

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pointsman/pointsman/health"
)

func TestNewUpstream(t *testing.T) {
	checker, err := health.New("east", health.Options{Probe: func(context.Context) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ok := Options{Name: "east", URL: &url.URL{Scheme: "wss", Host: "east:443", Path: "/chat"}, Checker: checker}
	u, err := NewUpstream(ok)
	if err != nil {
		t.Fatal(err)
	}
	ok.URL.Host = "changed"
	if u.Name() != "east" || u.URL().String() != "wss://east:443/chat" || u.Role() != Primary || u.Weight() != 1 ||
		u.MaxSessions() != 0 || u.Checker() != checker || u.HandshakesPerSecond() != 0 ||
		u.ProxyHeader() != NoProxyHeader || u.Spares() != 0 || u.SpareAge() != DefaultSpareAge || u.Sessions() != 0 || u.Healthy() || u.Full() || u.Available() {
		t.Fatalf("defaults: %+v", u)
	}
	for _, row := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"no name", func(o *Options) { o.Name = "" }, "name is missing"},
		{"no url", func(o *Options) { o.URL = nil }, "url is missing"},
		{"scheme", func(o *Options) { o.URL = &url.URL{Scheme: "http", Host: "east"} }, `scheme "http" is not ws or wss`},
		{"no host", func(o *Options) { o.URL = &url.URL{Scheme: "ws", Host: ":80"} }, "no host"},
		{"role", func(o *Options) { o.Role = 7 }, "role 7 is not one of"},
		{"weight", func(o *Options) { o.Weight = -1 }, "weight -1 is negative"},
		{"max", func(o *Options) { o.MaxSessions = -1 }, "max sessions -1 is negative"},
		{"handshakes", func(o *Options) { o.HandshakesPerSecond = -1 }, "handshakes per second -1 is negative"},
		{"proxy header", func(o *Options) { o.ProxyHeader = 7 }, "proxy header 7 is not one of none, v1, v2"},
		{"spares", func(o *Options) { o.Spares = -1 }, "spares -1 is negative"},
		{"spare age", func(o *Options) { o.SpareAge = -time.Second }, "spare age -1s is negative"},
		{"spares with a header", func(o *Options) { o.Spares, o.ProxyHeader = 2, ProxyHeaderV2 },
			"spares 2 with proxy header v2: a spare connection is opened before its client is known"},
		{"no checker", func(o *Options) { o.Checker = nil }, "checker is missing"},
		{"all together", func(o *Options) { o.URL, o.Weight = nil, -1 }, "url is missing\nweight -1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := ok
			row.change(&o)
			if _, err := NewUpstream(o); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Fatalf("error %v, want %q", err, row.want)
			}
		})
	}
}

func TestAvailable(t *testing.T) {
	for _, row := range []struct {
		name                             string
		m                                member
		healthy, usable, full, available bool
	}{
		{"idle", member{name: "a"}, true, true, false, true},
		{"no limit", member{name: "a", holding: 1 << 40}, true, true, false, true},
		{"room for one", member{name: "a", max: 3, holding: 2}, true, true, false, true},
		{"full", member{name: "a", max: 3, holding: 3}, true, true, true, false},
		{"down", member{name: "a", down: true}, false, false, false, false},
		{"down and full", member{name: "a", down: true, max: 1, holding: 1}, false, false, true, false},
		{"held", member{name: "a", coming: held}, true, true, false, true},
		{"disabled", member{name: "a", disabled: true}, true, false, false, false},
		{"disabled and down", member{name: "a", disabled: true, down: true}, false, false, false, false},
		{"disabled and full", member{name: "a", disabled: true, max: 1, holding: 1}, true, false, true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			u := build(t, row.m)
			if u.Healthy() != row.healthy || u.Usable() != row.usable || u.Full() != row.full || u.Available() != row.available {
				t.Fatalf("healthy %v, usable %v, full %v, available %v", u.Healthy(), u.Usable(), u.Full(), u.Available())
			}
		})
	}
}

func TestDisable(t *testing.T) {
	s := set(t, Priority, member{name: "a"}, member{name: "b", role: Secondary})
	a := s.Upstreams()[0]
	want := func(why string, disabled bool, picked string) {
		t.Helper()
		if w, d := a.Disabled(); w != why || d != disabled {
			t.Fatalf("disabled %v: %q", d, w)
		}
		lease, err := s.Pick(Request{}, Tried{})
		if err != nil || lease.Upstream().Name() != picked {
			t.Fatalf("picked %v, %v; want %s", lease.Upstream(), err, picked)
		}
		lease.Release()
	}
	want("", false, "a")
	a.Enable() // it was not disabled
	want("", false, "a")
	a.Disable("upgrade")
	want("upgrade", true, "b")
	a.Disable("") // a reason is not needed
	want("", true, "b")
	a.Enable()
	want("", false, "a")
}

func TestTotals(t *testing.T) {
	u := build(t, member{name: "a"})
	for range 3 {
		u.CountSession(time.Millisecond)
	}
	u.CountHandshakeFailure()
	u.CountHandshakeFailure()
	u.CountLost()
	if diff := cmp.Diff(Totals{Sessions: 3, HandshakeFailures: 2, Lost: 1}, u.Totals()); diff != "" {
		t.Fatal(diff)
	}
}

func TestRole(t *testing.T) {
	for _, r := range []Role{Primary, Secondary} {
		if got, err := ParseRole(r.String()); err != nil || got != r {
			t.Errorf("ParseRole(%q) = %v, %v", r, got, err)
		}
	}
	for _, s := range []string{"", "Primary", "tertiary"} {
		if _, err := ParseRole(s); err == nil || err.Error() != `role "`+s+`" is not one of primary, secondary` {
			t.Errorf("ParseRole(%q): %v", s, err)
		}
	}
}

func TestTried(t *testing.T) {
	var ups []*Upstream
	for range 20 {
		ups = append(ups, build(t, member{name: "a"}))
	}
	var tried Tried
	for i, u := range ups {
		if tried.Has(u) || tried.Len() != i {
			t.Fatalf("before adding %d: has %v, len %d", i, tried.Has(u), tried.Len())
		}
		a, b := tried, tried // values are independent, also beyond the inline part
		a = a.Add(u)
		b = b.Add(ups[0])
		if !a.Has(u) || (i > 0 && b.Has(u)) || tried.Has(u) {
			t.Fatalf("copies at %d are not independent", i)
		}
		tried = tried.Add(u)
		for j, v := range ups {
			if tried.Has(v) != (j <= i) {
				t.Fatalf("after adding %d: has %d is %v", i, j, tried.Has(v))
			}
		}
	}
}
