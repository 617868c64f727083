package admin

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pointsman/pointsman/health"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/drain"
)

// look asks for /status.
func (r *rig) look() Status {
	r.t.Helper()
	a, body := r.do("GET", "/status")
	if kind := a.Header.Get("Content-Type"); a.StatusCode != 200 || kind != "application/json" {
		r.t.Fatalf("got %s, %q", a.Status, kind)
	}
	var s Status
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		r.t.Fatalf("%v in %s", err, body)
	}
	return s
}

// TestStatus tells a story at the router and reads it at the door.
func TestStatus(t *testing.T) {
	t.Parallel()
	began := time.Now().Add(-time.Second)
	r := start(t)
	r.believe(true, true)
	until(t, "the probes to be noted", func() bool {
		s := r.look()
		return s.Upstreams[0].LastProbe != nil && s.Upstreams[1].LastProbe != nil
	})

	stays, ends := r.join(), r.join()
	r.echo(stays)
	if err := ends.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	if a, err := r.client.Get("http://" + r.data); err != nil || a.StatusCode != 426 { // refused
		t.Fatal(a, err)
	} else {
		a.Body.Close()
	}
	if err := r.east.FailHandshakes(503, 1); err != nil {
		t.Fatal(err)
	}
	elsewhere := r.join()
	r.echo(elsewhere)
	if err := r.west.SetHealth(500); err != nil {
		t.Fatal(err)
	}
	r.believe(true, false)
	until(t, "the session to be counted out", func() bool {
		s := r.look().Sessions // one counter after the other
		return s.Ended == 1 && s.Open == 2
	})

	got := r.look()
	want := Status{
		Version: "v1.2.3", Ready: true, Listeners: []string{"here:80"},
		Sessions:   Sessions{Open: 2, Total: 3, Ended: 1, Ends: map[string]uint64{"client closed": 1}},
		Handshakes: Handshakes{Total: 3, Accepted: 3, Refused: 1, Refusals: map[string]uint64{"no_upgrade": 1}, Failovers: 1},
		Upstreams: []Upstream{
			{Name: "east", URL: "ws://operator:xxxxx@" + r.east.Addr() + "/hub", Role: "primary", Weight: 3, MaxSessions: 100,
				State: Healthy, Healthy: true, Breaker: "closed", Share: 1, Sessions: 1, Totals: Totals{Sessions: 2, HandshakeFailures: 1}},
			{Name: "west", URL: "ws://operator:xxxxx@" + r.west.Addr() + "/hub", Role: "secondary", Weight: 1,
				State: Down, Breaker: "open", Trips: 1, Sessions: 1, Totals: Totals{Sessions: 1}},
		},
		Drains: []drain.Status{}, Certificates: []Certificate{},
	}
	if got.Upstreams[1].Breaker == "half-open" { // a probe is on its way
		want.Upstreams[1].Breaker = "half-open"
	}
	ignore := cmp.Options{
		cmpopts.IgnoreFields(Status{}, "UptimeSeconds"),
		cmpopts.IgnoreFields(Upstream{}, "Since", "Reason", "LastProbe"),
	}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	now := time.Now()
	if up := got.UptimeSeconds; up <= 0 || up > now.Sub(began).Seconds() {
		t.Errorf("uptime %v", up)
	}
	for _, u := range got.Upstreams {
		if u.Since.Before(began) || u.Since.After(now) || u.Reason == "" {
			t.Errorf("%s: since %v, reason %q", u.Name, u.Since, u.Reason)
		}
		p := u.LastProbe
		if p == nil || p.At.Before(began) || p.At.After(now) || p.Milliseconds <= 0 || (p.Error == "") != (u.Name == "east") {
			t.Errorf("%s: last probe %+v", u.Name, p)
		}
	}
}

