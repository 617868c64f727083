package config

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/pool"
	"github.com/pointsman/pointsman/proxy/handshake"
)

func networks(all ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, n := range all {
		out = append(out, netip.MustParsePrefix(n))
	}
	return out
}

// TestParseEdge says for each file how its meaning differs from that of two
// alone.
func TestParseEdge(t *testing.T) {
	for _, row := range []struct {
		name, file string
		differs    func(*Config)
	}{
		{"spares", two + "pool: {spares: 4, spare_age: 1m}", func(c *Config) { c.Pool = Pool{4, time.Minute} }},
		{"forwarded", two + "forwarded: {trusted: [10.0.0.0/8, 192.0.2.1, \"fd00::/8\", \"::ffff:198.51.100.0/120\", \"::1\"], style: both}", func(c *Config) {
			c.Forwarded = Forwarded{networks("10.0.0.0/8", "192.0.2.1/32", "fd00::/8", "198.51.100.0/24", "::1/128"), handshake.ForwardBoth}
		}},
		{"told nothing", two + "forwarded: {style: none}", func(c *Config) { c.Forwarded.Style = handshake.ForwardNone }},
		{"PROXY protocol in", two + "listen: [{address: \":80\", proxy_protocol: [10.0.0.0/8]}, {address: \":81\"}]", func(c *Config) {
			c.Listen = at(":80", ":81")
			c.Listen[0].ProxyProtocol = networks("10.0.0.0/8")
		}},
		{"PROXY protocol out", `upstreams: [{name: east, url: "ws://10.0.0.1:9001", proxy_protocol: v2}, {name: west, url: "ws://10.0.0.2:9001", role: secondary, proxy_protocol: none}]`, func(c *Config) {
			c.Upstreams[0].ProxyProtocol = pool.ProxyHeaderV2
		}},
		{"origins", two + "routes: [{origins: [\"https://chat.example\", \"https://*.chat.example\", \"null\"]}]", func(c *Config) {
			c.Routes[0].Origins = []string{"https://chat.example", "https://*.chat.example", "null"}
		}},
		{"limits", two + "limits: {sessions: 9, sessions_per_address: 9, message_size: 1MiB, messages_per_second: 10, message_burst: 20, bytes_per_second: 1KiB, byte_burst: 2KiB, on_excess: close}", func(c *Config) {
			l := &c.Limits
			l.Sessions, l.SessionsPerAddress, l.MessageSize = 9, 9, MiB
			l.MessagesPerSecond, l.MessageBurst, l.BytesPerSecond, l.ByteBurst, l.CloseOnExcess = 10, 20, KiB, 2*KiB, true
		}},
		{"excess of bytes", two + "limits: {bytes_per_second: 1KiB, on_excess: close}", func(c *Config) {
			c.Limits.BytesPerSecond, c.Limits.CloseOnExcess = KiB, true
		}},
	} {
		t.Run(row.name, func(t *testing.T) { means(t, row.file, row.differs) })
	}
}

// means checks that a file differs so from two alone, and that its dump means the
// same.
func means(t *testing.T, file string, differs func(*Config)) *Config {
	t.Helper()
	want := base()
	differs(&want)
	got, err := Parse("test.yaml", []byte(file), nil)
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
		t.Errorf("the dump means something else: -first +again\n%s", diff)
	}
	return got
}

