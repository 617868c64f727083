package admin

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pointsman/pointsman/proxy/drain"
)

// pausedDrain begins a drain of many sessions and pauses it at once.
func (r *rig) pausedDrain() {
	r.t.Helper()
	r.joinMany(30)
	var begun Begun
	if status := r.post("/upstreams/east/drain", `{"rate":1,"deadline":"1h"}`, &begun); status != 202 {
		r.t.Fatalf("drain: %d, %+v", status, begun)
	}
	var s drain.Status
	if status := r.post("/drains/"+begun.ID+"/pause", "", &s); status != 200 || s.State != drain.Paused {
		r.t.Fatalf("pause: %d, %+v", status, s)
	}
}

// TestUnknown is the first part of row 83: what there is not is 404, and the
// answer says what there is.
func TestUnknown(t *testing.T) {
	t.Parallel()
	r := start(t)
	upstream := Refusal{Error: `unknown upstream "north"; known: east, west`, Known: []string{"east", "west"}}
	none := Refusal{Error: `drain "7": no such drain`, Known: []string{}}
	one := Refusal{Error: `drain "7": no such drain; known: 1`, Known: []string{"1"}}
	ask := func(want Refusal, orders ...string) {
		t.Helper()
		for _, order := range orders {
			path, body, _ := strings.Cut(order, " ")
			var got Refusal
			if status := r.post(path, body, &got); status != 404 || !cmp.Equal(want, got) {
				t.Errorf("%s: %d, %+v", order, status, got)
			}
		}
	}
	ask(upstream, "/upstreams/north/drain", "/upstreams/north/disable", "/upstreams/north/enable", `/upstreams/north/failover {"for":"1s"}`)
	ask(none, "/drains/7/pause", "/drains/7/resume", "/drains/7/cancel")
	r.believe(true, true)
	r.post("/upstreams/east/drain", `{"count":1}`, nil)
	ask(one, "/drains/7/pause")
	var got Refusal
	if status := r.get("/drains/7", &got); status != 404 || !cmp.Equal(one, got) {
		t.Errorf("%d, %+v", status, got)
	}
}

// TestLastUsable is the second part of row 83: the last upstream that takes
// sessions is not taken away unless that is forced.
func TestLastUsable(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ order, body, forced string }{
		{"drain", "", `{"force":true}`},
		{"drain", `{"share":"100%","force":false}`, `{"share":1,"force":true}`},
		{"disable", `{"why":"x"}`, `{"why":"x","force":true}`},
		{"failover", `{"for":"1h"}`, `{"for":"1h","force":true}`},
	} {
		t.Run(row.order+" "+row.body, func(t *testing.T) {
			t.Parallel()
			r := start(t)
			r.believe(true, true)
			r.joinMany(1)
			if err := r.west.SetHealth(500); err != nil {
				t.Fatal(err)
			}
			r.believe(true, false)
			path := "/upstreams/east/" + row.order
			var got Refusal
			if status := r.post(path, row.body, &got); status != 409 ||
				!strings.HasPrefix(got.Error, `upstream "east": no other upstream would take its clients`) || !strings.Contains(got.Error, "with force") {
				t.Errorf("got %d, %+v", status, got)
			}
			if u := r.look().Upstreams[0]; u.State != Healthy {
				t.Fatalf("refused, and yet %+v", u)
			}
			if strings.Contains(r.log.String(), "order") {
				t.Errorf("a refused order is in the log:\n%s", r.log)
			}
			if status := r.post(path, row.forced, nil); status/100 != 2 {
				t.Errorf("forced: %d", status)
			}
			if u := r.look().Upstreams[0]; u.State != Disabled && u.State != Suspended {
				t.Errorf("forced, and yet %+v", u)
			}
			if row.order != "disable" { // its sessions end although there is no place for them
				until(t, "the session to end", func() bool { return r.look().Sessions.Ended == 1 })
			}
		})
	}
}

