package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/admin"
	"github.com/pointsman/pointsman/proxy/drain"
)

// someDay is when the pages of these tests are looked at.
var someDay = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return someDay.Add(-d) }

// busyStatus is a router with everything that a page can show.
func busyStatus() *admin.Status {
	good, bad := &admin.Probe{At: ago(time.Second)}, &admin.Probe{At: ago(time.Second), Error: "dial tcp 10.0.0.9:9001: connect: connection refused"}
	return &admin.Status{
		Version: "v1.2.3", UptimeSeconds: 3*24*3600 + 4*3600 + 59*60, Ready: true, Listeners: []string{"0.0.0.0:8080", "[::1]:8443"},
		Sessions: admin.Sessions{Open: 12345},
		Upstreams: []admin.Upstream{
			{Name: "east", Role: "primary", State: admin.Healthy, Healthy: true, Share: 1, Since: ago(26 * time.Hour), Reason: "first probe is good", LastProbe: good, Sessions: 12000},
			{Name: "north", Role: "primary", State: admin.Held, Healthy: true, Since: ago(3 * time.Second), HoldSecondsLeft: 6.2, Reason: "2 good probes in a row", LastProbe: good},
			{Name: "north-east", Role: "primary", State: admin.Ramping, Healthy: true, Share: 0.4, Since: ago(90 * time.Second), Reason: "2 good probes in a row", Sessions: 7},
			{Name: "south", Role: "primary", State: admin.Down, Since: ago(61 * time.Minute), Reason: "failed probes in a row: 3, the last: " + bad.Error, LastProbe: bad},
			{Name: "west", Role: "secondary", State: admin.Disabled, Disabled: true, DisabledWhy: "drain 7", Healthy: true, Since: ago(59 * time.Second), Reason: "first probe is good", LastProbe: good, Sessions: 120},
			{Name: "west-2", Role: "secondary", State: admin.Disabled, Disabled: true, DisabledWhy: "new disks", Since: ago(0), Reason: "not probed yet", LastProbe: bad},
			{Name: "west-3", Role: "secondary", State: admin.Suspended, SuspendedUntil: someDay.Add(29500 * time.Millisecond), Since: ago(500 * time.Millisecond), Reason: "suspended: failover drill for 30s"},
			{Name: "west-4", Role: "secondary", State: admin.Unknown, Since: ago(-time.Second), Reason: "not probed yet"},
			{Name: "west-5", Role: "secondary", State: admin.Leaving, Since: ago(48 * time.Hour), Reason: "\x1b[2Jbad\tname\nof it", Sessions: 1},
		},
		Drains: []drain.Status{
			{ID: "7", Cause: drain.Operator, Upstream: "west", Selection: "all sessions of west", Rate: 50, State: drain.Running, Found: 400, Asked: 300, Gone: 280, Left: 100, Remaining: 2},
			{ID: "8", Cause: drain.Drill, Upstream: "west-3", Selection: "all sessions of west-3", Rate: 200, State: drain.Waiting, Why: "no other upstream would take the clients now", Left: 3, Remaining: 0.1},
			{ID: "9", Cause: drain.Down, Upstream: "south", Selection: "all sessions of south whose upstream is silent for 15s", Rate: 200, State: drain.Waiting, Why: "no session to close now"},
		},
		Certificates: []admin.Certificate{
			{Listener: ":8443", Names: []string{"chat.example.org", "*.chat.example.org"}, NotAfter: someDay.Add(1500 * time.Hour), Source: admin.FromFile, File: "/etc/tls.crt"},
			{Listener: ":8443", Names: []string{"old.example.org"}, NotAfter: ago(30 * time.Hour), Source: admin.FromFile, File: "/etc/old.crt", Error: "key: open /etc/old.key: no such file or directory"},
			{Listener: ":8443", Names: []string{"new.example.org"}, Source: admin.FromACME},
		},
		Reload: &admin.Reload{Attempts: 4, Generation: 3, At: ago(5 * time.Minute), Error: "p.yaml:3:1: key \"x\" is not known", NeedsRestart: []string{"listen", "admin"}},
	}
}

func TestStatusPage(t *testing.T) {
	t.Parallel()
	checkGolden(t, "status.txt", statusPage(busyStatus(), someDay))
	checkGolden(t, "status_quiet.txt", statusPage(&admin.Status{
		Version: "devel", UptimeSeconds: 0.3, Listeners: []string{"127.0.0.1:8080"}, Sessions: admin.Sessions{Open: 1},
		Reload: &admin.Reload{Attempts: 1, Generation: 1, At: ago(time.Minute), OK: true},
	}, someDay))
	checkGolden(t, "drains.txt", drainTable(append(busyStatus().Drains,
		drain.Status{ID: "10", Cause: drain.Failback, Upstream: "west", Selection: "all sessions of west", Rate: 20, State: drain.Done, Asked: 9, Gone: 9, Ended: ago(time.Hour)},
		drain.Status{ID: "11", Cause: drain.Shutdown, Selection: "all sessions", Rate: 20, State: drain.Cancelled, Why: "the router ends", Asked: 1, Left: 2, Ended: ago(time.Second)},
	), someDay))
}

