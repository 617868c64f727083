package pool

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// member says what an upstream of a test should be.
type member struct {
	name    string
	role    Role
	weight  int
	max     int
	down    bool
	holding int // leases out from the start

	coming   coming
	within   time.Duration // the length of its hold or ramp; zero means an hour
	disabled bool
	replaces *Upstream
	spares   int
	age      time.Duration // of a spare
}

// coming says how far an upstream of a test is on its way home after a recovery.
type coming uint8

const (
	home    coming = iota // its share is 1
	held                  // 0
	ramping               // 0.01 at first, rising
)

// failer is what testing.T, testing.B and rapid.T share, as far as it is needed here.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// build makes an upstream. Its checker is not run: it is up or down from the start, and trip takes it out.
func build(t failer, m member) *Upstream {
	t.Helper()
	o := health.Options{
		Probe:     func(context.Context) error { return nil },
		InitialUp: !m.down,
		Fall:      1,
		Jitter:    -1,
	}
	within := cmp.Or(m.within, time.Hour)
	switch m.coming {
	case held:
		o.Hold = within
	case ramping:
		o.Ramp = within
	}
	checker, err := health.New(m.name, o)
	if err != nil {
		t.Fatal(err)
	}
	u, err := NewUpstream(Options{
		Name: m.name, URL: &url.URL{Scheme: "ws", Host: m.name + ":80"},
		Role: m.role, Weight: m.weight, MaxSessions: m.max, Checker: checker, Replaces: m.replaces,
		Spares: m.spares, SpareAge: m.age,
	})
	if err != nil {
		t.Fatal(err)
	}
	u.held.Add(int64(m.holding))
	if m.disabled {
		u.Disable("test")
	}
	if m.coming != home {
		comeBack(u)
	}
	return u
}

// comeBack makes u come home as after a recovery, by way of a drill: that needs no running checker.
func comeBack(u *Upstream) {
	u.Checker().Suspend(time.Hour, "")
	u.Checker().Resume()
}

// trip makes u unhealthy.
func trip(u *Upstream) { u.Checker().Lost(errors.New("gone")) }

// set makes a set of members.
func set(t failer, router Router, members ...member) *Set {
	t.Helper()
	var ups []*Upstream
	for _, m := range members {
		ups = append(ups, build(t, m))
	}
	s, err := NewSet(router, ups)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
