package drain

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSelectionInWords(t *testing.T) {
	for want, s := range map[string]Selection{
		"all sessions":         {},
		"all sessions of east": {Upstream: "east"},
		"1 session of east":    {Upstream: "east", Count: 1},
		"20 sessions":          {Count: 20},
		"50% of the sessions":  {Share: 0.5},
		"7% of the sessions":   {Share: 0.07},
		"0.1% of the sessions": {Share: 0.001},
		"all sessions older than 1h0m0s with path /chat/":  {OlderThan: time.Hour, Path: "/chat/"},
		"all sessions of clients in 10.0.0.0/8":            {Client: netip.MustParsePrefix("10.0.0.0/8")},
		"all sessions whose upstream is silent for 10s":    {SilentFor: 10 * time.Second},
		"33.3333% of the sessions of east older than 1m0s": {Upstream: "east", Share: 1. / 3, OlderThan: time.Minute},
		"2 sessions of east older than 1m0s with path / of clients in ::1/128 whose upstream is silent for 1s": {
			Upstream: "east", OlderThan: time.Minute, Path: "/", Client: netip.MustParsePrefix("::1/128"), SilentFor: time.Second, Count: 2,
		},
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWhole(t *testing.T) {
	for _, s := range []Selection{{}, {Upstream: "east"}} {
		if !s.Whole() {
			t.Errorf("%v is the whole", s)
		}
	}
	for _, s := range []Selection{
		{OlderThan: 1}, {Path: "/"}, {Client: netip.MustParsePrefix("0.0.0.0/0")}, {SilentFor: 1}, {Share: 0.5}, {Count: 1}, {Upstream: "east", Count: 1},
	} {
		if s.Whole() {
			t.Errorf("%v is not the whole", s)
		}
	}
}

func TestPlanDefaults(t *testing.T) {
	got, err := Plan{Rate: MaxRate, Selection: Selection{Share: 1}}.check()
	if err != nil {
		t.Fatal(err)
	}
	if want := (Plan{Rate: MaxRate, Code: 1012}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	longest := strings.Repeat("é", 61) + "e" // 123 bytes
	for _, p := range []Plan{
		{Rate: 1, Code: 4999, Reason: longest, Cause: Shutdown, Order: Random, Then: CloseRest},
		{Rate: 1, Code: 1000, Selection: Selection{Share: math.SmallestNonzeroFloat64}},
	} {
		if got, err := p.check(); err != nil || got != p {
			t.Errorf("%+v: %+v, %v", p, got, err)
		}
	}
}

func TestBadPlans(t *testing.T) {
	for _, c := range []struct {
		plan Plan
		want []string
	}{
		{Plan{}, []string{"rate 0 is not between 1 and 100000 closes per second"}},
		{Plan{Rate: MaxRate + 1}, []string{"rate 100001 is not between 1 and 100000 closes per second"}},
		{Plan{Rate: 1, Selection: Selection{Share: -0.1}}, []string{"share -0.1 is not above 0 and up to 1"}},
		{Plan{Rate: 1, Selection: Selection{Share: 1.1}}, []string{"share 1.1 is not above 0 and up to 1"}},
		{Plan{Rate: 1, Selection: Selection{Share: math.NaN()}}, []string{"share NaN is not above 0 and up to 1"}},
		{Plan{Rate: 1, Selection: Selection{Share: math.Inf(1)}}, []string{"share +Inf is not above 0 and up to 1"}},
		{Plan{Rate: 1, Selection: Selection{Share: 0.1, Count: 1}}, []string{"share and count exclude each other"}},
		{Plan{Rate: 1, Selection: Selection{Path: "chat"}}, []string{`path "chat" does not begin with a slash`}},
		{Plan{Rate: 1, Selection: Selection{Client: netip.PrefixFrom(netip.MustParseAddr("10.0.0.1"), 33)}}, []string{"client network invalid Prefix is not valid"}},
		{Plan{Rate: 1, Code: 1005}, []string{"close code 1005 is not allowed on the wire"}},
		{Plan{Rate: 1, Code: 999}, []string{"close code 999 is not allowed on the wire"}},
		{Plan{Rate: 1, Reason: strings.Repeat("x", 124)}, []string{"reason has 124 bytes, more than 123"}},
		{Plan{Rate: 1, Reason: "\xff"}, []string{`reason "\xff" is not UTF-8`}},
		{Plan{Rate: 1, Selection: Selection{OlderThan: -1}}, []string{"older than -1ns is negative"}},
		{Plan{
			Rate: -1, Code: 1015, Deadline: -time.Second, Cause: Shutdown + 1, Order: Random + 1, Then: CloseRest + 1,
			Selection: Selection{Count: -3, Path: "x", OlderThan: -time.Second, SilentFor: -time.Minute},
		}, []string{
			"count -3 is negative", "older than -1s is negative", "silent for -1m0s is negative", "deadline -1s is negative",
			`path "x" does not begin with a slash`, "rate -1 is not between 1 and 100000 closes per second",
			"close code 1015 is not allowed on the wire", "cause 6 is unknown", "order 3 is unknown", "then 2 is unknown",
		}},
	} {
		d, existed, err := New(nil, nil).Start(c.plan)
		if d != nil || existed || err == nil {
			t.Errorf("%+v is started: %v", c.plan, err)
			continue
		}
		if diff := cmp.Diff("drain: "+strings.Join(c.want, "\n"), err.Error()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWords(t *testing.T) {
	type words struct {
		Cause Cause
		Order Order
		Then  Then
		State State
	}
	f := func(text string, w words) {
		t.Helper()
		got, err := json.Marshal(w)
		if err != nil || string(got) != text {
			t.Errorf("%s, %v, want %s", got, err, text)
		}
		var back words
		if err := json.Unmarshal([]byte(text), &back); err != nil || back != w {
			t.Errorf("%s: %+v, %v", text, back, err)
		}
	}
	f(`{"Cause":"operator","Order":"idle-first","Then":"leave","State":"running"}`, words{})
	f(`{"Cause":"failback","Order":"oldest-first","Then":"close","State":"waiting"}`, words{Failback, OldestFirst, CloseRest, Waiting})
	f(`{"Cause":"down","Order":"random","Then":"leave","State":"paused"}`, words{Down, Random, Leave, Paused})
	f(`{"Cause":"drill","Order":"idle-first","Then":"leave","State":"done"}`, words{Cause: Drill, State: Done})
	f(`{"Cause":"removed","Order":"idle-first","Then":"leave","State":"expired"}`, words{Cause: Removed, State: Expired})
	f(`{"Cause":"shutdown","Order":"idle-first","Then":"leave","State":"cancelled"}`, words{Cause: Shutdown, State: Cancelled})

	if got, err := json.Marshal(words{Shutdown + 1, Random + 1, CloseRest + 1, Cancelled + 1}); err != nil ||
		string(got) != `{"Cause":"unknown","Order":"unknown","Then":"unknown","State":"unknown"}` {
		t.Errorf("%s, %v", got, err)
	}
	for text, want := range map[string]string{
		`{"Cause":"unknown"}`:    `cause "unknown" is not one of operator, failback, down, drill, removed, shutdown`,
		`{"Order":"Idle-First"}`: `order "Idle-First" is not one of idle-first, oldest-first, random`,
		`{"Then":""}`:            `then "" is not one of leave, close`,
		`{"State":"over"}`:       `state "over" is not one of running, waiting, paused, done, expired, cancelled`,
	} {
		var w words
		if err := json.Unmarshal([]byte(text), &w); err == nil || !strings.Contains(err.Error(), want) || w != (words{}) {
			t.Errorf("%s: %+v, %v", text, w, err)
		}
	}
	for s := Running; s <= Cancelled; s++ {
		if s.Final() != (s == Done || s == Expired || s == Cancelled) {
			t.Errorf("%v: final %v", s, s.Final())
		}
	}
}

func TestStatusAsJSON(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	s := Status{
		ID: "7", Cause: Failback, Upstream: "west", Selection: "all sessions of west", Order: OldestFirst, Rate: 50, Code: 1012,
		Reason: "moved to primary", Then: CloseRest, Force: true, State: Waiting, Why: noPlace, Began: began, Deadline: began.Add(time.Minute),
		Found: 100, Asked: 10, Gone: 9, Left: 90, Remaining: 1.8,
	}
	const want = `{"id":"7","cause":"failback","upstream":"west","selection":"all sessions of west","order":"oldest-first","rate":50,` +
		`"close_code":1012,"reason":"moved to primary","then":"close","force":true,"state":"waiting","why":"` + noPlace + `",` +
		`"began":"2026-01-02T03:04:05.000000006Z","deadline":"2026-01-02T03:05:05.000000006Z",` +
		`"found":100,"asked":10,"gone":9,"left":90,"remaining_seconds":1.8}`
	text, err := json.Marshal(s)
	if err != nil || string(text) != want {
		t.Errorf("got  %s\nwant %s\n%v", text, want, err)
	}
	f := func(s Status) {
		t.Helper()
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Status
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, back); diff != "" {
			t.Error(diff)
		}
	}
	f(s)
	f(Status{})
	s.State, s.Ended = Cancelled, began.Add(time.Hour)
	f(s)
	bubble("of a drain", t, func(t *testing.T) {
		e, h := open(t)
		h.enter(10)
		d := begin(t, e, Plan{Rate: 1, Deadline: time.Minute})
		pass(3 * time.Second)
		f(d.Status())
		f(d.ends(t, Done))
	})
}
