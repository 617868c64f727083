package proxy

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/proxy/drain"
)

const movedByOperator = "moved by operator"

// stay are options with which nobody is led home while a test looks.
var stay = Options{Failback: Failback{Stay: true}}

// all selects all sessions of an upstream.
func all(name string) drain.Selection { return drain.Selection{Upstream: name} }

// wantDisabled checks that an upstream is disabled for that reason, or not if
// the reason is empty.
func (r *rig) wantDisabled(name, why string) {
	r.t.Helper()
	if got, disabled := r.upstream(name).Disabled(); got != why || disabled != (why != "") {
		r.t.Errorf("%s: disabled %v, %q; want %q", name, disabled, got, why)
	}
}

// wantNew checks where a new session goes.
func (r *rig) wantNew(want string) {
	r.t.Helper()
	c, name := r.reached()
	defer c.Close()
	if name != want {
		r.t.Errorf("a new session went to %q, want %q", name, want)
	}
}

// TestDrainAll: an upstream is emptied, and takes nobody until it is enabled.
func TestDrainAll(t *testing.T) {
	t.Parallel()
	const sessions, rate = 30, 40
	var l log
	o := stay
	o.Logger = l.at(slog.LevelInfo)
	r := newPair(t, o, nil)
	f := r.gather(sessions, "/chat")
	f.wantAt("east")
	d, existed, err := r.Drain(drain.Plan{Selection: all("east"), Rate: rate})
	if err != nil || existed {
		t.Fatalf("existed %v, %v", existed, err)
	}
	r.wantDisabled("east", "drain "+d.ID())
	s := endsAs(t, d, drain.Done)
	if s.Cause != drain.Operator || s.Asked != sessions || s.Found != sessions || s.Gone != sessions || s.Rate != rate {
		t.Errorf("status %+v", s)
	}
	f.moved("west", movedByOperator)
	if n := r.upstream("east").Sessions(); n != 0 {
		t.Errorf("%d sessions left", n)
	}
	r.wantDisabled("east", "drain "+d.ID())
	if !r.upstream("east").Healthy() {
		t.Error("a disabled upstream is not probed")
	}
	r.wantNew("west")
	if err := r.Enable("east"); err != nil {
		t.Fatal(err)
	}
	r.wantDisabled("east", "")
	r.wantNew("east")
	f.wantAt("west")
	got := l.String()
	for _, want := range []string{"upstream disabled", "drain begins", "drain ended", "upstream enabled"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("not once %q in the log:\n%s", want, got)
		}
	}
}

// TestDrainDefaults: what an operator does not say.
func TestDrainDefaults(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	d, _, err := r.Drain(drain.Plan{Selection: all("west"), Cause: drain.Shutdown})
	if err != nil {
		t.Fatal(err)
	}
	s := endsAs(t, d, drain.Done)
	if s.Rate != 50 || s.Reason != movedByOperator || s.Code != 1012 || s.Cause != drain.Operator || !s.Deadline.IsZero() {
		t.Errorf("status %+v", s)
	}
}

// TestDrainTwice: the same drain is the same drain, and the second call changes
// its rate. When it is over it may be begun again.
func TestDrainTwice(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	f := r.gather(5, "/chat")
	first, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	second, existed, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 100})
	if err != nil || !existed || second != first || first.Status().Rate != 100 {
		t.Fatalf("existed %v, %v, rate %d", existed, err, first.Status().Rate)
	}
	endsAs(t, first, drain.Done)
	f.moved("west", movedByOperator)
	third, existed, err := r.Drain(drain.Plan{Selection: all("east")})
	if err != nil || existed {
		t.Fatalf("existed %v, %v", existed, err)
	}
	if s := endsAs(t, third, drain.Done); s.Found != 0 || s.ID == first.ID() {
		t.Errorf("status %+v", s)
	}
	f.wantAt("west")
}

