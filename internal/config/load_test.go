package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/drain"
)

// base is what the line two means.
func base() Config {
	c := Default()
	c.Upstreams = []Upstream{
		{Name: "east", URL: "ws://10.0.0.1:9001", Role: RolePrimary, Weight: 1},
		{Name: "west", URL: "ws://10.0.0.2:9001", Role: RoleSecondary, Weight: 1},
	}
	r := newRoute()
	r.Upstreams, r.Router = []string{"east", "west"}, RouterPriority
	c.Routes = []Route{r}
	return c
}

// at are plain listeners.
func at(addresses ...string) []Listener {
	var all []Listener
	for _, a := range addresses {
		l := newListener()
		l.Address = a
		all = append(all, l)
	}
	return all
}

// networksAsValues lets cmp compare what it cannot look into.
var networksAsValues = cmpopts.EquateComparable(netip.Prefix{})

// TestParse says for each file how its meaning differs from that of two alone.
func TestParse(t *testing.T) {
	for _, row := range []struct {
		name, file string
		differs    func(*Config)
	}{
		{"only upstreams", two, func(*Config) {}},
		{"document marks", "---\n" + two + "...\n", func(*Config) {}},
		{"byte order mark", "\ufeff" + two, func(*Config) {}},
		{"windows line ends", strings.ReplaceAll(two, "\n", "\r\n"), func(*Config) {}},
		{"comments and space", "# a\n\n" + two + "\n  # b\n", func(*Config) {}},
		{"JSON", `{"upstreams": [{"name": "east", "url": "ws://10.0.0.1:9001"}, {"name": "west", "url": "ws://10.0.0.2:9001", "role": "secondary"}]}`, func(*Config) {}},
		{"listen", two + `listen: "127.0.0.1:0"`, func(c *Config) { c.Listen = at("127.0.0.1:0") }},
		{"listen without quotes", two + "listen: :80", func(c *Config) { c.Listen = at(":80") }},
		{"listen twice on a free port", two + "listen: [{address: \":0\"}, {address: \":0\"}]", func(c *Config) { c.Listen = at(":0", ":0") }},
		{"listen on two families", two + "listen:\n- address: 10.0.0.9:80\n- address: \"[fd00::1]:80\"", func(c *Config) {
			c.Listen = at("10.0.0.9:80", "[fd00::1]:80")
		}},
		{"admin off", two + "admin: off", func(c *Config) { c.Admin.Address = AdminOff }},
		{"router for all routes", two + "router: least-sessions", func(c *Config) {
			c.Router, c.Routes[0].Router = RouterLeastSessions, RouterLeastSessions
		}},
		{"URL forms", "upstreams:\n- {name: a, url: HTTP://Chat.Example:80/Deep/}\n- {name: b-1, url: \"ws://[::1]:9/\"}\n- {name: c, url: \"ws://my_app.svc.\"}\n- {name: d, url: \"ws://127.0.0.2:8080/a@b\"}",
			func(c *Config) {
				c.Upstreams = []Upstream{
					{Name: "a", URL: "ws://chat.example:80/Deep/", Role: RolePrimary, Weight: 1},
					{Name: "b-1", URL: "ws://[::1]:9/", Role: RolePrimary, Weight: 1},
					{Name: "c", URL: "ws://my_app.svc.", Role: RolePrimary, Weight: 1},
					{Name: "d", URL: "ws://127.0.0.2:8080/a@b", Role: RolePrimary, Weight: 1},
				}
				c.Routes[0].Upstreams = []string{"a", "b-1", "c", "d"}
				c.Listen = at("127.0.0.1:8080")
			}},
		{"same host, other path", "upstreams:\n- {name: east, url: \"ws://10.0.0.1:9001\"}\n- {name: west, url: \"ws://10.0.0.1:9001/b\", role: secondary}", func(c *Config) {
			c.Upstreams[1].URL = "ws://10.0.0.1:9001/b"
		}},
		{"weights", "upstreams: [{name: east, url: \"ws://10.0.0.1:9001\", weight: 1000, max_sessions: 5, handshakes_per_second: 6}]", func(c *Config) {
			c.Upstreams = c.Upstreams[:1]
			c.Upstreams[0].Weight, c.Upstreams[0].MaxSessions, c.Upstreams[0].HandshakesPerSecond = 1000, 5, 6
			c.Routes[0].Upstreams = []string{"east"}
		}},
		{"routes", two + "routes:\n- {match: {host: Chat.Example, path: /a/}, upstreams: [west], router: least-sessions, protocol: websocket}\n- {match: {host: \"*.Example\"}}\n- match: {host: \"[0::1]\", path: /a}\n- {}",
			func(c *Config) {
				rest := c.Routes[0]
				a, b, d := rest, rest, rest
				a.Match, a.Upstreams, a.Router = Match{"chat.example", "/a/"}, []string{"west"}, RouterLeastSessions
				b.Match.Host = "*.example"
				d.Match = Match{"[::1]", "/a"}
				c.Routes = []Route{a, b, d, rest}
			}},
		{"health", two + "health: {probe: tcp, path: /up, interval: 1m30s, recheck: 1ms, timeout: 1m30s, jitter: 0, rise: 1, fall: 1000, initial: up, on_demand: true, max_age: 2s}", func(c *Config) {
			c.Health = Health{ProbeTCP, "/up", 90 * time.Second, time.Millisecond, 90 * time.Second, 0, 1, 1000, InitialUp, true, 2 * time.Second}
		}},
		{"jitter of one", two + "health: {jitter: 1}", func(c *Config) { c.Health.Jitter = 1 }},
		{"failover", two + "failover: {attempts: 16, connect_timeout: 1s, handshake_timeout: 1s}", func(c *Config) {
			c.Failover.Attempts, c.Failover.ConnectTimeout, c.Failover.HandshakeTimeout = 16, time.Second, time.Second
		}},
		{"upstream down", two + "failover: {on_down: close, grace: 1m, drain_rate: 100000}", func(c *Config) {
			c.Failover.OnDown, c.Failover.Grace, c.Failover.DrainRate = proxy.CloseAll, time.Minute, 100_000
		}},
		{"failback", two + "failback: {hold: 0s, max_hold: 1h, flap_window: 30m, ramp: 20s}", func(c *Config) {
			b := &c.Failback
			b.Hold, b.MaxHold, b.FlapWindow, b.Ramp = 0, time.Hour, 30*time.Minute, 20*time.Second
		}},
		{"failback drain", two + "failback:\n  hold: 1s\n  drain: {enabled: false, rate: 1, order: random, close_code: 4999, reason: \"là-bas 😀\", deadline: 0s, then: close}", func(c *Config) {
			c.Failback.Hold = time.Second
			c.Failback.Drain = Drain{false, 1, drain.Random, 4999, "là-bas 😀", 0, drain.CloseRest}
		}},
		{"hold as long as it may be", two + "failback: {hold: 5m}", func(c *Config) { c.Failback.Hold = 5 * time.Minute }},
		{"admin section", two + "admin: {address: \"127.0.0.1:1\"}", func(c *Config) { c.Admin.Address = "127.0.0.1:1" }},
		{"admin section without address", two + "admin: {}", func(*Config) {}},
		{"admin on a socket", two + "admin: unix:/run/points man.sock", func(c *Config) { c.Admin.Address = "unix:/run/points man.sock" }},
		{"admin section off", two + "admin:\n  address: off", func(c *Config) { c.Admin.Address = AdminOff }},
		{"reload", two + "reload: {watch: false, scale_timeout: 1s, drain_rate: 3}", func(c *Config) {
			c.Reload = Reload{false, time.Second, 3}
		}},
		{"relay", two + "relay: {idle_timeout: 720h, max_age: 12h, ping_interval: 0s, ping_timeout: 0, write_timeout: 24h, max_frame: 125, close_wait: 1500us}", func(c *Config) {
			c.Relay = Relay{720 * time.Hour, 12 * time.Hour, 0, 0, 24 * time.Hour, 125, 1500 * time.Microsecond}
		}},
		{"limits", two + "limits: {header_timeout: 1s, header_size: 1MiB, sessions: 100, handshakes_per_second: 50, memory_high: 1GiB, memory_low: 900MiB}", func(c *Config) {
			c.Limits = Limits{HeaderTimeout: time.Second, HeaderSize: MiB, Sessions: 100, HandshakesPerSecond: 50, MemoryHigh: GiB, MemoryLow: 900 * MiB}
		}},
		{"shutdown and log", two + "shutdown: {lead: 1s, drain_rate: 7, deadline: 2s}\nlog: {level: error, format: json, access: true}", func(c *Config) {
			c.Shutdown = Shutdown{time.Second, 7, 2 * time.Second}
			c.Log = Log{slog.LevelError, FormatJSON, true}
		}},
		{"duration in quotes", two + "shutdown: {deadline: \"5s\"}", func(c *Config) { c.Shutdown.Deadline = 5 * time.Second }},
		{"block scalar", two + "shutdown:\n  deadline: >-\n    5s\n", func(c *Config) { c.Shutdown.Deadline = 5 * time.Second }},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := base()
			row.differs(&want)
			environ := []string(nil)
			if row.name == "URL forms" { // 127.0.0.2 is not 127.0.0.1, but every interface has both.
				environ = []string{"POINTSMAN_LISTEN=127.0.0.1:8080"}
			}
			got, err := Parse("test.yaml", []byte(row.file), environ)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, *got, networksAsValues); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			again, err := Parse("dump.yaml", []byte(got.YAML()), nil)
			if err != nil {
				t.Fatalf("the dump is refused: %v\n%s", err, got.YAML())
			}
			if diff := cmp.Diff(got, again, networksAsValues); diff != "" {
				t.Errorf("the dump means something else: %s", diff)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c, err := Load(write("good.yaml", two), []string{"POINTSMAN_ADMIN=off"})
	if err != nil || c.Admin.Address != AdminOff || len(c.Upstreams) != 2 {
		t.Errorf("good file: %+v, %v", c, err)
	}
	bad := write("bad.yaml", two+"router: x")
	if _, err := Load(bad, nil); err == nil || !strings.HasPrefix(err.Error(), bad+":2:9: key \"router\": value \"x\": ") {
		t.Errorf("bad file: %v", err)
	}
	if _, err := Load(write("large.yaml", two+strings.Repeat("#\n", maxFile)), nil); !errors.As(err, new(Errors)) {
		t.Errorf("large file: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "none.yaml"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v, want fs.ErrNotExist", err)
	}
	if _, err := Load(dir, nil); err == nil || errors.As(err, new(Errors)) {
		t.Errorf("a directory: %v, want an error of reading", err)
	}
}

// TestReadIsBounded: a device that never ends is read no further than needed.
func TestReadIsBounded(t *testing.T) {
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("no endless file here: ", err)
	}
	data, err := readFile("/dev/zero")
	if err != nil || len(data) != maxFile+1 {
		t.Errorf("read %d bytes, %v; want %d", len(data), err, maxFile+1)
	}
}