func TestEdgeMistakes(t *testing.T) {
	for _, row := range []struct {
		name         string
		file         string
		line, column int
		key          string
		says         string
	}{
		{"networks not a list", two + "forwarded: {trusted: 10.0.0.0/8}", 2, 22, "forwarded.trusted", "plain value; expected a list of networks"},
		{"no networks", two + "forwarded: {trusted: []}", 2, 22, "forwarded.trusted", "empty list"},
		{"network empty", two + "forwarded: {trusted: [\"\"]}", 2, 23, "forwarded.trusted[0]", "is empty"},
		{"network a name", two + "forwarded: {trusted: [lb.example]}", 2, 23, "forwarded.trusted[0]", "neither a network nor an address"},
		{"network a URL", two + "forwarded: {trusted: [\"http://10.0.0.1\"]}", 2, 23, "forwarded.trusted[0]", "is a URL"},
		{"network with bits behind", two + "forwarded: {trusted: [10.0.0.0/8, 10.1.2.3/16]}", 2, 35, "forwarded.trusted[1]", "did you mean 10.1.0.0/16 or 10.1.2.3"},
		{"network too long", two + "forwarded: {trusted: [10.0.0.0/33]}", 2, 23, "forwarded.trusted[0]", "neither"},
		{"network of two families", two + "forwarded: {trusted: [\"::ffff:0:0/90\"]}", 2, 23, "forwarded.trusted[0]", "of their own"},
		{"network with a zone", two + "forwarded: {trusted: [\"fe80::1%eth0\"]}", 2, 23, "forwarded.trusted[0]", "zone"},
		{"network a section", two + "forwarded: {trusted: [{a: b}]}", 2, 23, "forwarded.trusted[0]", "section"},
		{"style unknown", two + "forwarded: {style: rfc7329}", 2, 20, "forwarded.style", `did you mean "rfc7239"`},
		{"network of a listener", two + "listen: [{address: \":1\", proxy_protocol: [x]}]", 2, 43, "listen[0].proxy_protocol[0]", "neither"},
		{"header unknown", one + "{name: a, url: \"ws://h\", proxy_protocol: v3}", 2, 44, "upstreams[0].proxy_protocol", "none, v1 or v2"},
		{"header with spares", "pool: {spares: 2}\n" + one[:len(one)-2] + "- {name: a, url: \"ws://h\", proxy_protocol: v1}", 3, 44, "upstreams[0].proxy_protocol", "pool.spares (2) on line 1"},
		{"spares too many", two + "pool: {spares: 1001}", 2, 16, "pool.spares", "too large"},
		{"spare age too small", two + "pool: {spare_age: 1ms}", 2, 19, "pool.spare_age", "too small"},
		{"origin without scheme", two + "routes: [{origins: [chat.example]}]", 2, 21, "routes[0].origins[0]", "scheme://host"},
		{"origin with a path", two + "routes: [{origins: [\"https://chat.example/x\"]}]", 2, 21, "routes[0].origins[0]", "without a path"},
		{"origin of the WebSocket", two + "routes: [{origins: [\"wss://chat.example\"]}]", 2, 21, "routes[0].origins[0]", "that of the page"},
		{"every origin", two + "routes: [{origins: [\"*\"]}]", 2, 21, "routes[0].origins[0]", "allows every origin"},
		{"more of an address than of all", two + "limits: {sessions: 5, sessions_per_address: 6}", 2, 45, "limits.sessions_per_address", "above limits.sessions (5)"},
		{"message burst alone", two + "limits: {message_burst: 5}", 2, 25, "limits.message_burst", "without limits.messages_per_second"},
		{"byte burst alone", two + "limits: {messages_per_second: 1, byte_burst: 1KiB}", 2, 46, "limits.byte_burst", "without limits.bytes_per_second"},
		{"excess of nothing", two + "limits: {on_excess: close}", 2, 21, "limits.on_excess", "nothing is bounded"},
		{"excess unknown", two + "limits: {on_excess: drop}", 2, 21, "limits.on_excess", "wait or close"},
		{"messages too small", two + "limits: {message_size: 1}", 2, 24, "limits.message_size", "too small"},
		{"bytes with a word", two + "limits: {bytes_per_second: fast}", 2, 28, "limits.bytes_per_second", "not a size"},
	} {
		t.Run(row.name, func(t *testing.T) {
			onlyProblem(t, row.file, row.line, row.column, row.key, row.says)
		})
	}
}