// TestPrintable: nothing that came over the network steers the terminal.
func TestPrintable(t *testing.T) {
	t.Parallel()
	page := statusPage(busyStatus(), someDay)
	if strings.ContainsAny(page, "\x1b\t\r") {
		t.Errorf("got %q", page)
	}
	if got := printable("naïve\x07 \u202egnol\nline"); got != "naïve\ufffd \ufffdgnol\nline" {
		t.Errorf("got %q", got)
	}
}

func TestBar(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		gone, asked, left int
		state             drain.State
		want              string
	}{
		{0, 0, 0, drain.Running, "[--------------------]   0%"},
		{0, 0, 0, drain.Done, "[####################] 100%"},
		{0, 5, 5, drain.Running, "[--------------------]   0%"},
		{5, 5, 5, drain.Paused, "[##########----------]  50%"},
		{999, 1000, 0, drain.Running, "[###################-]  99%"},
		{10, 10, 0, drain.Running, "[####################] 100%"},
	} {
		if got := bar(&drain.Status{Gone: row.gone, Asked: row.asked, Left: row.left, State: row.state}); got != row.want {
			t.Errorf("%+v: %s", row, got)
		}
	}
}

// busyReport is a drill that went well.
func busyReport() *drillReport {
	ms := 103.4
	row := func(name string, seconds float64, tried, failed int64, opened, open map[string]int) drillPhaseRow {
		return drillPhaseRow{Name: name, Seconds: seconds, Handshakes: demoHandshakes{Tried: tried, Failed: failed}, Opened: opened, Open: open}
	}
	type by = map[string]int
	return &drillReport{
		Upstream: "east", ForSeconds: 30, Recovered: true, Home: true, FirstElsewhereMS: &ms,
		Phases: []drillPhaseRow{
			row(phaseSteady, 2.04, 40, 0, by{"east": 40, "west": 0}, by{"east": 1200, "west": 0}),
			row(phaseFailover, 30.1, 1800, 1, by{"east": 0, "west": 1799}, by{"east": 0, "west": 1199}),
			row(phaseFailback, 10.3, 206, 0, by{"east": 0, "west": 206}, by{"west": 1200}),
			row(phaseHome, 26, 1720, 0, by{"east": 1720}, by{"east": 1200, "west": 0}),
		},
		Drains: []drain.Status{
			{ID: "4", Cause: drain.Drill, Upstream: "east", State: drain.Done, Asked: 1200, Gone: 1200, Began: ago(time.Minute), Ended: ago(time.Minute - 6100*time.Millisecond)},
			{ID: "5", Cause: drain.Failback, Upstream: "west", State: drain.Waiting, Why: "no other upstream would take the clients now", Asked: 30, Gone: 29, Left: 7},
		},
	}
}

func TestDrillReport(t *testing.T) {
	t.Parallel()
	r := busyReport()
	checkGolden(t, "failover.txt", r.table())
	var asJSON strings.Builder
	if err := r.write(&asJSON, true); err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "failover.json", asJSON.String())

	r.Home = false
	if got := r.verdict(); got != "east takes its full share of new sessions again; others are still on their way home" {
		t.Errorf("got %q", got)
	}
	r.Problem, r.FirstElsewhereMS = "interrupted: the drill was ended early", nil
	if got := r.table(); !strings.HasSuffix(got, "\n\nNOT FINISHED: interrupted: the drill was ended early\n") || !strings.Contains(got, "did not happen") {
		t.Errorf("got %s", got)
	}
}

// TestPhaseRow counts what happened between two looks.
func TestPhaseRow(t *testing.T) {
	t.Parallel()
	look := func(accepted, refused, abandoned uint64, east, west, open int) admin.Status {
		return admin.Status{
			Handshakes: admin.Handshakes{Accepted: accepted, Refused: refused, Abandoned: abandoned},
			Upstreams: []admin.Upstream{
				{Name: "east", Sessions: open, Totals: admin.Totals{Sessions: uint64(east)}},
				{Name: "west", Sessions: 1, Totals: admin.Totals{Sessions: uint64(west)}},
				{Name: "west", Leaving: true, Sessions: 2, Totals: admin.Totals{Sessions: 5}},
			},
		}
	}
	p := drillPhase{name: "steady", began: ago(3 * time.Second), ended: someDay, first: look(10, 2, 1, 8, 9, 4), end: look(20, 3, 2, 17, 0, 6)}
	got := p.row()
	if got.Seconds != 3 || got.Handshakes != (demoHandshakes{Tried: 12, Failed: 1}) || got.Opened["east"] != 9 || got.Opened["west"] != 0 ||
		got.Open["east"] != 6 || got.Open["west"] != 3 {
		t.Errorf("got %+v", got)
	}
}