func TestFromFlags(t *testing.T) {
	got, err := FromFlags(Flags{Listen: "127.0.0.1:0", Primary: []string{"ws://10.0.0.1", "https://10.0.0.2"}, Secondary: []string{"ws://10.0.0.3"}},
		[]string{"POINTSMAN_LISTEN=:7000", "POINTSMAN_ADMIN=off", "POINTSMAN_LOG_ACCESS=true"})
	if err != nil {
		t.Fatal(err)
	}
	want := base()
	want.Listen = at("127.0.0.1:0") // The flag wins over the variable,
	want.Admin.Address = AdminOff   // which wins over the default.
	want.Log.Access = true
	want.Upstreams = []Upstream{
		{Name: "primary-1", URL: "ws://10.0.0.1", Role: RolePrimary, Weight: 1},
		{Name: "primary-2", URL: "wss://10.0.0.2", Role: RolePrimary, Weight: 1},
		{Name: "secondary-1", URL: "ws://10.0.0.3", Role: RoleSecondary, Weight: 1},
	}
	want.Routes[0].Upstreams = []string{"primary-1", "primary-2", "secondary-1"}
	if diff := cmp.Diff(want, *got, networksAsValues); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestFromFlagsMistakes(t *testing.T) {
	up := []string{"ws://h"}
	for _, row := range []struct {
		name    string
		flags   Flags
		environ []string
		want    []string // sources and keys
	}{
		{"nothing", Flags{}, nil, []string{"command line --primary"}},
		{"everything", Flags{Listen: "x", Admin: "y", Primary: []string{"a", "ws://h"}, Secondary: []string{"unix://h", "ws://h/"}}, []string{"POINTSMAN_ROUTER=z"},
			[]string{"environment POINTSMAN_ROUTER", "command line --listen", "command line --admin", "command line --primary", "command line --secondary", "command line --secondary"}},
		{"own address", Flags{Listen: ":80", Admin: "127.0.0.1:80", Primary: []string{"ws://localhost"}}, nil,
			[]string{"command line --admin", "command line --primary"}},
		{"bad variable covered by a flag", Flags{Listen: ":80", Primary: up}, []string{"POINTSMAN_LISTEN=x"},
			[]string{"environment POINTSMAN_LISTEN"}},
		{"certificate without key", Flags{TLSCert: "testdata/token", Primary: up}, nil, []string{"command line --tls-key"}},
		{"key without certificate", Flags{TLSKey: "testdata/token", Primary: up}, nil, []string{"command line --tls-cert"}},
		{"no certificate in the file", Flags{TLSCert: "testdata/token", TLSKey: "testdata/token", Primary: up}, nil, []string{"command line --tls-cert"}},
		{"no such file", Flags{TLSCert: "testdata/missing", TLSKey: "testdata/token", Primary: up}, nil, []string{"command line --tls-cert"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := FromFlags(row.flags, row.environ)
			var problems Errors
			if !errors.As(err, &problems) {
				t.Fatalf("error is %T: %v", err, err)
			}
			var got []string
			for _, p := range problems {
				got = append(got, p.Source+" "+p.Key)
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("problems %q, want %q\n%v", got, row.want, err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Config)
		want   []string // words that the warnings must hold, in order
	}{
		{"none", func(*Config) {}, nil},
		{"no primary", func(c *Config) { c.Upstreams[0].Role = RoleSecondary }, []string{"primary"}},
		{"no secondary", func(c *Config) { c.Upstreams[1].Role = RolePrimary }, []string{"secondary"}},
		{"admin on every interface", func(c *Config) { c.Admin.Address = ":9090" }, []string{"control is refused there"}},
		{"admin on an address", func(c *Config) { c.Admin.Address = "10.0.0.9:9090" }, []string{"beyond loopback"}},
		{"admin on localhost", func(c *Config) { c.Admin.Address = "localhost:9090" }, nil},
		{"admin on IPv6 loopback", func(c *Config) { c.Admin.Address = "[::1]:9090" }, nil},
		{"admin off", func(c *Config) { c.Admin.Address = AdminOff }, nil},
		{"admin on a socket", func(c *Config) { c.Admin.Address = "unix:/run/p.sock" }, nil},
		{"admin on every interface with a token", func(c *Config) { c.Admin = Admin{Address: ":9090", Token: "0123456789abcdef"} }, nil},
		{"certificates not verified", func(c *Config) {
			c.Upstreams[1].URL, c.Upstreams[1].TLS.Insecure = "wss://h", true
		}, []string{"upstream west: TLS CERTIFICATE IS NOT VERIFIED"}},
		{"everybody is a proxy", func(c *Config) {
			c.Forwarded.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::/0")}
		}, []string{"forwarded.trusted holds ::/0"}},
		{"upstream without route", func(c *Config) { c.Routes[0].Upstreams = []string{"east"} }, []string{"west"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := base()
			row.change(&c)
			got := c.Warnings()
			if len(got) != len(row.want) {
				t.Fatalf("warnings %q, want %d", got, len(row.want))
			}
			for i, word := range row.want {
				if !strings.Contains(got[i], word) {
					t.Errorf("warning %q does not say %q", got[i], word)
				}
			}
		})
	}
}
