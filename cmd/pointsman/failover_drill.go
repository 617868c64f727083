package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/proxy/drain"
)

const (
	// drillEvery is the time between two looks at the router.
	drillEvery = 100 * time.Millisecond
	// homecoming is how long the router may take to begin to lead sessions home.
	// It looks for them twice a second.
	homecoming = 3 * time.Second
)

// drill is a failover that is practised on a running router, as its status
// shows it, in the phases of the demo's story. Its methods are for one goroutine,
// but for line.
type drill struct {
	*caller
	name     string // of the upstream
	order    given
	lasting  time.Duration
	steady   time.Duration
	patience time.Duration
	progress *demoProgress

	drainID   string          // "" until it has begun
	earlier   map[string]bool // IDs of drains that are none of ours
	began     time.Time
	first     time.Time         // first session elsewhere, zero until then
	elsewhere map[string]uint64 // sessions that others had taken when it began
	last      admin.Status      // the last look
	recovered bool              // it takes its full share again
	home      bool              // nobody is led home any more

	phases []*drillPhase

	mu    sync.Mutex
	shown string // the line of progress
}

// drillPhase is a part of a drill, between two looks.
type drillPhase struct {
	name       string
	began      time.Time
	ended      time.Time
	first, end admin.Status
}

// prepare looks whether there is something to practise.
func (d *drill) prepare(ctx context.Context) error {
	var u admin.Upstream
	if _, err := d.get(ctx, "/upstreams/"+url.PathEscape(d.name), &u); err != nil {
		return err
	}
	switch u.State {
	case admin.Healthy, admin.Held, admin.Ramping:
	case admin.Disabled:
		return fmt.Errorf("%s is disabled (%s), so its loss would show nothing: \"pointsman enable %s\" first", d.name, printable(u.DisabledWhy), d.name)
	case admin.Suspended:
		return fmt.Errorf("a drill of %s is under way already: \"pointsman enable %s\" ends it", d.name, d.name)
	default:
		return fmt.Errorf("%s is %s, there is nothing to practise: %s", d.name, u.State, printable(u.Reason))
	}
	var all admin.Drains
	if _, err := d.get(ctx, "/drains", &all); err != nil {
		return err
	}
	d.earlier = make(map[string]bool)
	for _, one := range all.Drains {
		d.earlier[one.ID] = true
	}
	return nil
}

// errNotBack ends a drill whose upstream did not recover in time.
var errNotBack = errors.New("the upstream has not come back")

// tell is the course of events.
func (d *drill) tell(ctx context.Context) error {
	if err := d.look(ctx); err != nil {
		return err
	}
	if d.steady > 0 {
		d.begin(phaseSteady, "as it is, for %v", d.steady)
		if err := d.watch(ctx, time.Now().Add(d.steady), func() bool { return false }); err != nil {
			return err
		}
	}
	var begun admin.Begun
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// From here on it has to be known whether the drill has begun.
	if _, err := d.post(context.WithoutCancel(ctx), "/upstreams/"+url.PathEscape(d.name)+"/failover", d.order, &begun); err != nil {
		return err
	}
	d.drainID, d.began = begun.ID, time.Now()
	d.elsewhere = d.takenElsewhere()
	d.begin(phaseFailover, "%s counts as down for %v, at most %d closes per second", d.name, d.lasting, begun.Rate)
	bound := d.began.Add(d.lasting + d.patience)
	if err := d.watch(ctx, bound, func() bool { return d.state() != admin.Suspended }); err != nil {
		return err
	}
	d.begin(phaseFailback, "%s counts as recovered", d.name)
	if err := d.watch(ctx, bound, func() bool { return d.state() == admin.Healthy }); err != nil {
		return err
	}
	if d.state() != admin.Healthy {
		u, _ := d.upstream()
		return fmt.Errorf("%w within %v after its time: it is %s, %s", errNotBack, d.patience, u.State, printable(whyOf(&u)))
	}
	d.recovered = true
	d.begin(phaseHome, "%s takes its full share of new sessions", d.name)
	quiet := time.Now().Add(homecoming)
	return d.watch(ctx, bound, func() bool {
		if d.leadsHome() {
			quiet = time.Now().Add(homecoming) // another upstream's may follow
			return false
		}
		d.home = time.Now().After(quiet)
		return d.home
	})
}

