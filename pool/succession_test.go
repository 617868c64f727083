package pool

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
)

func TestReplaces(t *testing.T) {
	first := build(t, member{name: "a", max: 5})
	pick := func(u *Upstream) Lease {
		t.Helper()
		s, err := NewSet(Priority, []*Upstream{u})
		if err != nil {
			t.Fatal(err)
		}
		lease, err := s.Pick(Request{}, Tried{})
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	var leases []Lease
	for range 3 {
		leases = append(leases, pick(first))
	}
	first.CountSession(time.Millisecond)
	first.Disable("upgrade")

	second := build(t, member{name: "a", role: Secondary, weight: 7, replaces: first})
	third := build(t, member{name: "a", max: 2, replaces: second})
	if second.Role() != Secondary || second.Weight() != 7 || second.MaxSessions() != 0 || third.MaxSessions() != 2 {
		t.Fatal("settings were taken over")
	}
	for _, u := range []*Upstream{second, third} {
		if why, disabled := u.Disabled(); !disabled || why != "upgrade" {
			t.Fatalf("disabled %v: %q", disabled, why)
		}
	}
	third.Enable()
	if _, disabled := first.Disabled(); disabled || !first.Available() {
		t.Fatal("the oldest is still disabled")
	}

	leases = append(leases, pick(second))
	second.CountLost()
	third.CountHandshakeFailure()
	for _, u := range []*Upstream{first, second, third} {
		if u.Sessions() != 4 || u.Totals() != (Totals{Sessions: 1, HandshakeFailures: 1, Lost: 1}) {
			t.Fatalf("%d sessions, totals %+v", u.Sessions(), u.Totals())
		}
	}
	if first.Full() || second.Full() || !third.Full() {
		t.Fatal("each goes by its own limit")
	}
	for i, lease := range leases {
		if want := 4 - i; third.Sessions() != want || third.Full() != (want >= 2) {
			t.Fatalf("%d sessions, want %d", third.Sessions(), want)
		}
		lease.Release() // of an old one
	}
	if third.Sessions() != 0 || !third.Available() {
		t.Fatalf("%d sessions are left", third.Sessions())
	}
}

func TestReplacesOnlyTheSameInstance(t *testing.T) {
	checker, err := health.New("a", health.Options{Probe: func(context.Context) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	ok := Options{Name: "a", URL: &url.URL{Scheme: "ws", Host: "a:80", Path: "/x", User: url.UserPassword("me", "secret")}, Checker: checker}
	old, err := NewUpstream(ok)
	if err != nil {
		t.Fatal(err)
	}
	ok.Replaces = old
	if _, err := NewUpstream(ok); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"name", func(o *Options) { o.Name = "b" }, `upstream "b": it cannot replace "a", which has another name`},
		{"host", func(o *Options) { o.URL = &url.URL{Scheme: "ws", Host: "b:80", Path: "/x"} }, "it cannot replace the one at ws://me:xxxxx@a:80/x, which"},
		{"path", func(o *Options) { o.URL = &url.URL{Scheme: "ws", Host: "a:80", Path: "/y"} }, "another instance"},
		{"scheme", func(o *Options) { o.URL = &url.URL{Scheme: "wss", Host: "a:80", Path: "/x"} }, "another instance"},
		{"no url", func(o *Options) { o.URL = nil }, "url is missing"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := ok
			row.change(&o)
			if _, err := NewUpstream(o); err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("error %v, want %q", err, row.want)
			}
		})
	}
}

func TestSame(t *testing.T) {
	a := build(t, member{name: "a"})
	heir := build(t, member{name: "a", replaces: a})
	sibling := build(t, member{name: "a", replaces: a}) // of a reload that was given up
	last := build(t, member{name: "a", replaces: heir})
	twin := build(t, member{name: "a"})
	same := []*Upstream{a, heir, sibling, last}
	for _, u := range same {
		for _, v := range same {
			if !u.Same(v) {
				t.Fatal("not the same")
			}
		}
		if u.Same(twin) || twin.Same(u) || u.Same(nil) || (*Upstream)(nil).Same(u) {
			t.Fatal("the same as a stranger")
		}
	}
	if (*Upstream)(nil).Same(nil) {
		t.Fatal("nobody is the same as nobody")
	}
}