// TestStatusKeys pins the names of the keys, which scripts depend on.
func TestStatusKeys(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) {
		s.door.Reloads = func() Reload {
			return Reload{Attempts: 2, Generation: 1, At: time.Now(), Error: "no", NeedsRestart: []string{"listen"}}
		}
		s.door.Certificates = func() []Certificate {
			return []Certificate{{Listener: ":443", Names: []string{"a.test"}, NotAfter: time.Now(), Source: FromFile, File: "tls.crt", Error: "no"}}
		}
	})
	r.believe(true, true)
	r.pausedDrain()
	_, body := r.do("GET", "/status")
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	// The drain may have closed a session by now, and may not.
	if sessions := got["sessions"].(map[string]any); len(sessions["ends"].(map[string]any)) < 2 {
		sessions["ends"] = map[string]any{}
	}
	want := map[string]any{
		"version": "", "uptime_seconds": 0.0, "ready": false, "listeners": []any{""},
		"sessions":   map[string]any{"open": 0.0, "total": 0.0, "ended": 0.0, "ends": map[string]any{}, "slowed": 0.0, "access_dropped": 0.0},
		"handshakes": map[string]any{"total": 0.0, "accepted": 0.0, "refused": 0.0, "refusals": map[string]any{}, "abandoned": 0.0, "failovers": 0.0, "accept_errors": 0.0},
		"requests":   map[string]any{"served": 0.0, "passed": 0.0, "answered": 0.0, "broken": 0.0, "abandoned": 0.0, "ended": 0.0},
		"upstreams": []any{map[string]any{
			"name": "", "url": "", "role": "", "weight": 0.0, "max_sessions": 0.0, "healthy": false, "breaker": "", "since": "", "reason": "", "trips": 0.0,
			"state": "", "relapses": 0.0, "share": 0.0, "hold_seconds_left": 0.0, "disabled": false, "disabled_why": "", "leaving": false,
			"last_probe": map[string]any{"at": "", "took_ms": 0.0, "error": ""}, "sessions": 0.0,
			"spares": map[string]any{"ready": 0.0, "used": 0.0, "wasted": 0.0},
			"totals": map[string]any{"sessions": 0.0, "handshake_failures": 0.0, "lost": 0.0},
		}},
		"drains": []any{map[string]any{
			"id": "", "cause": "", "upstream": "", "selection": "", "order": "", "rate": 0.0, "close_code": 0.0, "reason": "", "then": "", "force": false,
			"state": "", "began": "", "deadline": "", "found": 0.0, "asked": 0.0, "gone": 0.0, "left": 0.0, "remaining_seconds": 0.0,
		}},
		"certificates": []any{map[string]any{
			"listener": "", "names": []any{""}, "not_after": "", "source": "", "file": "", "error": "",
		}},
		"reload": map[string]any{
			"attempts": 0.0, "generation": 0.0, "at": "", "ok": false, "error": "", "needs_restart": []any{""},
		},
	}
	if diff := cmp.Diff(want, blank(got)); diff != "" {
		t.Errorf("keys and types (-want +got):\n%s", diff)
	}
}

// TestMomentsOfAnUpstream: what is only true at times is only told then.
func TestMomentsOfAnUpstream(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) { s.health.Hold, s.health.Ramp = time.Hour, time.Hour })
	r.believe(true, true)
	at := func() map[string]any {
		var u map[string]any
		if status := r.get("/upstreams/east", &u); status != 200 {
			t.Fatal(status)
		}
		return u
	}
	expect := func(state string, share float64, keys ...string) {
		t.Helper()
		u := at()
		if u["state"] != state || u["share"] != share {
			t.Errorf("state %v, share %v, want %v and %v", u["state"], u["share"], state, share)
		}
		for _, key := range []string{"held_until", "ramp_until", "suspended_until"} {
			if _, there := u[key]; there != slices.Contains(keys, key) {
				t.Errorf("%s: %s is %v", state, key, u[key])
			}
		}
	}
	expect("healthy", 1)
	if status := r.post("/upstreams/east/failover", `{"for":"1h"}`, nil); status != 202 {
		t.Fatal(status)
	}
	expect("suspended", 0, "suspended_until")
	if status := r.post("/upstreams/east/enable", "", nil); status != 200 {
		t.Fatal(status)
	}
	expect("held", 0, "held_until", "ramp_until")
	if left := at()["hold_seconds_left"].(float64); left <= 3000 || left > 3960 { // an hour, and up to a tenth more
		t.Errorf("hold_seconds_left %v", left)
	}
	if status := r.post("/upstreams/east/disable", "", nil); status != 200 {
		t.Fatal(status)
	}
	expect("disabled", 0, "held_until", "ramp_until")
}