// watch looks until over, or until the bound, which is no error.
func (d *drill) watch(ctx context.Context, bound time.Time, over func() bool) error {
	tick := time.NewTicker(drillEvery)
	defer tick.Stop()
	for {
		if err := d.look(ctx); err != nil {
			return err
		}
		if over() || time.Now().After(bound) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// look asks the router how things stand.
func (d *drill) look(ctx context.Context) error {
	var s admin.Status
	if _, err := d.follow(ctx, "/status", &s); err != nil {
		return err
	}
	if s.UptimeSeconds < d.last.UptimeSeconds {
		return errors.New("the router was started anew")
	}
	d.last = s
	if n := len(d.phases); n > 0 {
		d.phases[n-1].end, d.phases[n-1].ended = s, time.Now()
	}
	if d.first.IsZero() && d.elsewhere != nil {
		d.noteFirst()
	}
	d.show()
	return nil
}

// noteFirst notes the first session that another upstream has taken.
func (d *drill) noteFirst() {
	taken := d.takenElsewhere()
	for _, name := range slices.Sorted(maps.Keys(taken)) {
		if taken[name] > d.elsewhere[name] {
			d.first = time.Now()
			d.progress.note("first session on %s after %s", name, milliseconds(between(d.began, d.first)))
			return
		}
	}
}

// begin begins a phase at the last look.
func (d *drill) begin(phase, format string, args ...any) {
	now := time.Now()
	d.phases = append(d.phases, &drillPhase{name: phase, began: now, ended: now, first: d.last, end: d.last})
	d.progress.note("%s: %s", phase, fmt.Sprintf(format, args...))
}

// upstream is that of the drill, at the last look.
func (d *drill) upstream() (u admin.Upstream, ok bool) {
	for _, u := range d.last.Upstreams {
		if u.Name == d.name {
			return u, true
		}
	}
	return admin.Upstream{State: admin.Leaving, Reason: "a reload has removed it"}, false
}

func (d *drill) state() admin.State {
	u, _ := d.upstream()
	return u.State
}

// takenElsewhere are the sessions that other upstreams have taken so far.
func (d *drill) takenElsewhere() map[string]uint64 {
	taken := make(map[string]uint64)
	for _, u := range d.last.Upstreams {
		if u.Name != d.name {
			taken[u.Name] = u.Totals.Sessions
		}
	}
	return taken
}

// leadsHome reports whether the router is leading sessions away from others.
func (d *drill) leadsHome() bool {
	for _, one := range d.last.Drains {
		if one.Cause == drain.Failback && one.Upstream != d.name {
			return true
		}
	}
	return false
}

// interrupt ends the drill early, if it is not over.
func (d *drill) interrupt(ctx context.Context) error {
	if err := d.look(ctx); err != nil {
		return fmt.Errorf("%w, and the drill goes on until its time is over: %w", errInterrupted, err)
	}
	if d.state() != admin.Suspended {
		return fmt.Errorf("%w while watching; the drill itself was over", errInterrupted)
	}
	var u admin.Upstream
	if _, err := d.post(ctx, "/upstreams/"+url.PathEscape(d.name)+"/enable", nil, &u); err != nil {
		return fmt.Errorf("%w, and the drill goes on until its time is over: %w", errInterrupted, err)
	}
	d.progress.note("interrupted: the drill is ended early, %s is %s", d.name, stateOf(&u, time.Now()))
	// What follows is the end of its last phase.
	return errors.Join(fmt.Errorf("%w: the drill was ended early", errInterrupted), d.look(ctx))
}

// show makes the line of progress.
func (d *drill) show() {
	open := make(map[string]int)
	for _, u := range d.last.Upstreams {
		open[u.Name] += u.Sessions
	}
	u, _ := d.upstream()
	text := d.name + " " + stateOf(&u, time.Now())
	if n := len(d.phases); n > 0 {
		text = fmt.Sprintf("%-8s  %s", d.phases[n-1].name, text)
	}
	for _, name := range slices.Sorted(maps.Keys(open)) {
		text += fmt.Sprintf("  %s %d", printable(name), open[name])
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shown = text
}

// line is the line of progress. It may be called concurrently.
func (d *drill) line() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.shown
}

// ours are the drains that the drill brought about, also those home.
func (d *drill) ours(ctx context.Context) ([]drain.Status, error) {
	var all admin.Drains
	if _, err := d.follow(ctx, "/drains", &all); err != nil {
		return nil, err
	}
	list := []drain.Status{}
	for _, one := range all.Drains {
		if !d.earlier[one.ID] && (one.ID == d.drainID || one.Cause == drain.Failback) {
			list = append(list, one)
		}
	}
	return list, nil
}
