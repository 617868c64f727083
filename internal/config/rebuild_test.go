package config_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pointsman/pointsman/internal/config"
	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy"
)

// parse parses a file that is right.
func parse(t *testing.T, file string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rebuild builds c where old runs.
func rebuild(t *testing.T, c, old *config.Config, running proxy.Options) proxy.Options {
	t.Helper()
	o, err := c.Rebuild(old, running)
	if err != nil {
		t.Fatal(err)
	}
	if err := proxy.Check(o); err != nil {
		t.Fatal(err)
	}
	return o
}

// kept says what is left of an upstream after a reload.
type kept int

const (
	nothing  kept = iota
	instance      // its counts and beliefs, in a new upstream and checker
	checker       // its checker, in a new upstream
	all           // the upstream itself
)

// mark makes an upstream one that can be told from a new one.
func mark(u *pool.Upstream) {
	u.Disable("marked")
	u.Checker().Suspend(time.Hour, "marked")
}

// find returns what is left of old in u.
func find(t *testing.T, old, u *pool.Upstream) kept {
	t.Helper()
	_, disabled := u.Disabled()
	suspended := strings.Contains(fmt.Sprintf("%+v", u.Checker().Status()), "marked")
	same := u.Same(old)
	if same != disabled || same != suspended {
		t.Errorf("replaces the upstream: %v, its switch: %v, its checker: %v", same, disabled, suspended)
	}
	switch {
	case u == old:
		return all
	case u.Checker() == old.Checker():
		return checker
	case same:
		return instance
	}
	return nothing
}

const pair = `upstreams:
  - {name: east, url: "ws://10.0.0.1:9001"}
  - {name: west, url: "ws://10.0.0.2:9001", role: secondary}
`

// TestRebuildKeeps has a row for each kind of change: what it leaves of east, and
// of west.
func TestRebuildKeeps(t *testing.T) {
	east := func(more string) string {
		return strings.Replace(pair, `9001"}`, `9001", `+more+"}", 1)
	}
	for _, row := range []struct {
		name       string
		file       string
		east, west kept
	}{
		{"nothing", pair, all, all},
		{"a default that is written out", pair + "health: {rise: 2}\n", all, all},
		{"upstreams in another order", "upstreams:\n- {name: west, url: \"ws://10.0.0.2:9001\", role: secondary}\n- {name: east, url: \"ws://10.0.0.1:9001\"}", all, all},
		{"another upstream", pair + "  - {name: north, url: \"ws://10.0.0.3:9001\"}\n", all, all},
		{"what concerns no upstream", pair + "relay: {max_age: 1h}\nlimits: {sessions: 1}\nshutdown: {lead: 1s}\nreload: {drain_rate: 1}\nrouter: least-sessions\nlog: {level: debug}\nlisten: \":1\"\n", all, all},
		{"failover without the handshake", pair + "failover: {attempts: 1, connect_timeout: 1s, on_down: drain, grace: 1s, drain_rate: 1}\n", all, all},
		{"how sessions come home", pair + "failback: {drain: {enabled: false, rate: 1, order: random, close_code: 1001, reason: x, deadline: 0s, then: close}}\n", all, all},
		{"routes", pair + "routes: [{upstreams: [east]}]\n", all, all},

		{"role", east("role: secondary"), checker, all},
		{"weight", east("weight: 2"), checker, all},
		{"most sessions", east("max_sessions: 2"), checker, all},
		{"handshakes", east("handshakes_per_second: 2"), checker, all},
		{"all settings", east("role: secondary, weight: 2, max_sessions: 2, handshakes_per_second: 2"), checker, all},

		{"probe", pair + "health: {probe: tcp}\n", instance, instance},
		{"path", pair + "health: {path: /live}\n", instance, instance},
		{"interval", pair + "health: {interval: 3s}\n", instance, instance},
		{"recheck", pair + "health: {recheck: 1s}\n", instance, instance},
		{"timeout", pair + "health: {timeout: 2s}\n", instance, instance},
		{"jitter", pair + "health: {jitter: 0}\n", instance, instance},
		{"rise", pair + "health: {rise: 3}\n", instance, instance},
		{"fall", pair + "health: {fall: 2}\n", instance, instance},
		{"initial", pair + "health: {initial: up}\n", instance, instance},
		{"hold", pair + "failback: {hold: 0s}\n", instance, instance},
		{"longest hold", pair + "failback: {max_hold: 1h}\n", instance, instance},
		{"flap window", pair + "failback: {flap_window: 1h}\n", instance, instance},
		{"ramp", pair + "failback: {ramp: 1h}\n", instance, instance},
		{"handshake timeout", pair + "failover: {handshake_timeout: 4s}\n", instance, instance},
		{"checker and settings", east("weight: 2") + "health: {rise: 3}\n", instance, instance},

		{"URL", strings.Replace(pair, "10.0.0.1", "10.0.0.9", 1), nothing, all},
		{"path of the URL", strings.Replace(pair, "0.1:9001", "0.1:9001/hub", 1), nothing, all},
		{"URL and checker", strings.Replace(pair, "10.0.0.1", "10.0.0.9", 1) + "health: {rise: 3}\n", nothing, instance},
		{"URLs changed places", "upstreams:\n- {name: west, url: \"ws://10.0.0.1:9001\", role: secondary}\n- {name: east, url: \"ws://10.0.0.2:9001\"}\n", nothing, nothing},
	} {
		t.Run(row.name, func(t *testing.T) {
			old := parse(t, pair)
			running := build(t, pair)
			for _, u := range running.Upstreams {
				mark(u)
			}
			o := rebuild(t, parse(t, row.file), old, running)
			byName := make(map[string]*pool.Upstream)
			for _, u := range o.Upstreams {
				byName[u.Name()] = u
			}
			for i, want := range []kept{row.east, row.west} {
				before := running.Upstreams[i]
				if got := find(t, before, byName[before.Name()]); got != want {
					t.Errorf("%s: kept %d, want %d", before.Name(), got, want)
				}
			}
		})
	}
}

// TestRebuildTakesNewSettings: what replaces an upstream has the settings of the
// new file, and so have the routes.
func TestRebuildTakesNewSettings(t *testing.T) {
	old, running := parse(t, pair), build(t, pair)
	o := rebuild(t, parse(t, `
upstreams:
  - {name: east, url: "ws://10.0.0.1:9001", role: secondary, weight: 3, max_sessions: 4, handshakes_per_second: 5}
  - {name: north, url: "ws://10.0.0.3:9001"}
routes: [{match: {path: /a}, upstreams: [east]}, {upstreams: [north, east]}]
`), old, running)
	if len(o.Upstreams) != 2 || len(o.Routes) != 2 {
		t.Fatalf("%d upstreams, %d routes", len(o.Upstreams), len(o.Routes))
	}
	east := o.Upstreams[0]
	if east.Role() != pool.Secondary || east.Weight() != 3 || east.MaxSessions() != 4 || east.HandshakesPerSecond() != 5 {
		t.Errorf("east: %v, %d, %d, %d", east.Role(), east.Weight(), east.MaxSessions(), east.HandshakesPerSecond())
	}
	if got := o.Routes[1].Set.Upstreams(); got[0] != o.Upstreams[1] || got[1] != east {
		t.Errorf("the route leads to %v", got)
	}
	if u := running.Upstreams[0]; u.Role() != pool.Primary || u.Weight() != 1 || len(running.Upstreams) != 2 || running.Routes[0].Set.Upstreams()[0] != u {
		t.Error("what runs was changed")
	}
}

// TestRebuildAgain: a chain of reloads keeps the instance; one that was away is
// new when it comes back.
func TestRebuildAgain(t *testing.T) {
	c, o := parse(t, pair), build(t, pair)
	first := o.Upstreams[0]
	mark(first)
	for i, more := range []string{"health: {rise: 3}\n", "health: {rise: 4}\n", "", ""} {
		next := parse(t, pair+more)
		c, o = next, rebuild(t, next, c, o)
		if got := find(t, first, o.Upstreams[0]); got != instance {
			t.Fatalf("reload %d: kept %d, want %d", i+1, got, instance)
		}
	}
	if again := rebuild(t, c, c, o); again.Upstreams[0] != o.Upstreams[0] {
		t.Error("a reload without a change made a new upstream")
	}
	without := parse(t, "upstreams: [{name: west, url: \"ws://10.0.0.2:9001\", role: secondary}]\n")
	gone := rebuild(t, without, c, o)
	if got := find(t, first, rebuild(t, c, without, gone).Upstreams[0]); got != nothing {
		t.Errorf("kept %d of an upstream that was away", got)
	}
}

// TestRebuildKeepsWhatCannotChange: the relay's loops, and the loggers.
func TestRebuildKeepsWhatCannotChange(t *testing.T) {
	c := parse(t, pair)
	running, err := c.Build(slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	running.Relay.Loops = 7
	o := rebuild(t, parse(t, pair+"relay: {idle_timeout: 1h}\nlog: {access: true}\n"), c, running)
	if o.Relay.Loops != 7 || o.Logger != running.Logger || o.AccessLogger != running.AccessLogger {
		t.Errorf("loops %d, loggers %p %p", o.Relay.Loops, o.Logger, o.AccessLogger)
	}
	if o.Relay.IdleTimeout != time.Hour {
		t.Errorf("idle time-out %v", o.Relay.IdleTimeout)
	}
}