// TestRamp: the share of a ramp is told.
func TestRamp(t *testing.T) {
	t.Parallel()
	r := start(t, func(s *setup) { s.health.Ramp = time.Hour })
	r.believe(true, true)
	r.post("/upstreams/east/failover", `{"for":"1h"}`, nil)
	r.post("/upstreams/east/enable", "", nil)
	if u := r.look().Upstreams[0]; u.State != Ramping || u.Share <= 0 || u.Share >= 0.5 || u.RampUntil.IsZero() {
		t.Errorf("got %+v", u)
	}
}

// TestLeaving: an upstream that was removed is told of until it is empty.
func TestLeaving(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	r.joinMany(1)
	if err := r.west.SetHealth(500); err != nil { // so that the session cannot go there
		t.Fatal(err)
	}
	r.believe(true, false)
	set, err := pool.NewSet(pool.Priority, r.upstreams[1:])
	if err != nil {
		t.Fatal(err)
	}
	if err := r.proxy.Apply(proxy.Options{Upstreams: r.upstreams[1:], Routes: []proxy.Route{{Set: set}}}); err != nil {
		t.Fatal(err)
	}
	s := r.look()
	if len(s.Upstreams) != 2 || s.Upstreams[0].Name != "west" || s.Upstreams[0].Leaving {
		t.Fatalf("got %+v", s.Upstreams)
	}
	if u := s.Upstreams[1]; u.Name != "east" || !u.Leaving || u.State != Leaving || u.Share != 0 || u.Sessions != 1 {
		t.Errorf("got %+v", u)
	}
	if len(s.Drains) != 1 || s.Drains[0].Cause != drain.Removed {
		t.Errorf("drains %+v", s.Drains)
	}
	var one Upstream
	if status := r.get("/upstreams/east", &one); status != 200 || !one.Leaving {
		t.Errorf("got %d, %+v", status, one)
	}
	if status := r.post("/upstreams/east/disable", "", nil); status != 404 {
		t.Errorf("disabling it: %d", status)
	}
	if err := r.west.Restore(); err != nil {
		t.Fatal(err)
	}
	until(t, "east to be gone", func() bool { s := r.look(); return len(s.Upstreams) == 1 && len(s.Drains) == 0 })
	var all Drains
	if r.get("/drains", &all); len(all.Drains) != 1 || all.Drains[0].State != drain.Done {
		t.Errorf("all drains %+v", all.Drains)
	}
}

// blank returns v with every value zero and one element in each list.
func blank(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = blank(v[k])
		}
		return v
	case []any:
		return []any{blank(v[0])}
	case string:
		return ""
	case float64:
		return 0.0
	case bool:
		return false
	default:
		return v
	}
}

// TestStatusBeforeProbe: what is not known yet is null, not a zero time.
func TestStatusBeforeProbe(t *testing.T) {
	t.Parallel()
	u := build(t, pool.Options{Name: "east"}, emulate(t, "east"), health.Options{})
	if got := describe(u, false, time.Now()); got.LastProbe != nil || got.Healthy || got.Breaker != "unknown" || got.State != Unknown || got.Reason == "" {
		t.Errorf("got %+v", got)
	}
}