// TestPaused: a drain can be held and goes on.
func TestPaused(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	f := r.gather(6, "/chat")
	d, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 1}) // not all are gone before the pause
	if err != nil {
		t.Fatal(err)
	}
	d.Pause()
	comesTo(t, d, drain.Paused)
	asked := d.Status().Asked
	until(t, "those who were asked to go", func() bool { return f.at("west") == asked })
	f.echo()
	if now := d.Status().Asked; now != asked || asked == 6 {
		t.Errorf("%d were asked, %d before the pause", now, asked)
	}
	d.Resume()
	if same, existed, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 100}); err != nil || !existed || same != d {
		t.Fatalf("existed %v, %v", existed, err)
	}
	endsAs(t, d, drain.Done)
	f.moved("west", movedByOperator)
}

// TestLastUsable: what would leave clients without a place needs force.
func TestLastUsable(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	r.upstream("west").Disable("not today")
	drill := func(force bool) error {
		_, err := r.Drill("east", soon, 100, force)
		return err
	}
	empty := func(force bool) error {
		_, _, err := r.Drain(drain.Plan{Selection: all("east"), Force: force, Rate: 500})
		return err
	}
	disable := func(force bool) error { return r.Disable("east", "test", force) }
	for name, act := range map[string]func(bool) error{"drill": drill, "drain": empty, "disable": disable} {
		if err := act(false); !errors.Is(err, ErrLastUsable) || !strings.Contains(err.Error(), "east") {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.wantDisabled("east", "")
	if list := r.Drains().List(); len(list) != 0 {
		t.Errorf("drains %+v", list)
	}
	r.wantNew("east")
	// A part of the sessions may leave: they find a place where they were.
	if _, _, err := r.Drain(drain.Plan{Selection: drain.Selection{Upstream: "east", Count: 1}}); err != nil {
		t.Error(err)
	}

	if err := disable(true); err != nil {
		t.Error(err)
	}
	r.ask(goodHead).refusedBy(t, 503)
	if r.Ready() {
		t.Error("ready")
	}
	if err := disable(false); err != nil { // it is disabled already
		t.Error(err)
	}
	if err := r.Enable("east"); err != nil {
		t.Fatal(err)
	}
	c := r.joined()
	if err := empty(true); err != nil {
		t.Fatal(err)
	}
	c.wants(closeFrame, status(1012, movedByOperator))
	c.send(masked(closeFrame, status(1012, "")))
	c.eof()
	r.ask(goodHead).refusedBy(t, 503)
	if err := r.Enable("east"); err != nil {
		t.Fatal(err)
	}
	c = r.joined()
	if err := drill(true); err != nil {
		t.Fatal(err)
	}
	c.wants(closeFrame, status(1012, "failover drill"))
	c.send(masked(closeFrame, status(1012, "")))
	c.eof()
	until(t, "the drill to end", r.upstream("east").Healthy)
	r.wantNew("east")
}

// TestDrainWithoutForce: nobody is sent away when the last other place is lost
// after the drain has begun.
func TestDrainWithoutForce(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	f := r.gather(3, "/chat")
	d, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the first to be elsewhere", func() bool { return f.at("west") > 0 })
	if err := r.Disable("west", "lost", true); err != nil { // it is: east is disabled
		t.Fatal(err)
	}
	comesTo(t, d, drain.Waiting)
	if s := d.Status(); s.Asked > 2 || s.Why == "" {
		t.Errorf("status %+v", s)
	}
	if err := r.Enable("west"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 100}); err != nil {
		t.Fatal(err)
	}
	endsAs(t, d, drain.Done)
	f.moved("west", movedByOperator)
}

// TestCancelDrain: what a drain has disabled takes sessions again when it is
// cancelled; what it has asked is gone.
func TestCancelDrain(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	f := r.gather(4, "/chat")
	d, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the first to be asked", func() bool { return d.Status().Asked > 0 })
	same, err := r.CancelDrain(d.ID())
	if err != nil || same != d {
		t.Fatal(err)
	}
	s := endsAs(t, d, drain.Cancelled)
	if s.Why != "cancelled by operator" || s.Asked == 4 {
		t.Errorf("status %+v", s)
	}
	r.wantDisabled("east", "")
	r.wantNew("east")
	until(t, "who was asked to be back", func() bool { return len(f.farewells()) == s.Asked })
	f.echo()

	// Once it has ended, cancelling changes nothing.
	if err := r.Disable("east", "drain "+d.ID(), false); err != nil {
		t.Fatal(err)
	}
	if same, err = r.CancelDrain(d.ID()); err != nil || same != d {
		t.Error(err)
	}
	r.wantDisabled("east", "drain "+d.ID())
	if _, err := r.CancelDrain("99"); !errors.Is(err, drain.ErrUnknown) {
		t.Errorf("an unknown drain: %v", err)
	}
}

// TestCancelDrainOfDisabled: what was disabled before the drain stays so.
func TestCancelDrainOfDisabled(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	r.gather(4, "/chat")
	if err := r.Disable("east", "maintenance", false); err != nil {
		t.Fatal(err)
	}
	d, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.wantDisabled("east", "maintenance")
	if _, err := r.CancelDrain(d.ID()); err != nil {
		t.Fatal(err)
	}
	endsAs(t, d, drain.Cancelled)
	r.wantDisabled("east", "maintenance")
}

// TestEnableEndsDrain: an upstream that is wanted back keeps the sessions that it
// has left.
func TestEnableEndsDrain(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	r.gather(4, "/chat")
	d, _, err := r.Drain(drain.Plan{Selection: all("east"), Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Enable("east"); err != nil {
		t.Fatal(err)
	}
	if s := endsAs(t, d, drain.Cancelled); s.Why != "the upstream was enabled" {
		t.Errorf("status %+v", s)
	}
	r.wantDisabled("east", "")
	r.wantNew("east")
}

// TestDisable: no new sessions, and nothing else.
func TestDisable(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	f := r.gather(3, "/chat")
	if err := r.Disable("east", "test", false); err != nil {
		t.Fatal(err)
	}
	r.wantDisabled("east", "test")
	r.wantNew("west")
	f.untouched()
	f.wantAt("east")
	r.falls() // it is still probed
	r.rises()
	if err := r.Disable("east", "another reason", false); err != nil {
		t.Fatal(err)
	}
	r.wantDisabled("east", "another reason")
	for range 2 {
		if err := r.Enable("east"); err != nil {
			t.Fatal(err)
		}
	}
	r.wantDisabled("east", "")
	r.wantNew("east")
	f.untouched()
}

// TestUnknownNames: the error names what there is.
func TestUnknownNames(t *testing.T) {
	t.Parallel()
	r := newPair(t, stay, nil)
	for name, act := range map[string]func(string) error{
		"disable": func(s string) error { return r.Disable(s, "", true) },
		"enable":  r.Enable,
		"drain":   func(s string) error { _, _, err := r.Drain(drain.Plan{Selection: all(s), Force: true}); return err },
		"drill":   func(s string) error { _, err := r.Drill(s, time.Second, 1, true); return err },
	} {
		for _, upstream := range []string{"norht", "", "East"} {
			var unknown *UnknownUpstream
			if err := act(upstream); !errors.As(err, &unknown) || unknown.Name != upstream ||
				!slices.Equal(unknown.Known, []string{"east", "west"}) || !strings.HasSuffix(err.Error(), "known: east, west") {
				t.Errorf("%s %q: %v", name, upstream, err)
			}
		}
	}
	if _, _, err := r.Drain(drain.Plan{Selection: all("east"), Code: 1005, Order: 9}); err == nil ||
		!strings.Contains(err.Error(), "1005") || !strings.Contains(err.Error(), "order") {
		t.Errorf("a bad plan: %v", err)
	}
	r.wantDisabled("east", "")
}