// TestDrainTwice is the third part of row 83: the same drain is one drain.
func TestDrainTwice(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	r.joinMany(30)
	const body = `{"rate":1,"order":"oldest-first","close_code":4001,"reason":"tidying","deadline":"1h","then":"close"}`
	var first, second, other Begun
	if status := r.post("/upstreams/east/drain", body, &first); status != 202 || first.Existed {
		t.Fatalf("got %d, %+v", status, first)
	}
	want := drain.Status{
		ID: "1", Cause: drain.Operator, Upstream: "east", Selection: "all sessions of east", Order: drain.OldestFirst, Rate: 1,
		Code: 4001, Reason: "tidying", Then: drain.CloseRest, State: drain.Running,
	}
	progress := cmpopts.IgnoreFields(drain.Status{}, "Began", "Deadline", "Found", "Asked", "Gone", "Left", "Remaining")
	if diff := cmp.Diff(want, first.Status, progress); diff != "" || first.Deadline.Sub(first.Began).Hours() != 1 {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if status := r.post("/upstreams/east/drain", strings.Replace(body, `"rate":1`, `"rate":2`, 1), &second); status != 200 || !second.Existed {
		t.Errorf("got %d, %+v", status, second)
	}
	want.Rate = 2
	if diff := cmp.Diff(want, second.Status, progress); diff != "" {
		t.Errorf("the second time (-want +got):\n%s", diff)
	}
	if status := r.post("/upstreams/east/drain", `{"share":"50%","path":"/chat","client":"127.0.0.1","rate":1}`, &other); status != 202 ||
		other.ID != "2" || other.Selection != "50% of the sessions of east with path /chat of clients in 127.0.0.1/32" {
		t.Errorf("another one: %d, %+v", status, other)
	}
	if u := r.look().Upstreams[0]; u.State != Disabled || u.DisabledWhy != "drain 1" {
		t.Errorf("upstream %+v", u)
	}
}

// TestEnableDuringDrain is the last part of row 83: to enable an upstream ends
// its drain cleanly: the sessions that are left stay, and new ones come.
func TestEnableDuringDrain(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	stays := r.join()
	r.echo(stays)
	r.pausedDrain()
	elsewhere := r.join()
	r.echo(elsewhere)
	if s := r.look(); s.Upstreams[1].Sessions != 1 {
		t.Fatalf("a session came to a drained upstream: %+v", s.Upstreams)
	}
	var u Upstream
	if status := r.post("/upstreams/east/enable", "", &u); status != 200 || u.State != Healthy || u.Disabled || u.Name != "east" {
		t.Errorf("got %d, %+v", status, u)
	}
	until(t, "the drain to end", func() bool { return len(r.look().Drains) == 0 })
	var s drain.Status
	if status := r.get("/drains/1", &s); status != 200 || s.State != drain.Cancelled || s.Why != "the upstream was enabled" {
		t.Errorf("got %d, %+v", status, s)
	}
	before := r.look().Upstreams[0].Totals.Sessions
	fresh := r.join()
	r.echo(fresh)
	if got := r.look().Upstreams[0].Totals.Sessions; got != before+1 {
		t.Errorf("a new session went elsewhere: %d, %d before", got, before)
	}
	if status := r.post("/upstreams/east/enable", "{}", nil); status != 200 {
		t.Errorf("again: %d", status)
	}
}

// TestOrdersToDrains follows a drain through its states.
func TestOrdersToDrains(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	r.pausedDrain()
	var s drain.Status
	step := func(order string, state drain.State) {
		t.Helper()
		if status := r.post("/drains/1/"+order, "", &s); status != 200 || s.State != state || s.ID != "1" {
			t.Errorf("%s: %d, %+v", order, status, s)
		}
	}
	step("pause", drain.Paused)
	step("resume", drain.Running)
	step("resume", drain.Running)
	if got := r.look().Drains; len(got) != 1 || got[0].ID != "1" {
		t.Errorf("drains %+v", got)
	}
	step("pause", drain.Paused)
	step("cancel", drain.Cancelled)
	if u := r.look().Upstreams[0]; u.State != Healthy || u.Sessions == 0 {
		t.Errorf("after the end of its drain: %+v", u)
	}
	for _, order := range []string{"pause", "resume", "cancel"} {
		var got Refusal
		if status := r.post("/drains/1/"+order, "", &got); status != 409 || got.Error != "drain 1 has ended: it is cancelled" {
			t.Errorf("%s: %d, %+v", order, status, got)
		}
	}
	var all Drains
	if status := r.get("/drains", &all); status != 200 || len(all.Drains) != 1 || all.Drains[0].State != drain.Cancelled {
		t.Errorf("drains: %d, %+v", status, all)
	}
}

// TestFailover practises one.
func TestFailover(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	r.joinMany(3)
	var begun, again Begun
	if status := r.post("/upstreams/east/failover", `{"for":"1h","rate":7}`, &begun); status != 202 ||
		begun.Cause != drain.Drill || begun.Rate != 7 || begun.Existed {
		t.Fatalf("got %d, %+v", status, begun)
	}
	until(t, "the sessions to leave", func() bool { return r.look().Upstreams[0].Sessions == 0 })
	s := r.look()
	if u := s.Upstreams[0]; u.State != Suspended || u.Healthy || u.Breaker != "closed" || !strings.Contains(u.Reason, "failover drill for 1h0m0s") {
		t.Errorf("got %+v", u)
	}
	if status := r.post("/upstreams/east/failover", `{"for":"2h"}`, &again); status/100 != 2 || again.Existed != (status == 200) {
		t.Errorf("again: %d, %+v", status, again)
	}
	var u Upstream
	if status := r.post("/upstreams/east/enable", "", &u); status != 200 || u.State != Healthy || u.Trips != 0 || !u.SuspendedUntil.IsZero() {
		t.Errorf("got %d, %+v", status, u)
	}
}

// TestDisable lets an upstream have no new sessions.
func TestDisable(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	for body, why := range map[string]string{"": "by operator", "{}": "by operator", `{"why":"disk of \u0065ast"}`: "disk of east"} {
		var u Upstream
		if status := r.post("/upstreams/east/disable", body, &u); status != 200 || u.State != Disabled || !u.Disabled || u.DisabledWhy != why || !u.Healthy {
			t.Errorf("%s: %d, %+v", body, status, u)
		}
	}
	c := r.join()
	r.echo(c)
	if s := r.look(); s.Upstreams[0].Sessions != 0 || s.Upstreams[1].Sessions != 1 {
		t.Errorf("got %+v", s.Upstreams)
	}
}

// TestReload passes the order on, and what became of it.
func TestReload(t *testing.T) {
	t.Parallel()
	last := Reload{Generation: 3}
	var failure error
	r := start(t, func(s *setup) {
		s.door.Reload = func(why string) error {
			last.Attempts++
			last.Error = why
			return failure
		}
		s.door.Reloads = func() Reload { return last }
	})
	var got Reload
	if status := r.post("/reload", "", &got); status != 200 || got.Attempts != 1 || got.Generation != 3 || got.Error == "" {
		t.Errorf("got %d, %+v", status, got)
	}
	failure = errors.New("p.yaml:3:1: upstreams is missing")
	var no Refusal
	if status := r.post("/reload", "{}", &no); status != 422 || no.Error != failure.Error() || no.Known != nil {
		t.Errorf("got %d, %+v", status, no)
	}
	if s := r.look(); s.Reload == nil || s.Reload.Attempts != 2 {
		t.Errorf("status tells %+v", s.Reload)
	}
	if n := strings.Count(r.log.String(), "order=reload"); n != 1 {
		t.Errorf("%d of two orders are in the log:\n%s", n, r.log)
	}

	without := start(t)
	if status := without.post("/reload", "", &no); status != 409 || !strings.Contains(no.Error, "no configuration") {
		t.Errorf("got %d, %+v", status, no)
	}
	if s := without.look(); s.Reload != nil {
		t.Errorf("status tells %+v", s.Reload)
	}
	half := start(t, func(s *setup) { s.door.Reload = func(string) error { return nil } })
	if status := half.post("/reload", "", nil); status != 200 {
		t.Error(status)
	}
}

// TestAudit: each order that was accepted is one line, and no other is.
func TestAudit(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	r.joinMany(20)
	for _, order := range []string{
		`/upstreams/east/drain { "rate": 1, "reason": "a b" }`, "/drains/1/pause", "/drains/1/resume", "/drains/1/cancel",
		`/upstreams/east/disable {"why":"x"}`, "/upstreams/east/enable", `/upstreams/east/failover {"for":"1s"}`,
		// Refused:
		"/drains/1/cancel", "/upstreams/north/disable", `/upstreams/east/failover {"for":1}`, "/upstreams/east/disable?force=1", "/reload",
	} {
		path, body, _ := strings.Cut(order, " ")
		r.post(path, body, nil)
	}
	want := []string{
		`order=drain upstream=east drain=1 with="{\"rate\":1,\"reason\":\"a b\"}"`, "order=pause drain=1", "order=resume drain=1", "order=cancel drain=1",
		`order=disable upstream=east with="{\"why\":\"x\"}"`, "order=enable upstream=east", `order=failover upstream=east drain=2 with="{\"for\":\"1s\"}"`,
	}
	var got []string
	for line := range strings.Lines(r.log.String()) {
		if _, after, found := strings.Cut(line, `level=INFO msg="operator's order" `); found {
			about, from, _ := strings.Cut(after, ` from="tcp 127.0.0.1:`)
			if from == "" {
				t.Errorf("it does not say who: %s", line)
			}
			got = append(got, about)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// TestManyOperators: orders may come at once. The race detector watches.
func TestManyOperators(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.believe(true, true)
	r.joinMany(5)
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for n := range 10 {
				name := []string{"east", "west"}[(i+n)%2]
				for _, order := range []string{
					"/upstreams/" + name + "/disable", "/upstreams/" + name + `/drain {"rate":1}`, fmt.Sprintf("/drains/%d/cancel", n),
					"/upstreams/" + name + `/failover {"for":"1ms"}`, "/upstreams/" + name + "/enable",
				} {
					path, body, _ := strings.Cut(order, " ")
					switch status := r.post(path, body, nil); status {
					case 200, 202, 404, 409:
					default:
						t.Errorf("%s: %d", order, status)
					}
				}
				r.look()
			}
		}()
	}
	for range 8 {
		<-done
	}
	for _, name := range []string{"east", "west"} {
		r.post("/upstreams/"+name+"/enable", "", nil)
	}
	r.believe(true, true)
	if s := r.look(); s.Upstreams[0].Disabled || s.Upstreams[1].Disabled {
		t.Errorf("got %+v", s.Upstreams)
	}
}
