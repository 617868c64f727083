package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pointsman/pointsman/proxy"
	"github.com/pointsman/pointsman/proxy/negotiate"
)

const (
	keyA = "a-key-of-thirty-two-characters-a"
	keyB = "b-key-of-thirty-two-characters-b"

	eastString = "Endpoint=https://east.webpubsub.azure.com;AccessKey=" + keyA + ";Version=1.0;"
	westString = "Endpoint=https://west.webpubsub.azure.com;AccessKey=" + keyB + ";Version=1.0;"

	// regions are two instances, on the first three lines of a file.
	regions = "upstreams:\n" +
		"- {name: east, connection_string: \"" + eastString + "\"}\n" +
		"- {name: \"west:secondary\", connection_string: \"" + westString + "\"}\n"
	// pubsub leaves the keys of a route to a test, behind a comma.
	pubsub = regions + "routes: [{protocol: webpubsub, access_keys: [" + keyA + "]"
)

// instances is what regions means, with a route that stands for them.
func instances() Config {
	c := base()
	c.Upstreams = []Upstream{
		{Name: "east", URL: "wss://east.webpubsub.azure.com", ConnectionString: eastString, Role: RolePrimary, Weight: 1},
		{Name: "west", URL: "wss://west.webpubsub.azure.com", ConnectionString: westString, Role: RoleSecondary, Weight: 1},
	}
	r := &c.Routes[0]
	r.Protocol, r.AccessKeys = ProtocolWebPubSub, []Secret{keyA}
	return c
}

// TestParseServices says for each file how its meaning differs from that of pubsub
// alone.
func TestParseServices(t *testing.T) {
	first := func(change func(*Route)) func(*Config) { return func(c *Config) { change(&c.Routes[0]) } }
	for _, row := range []struct {
		name, file string
		differs    func(*Config)
	}{
		{"nothing more", pubsub + "}]", func(*Config) {}},
		{"keys for all routes", regions + "access_keys: [" + keyB + ", " + keyA + "]\nroutes: [{protocol: webpubsub}]", func(c *Config) {
			c.AccessKeys = []Secret{keyB, keyA}
			c.Routes[0].AccessKeys = c.AccessKeys
		}},
		{"keys from a file", regions + "routes: [{protocol: webpubsub, access_key_files: [testdata/token]}]", first(func(r *Route) {
			r.AccessKeys, r.AccessKeyFiles = []Secret{"fedcba9876543210"}, []string{"testdata/token"}
		})},
		{"connection string from a file", strings.Replace(pubsub, `connection_string: "`+eastString+`"`, "connection_string_file: testdata/connection", 1) + "}]", func(c *Config) {
			c.Upstreams[0].ConnectionStringFile = "testdata/connection"
			c.Upstreams[0].ConnectionString = "Endpoint=https://east.webpubsub.azure.com;AccessKey=file-key-0123456789-0123456789-0123;Version=1.0;"
		}},
		{"name from the host", strings.Replace(pubsub, "name: east, ", "", 1) + "}]", func(*Config) {}},
		{"role by its key", strings.Replace(pubsub, `name: "west:secondary"`, `name: west, role: secondary`, 1) + "}]", func(*Config) {}},
		{"role in capitals", strings.Replace(pubsub, "west:secondary", "west:SECONDARY", 1) + "}]", func(*Config) {}},
		{"client endpoint", strings.Replace(pubsub, "azure.com;AccessKey="+keyA, "azure.com;ClientEndpoint=http://Gate:8080/east;AccessKey="+keyA, 1) + "}]", func(c *Config) {
			c.Upstreams[0].URL = "ws://gate:8080/east"
			c.Upstreams[0].ConnectionString = Secret(strings.Replace(eastString, "azure.com;", "azure.com;ClientEndpoint=http://Gate:8080/east;", 1))
		}},
		{"public URL", pubsub + ", public_url: \"https://Chat.example:443/hub/\"}]", first(func(r *Route) { r.PublicURL = "https://chat.example/hub" })},
		{"hubs", pubsub + ", hubs: [chat, news]}]", first(func(r *Route) { r.Hubs = []string{"chat", "news"} })},
		{"expiry", pubsub + ", close_at_expiry: true}]", first(func(r *Route) { r.CloseAtExpiry = true })},
		{"negotiate", pubsub + ", negotiate: {via: direct, roles: [webpubsub.sendToGroup.a], groups: [\"a b\"], user_from_query: false, open: true, lifetime: 5m}}]",
			first(func(r *Route) {
				r.Negotiate = Negotiate{negotiate.ViaDirect, []string{"webpubsub.sendToGroup.a"}, []string{"a b"}, false, true, 5 * time.Minute}
			})},
		{"groups", pubsub + ", group_prefix: [{prefix: east-1, upstreams: [west]}, {prefix: east-, upstreams: [east, west]}]}]", first(func(r *Route) {
			r.GroupPrefixes = []GroupPrefix{{"east-1", []string{"west"}}, {"east-", []string{"east", "west"}}}
		})},
		{"weighted", pubsub + ", router: weighted}]", first(func(r *Route) { r.Router = RouterWeighted })},
		{"hash by user", pubsub + ", router: hash, hash: {by: user}}]", first(func(r *Route) { r.Router, r.Hash = RouterHash, Hash{By: HashByUser} })},
		{"hash by header", pubsub + ", router: hash, hash: {by: header, name: X-Tenant}}]", first(func(r *Route) {
			r.Router, r.Hash = RouterHash, Hash{HashByHeader, "X-Tenant"}
		})},
		{"query", pubsub + ", router: query, query: {name: region, strict: true}}]", first(func(r *Route) {
			r.Router, r.Query = RouterQuery, Query{"region", true}
		})},
		{"HTTP", pubsub + ", http: pass, pass: {affinity: cookie, cookie: at, answer_timeout: 1s, idle_timeout: 2s, body_timeout: 3s}}]", first(func(r *Route) {
			r.HTTP = HTTP{true, proxy.AffinityByCookie, "at", time.Second, 2 * time.Second, 3 * time.Second}
		})},
		{"fan-out", pubsub + "}]\nfanout: {timeout: 1s, max_body: 64KiB, backlog: 7, retry: 2}", func(c *Config) {
			c.Fanout = Fanout{time.Second, 64 * KiB, 7, 2}
		}},
		{"SignalR", strings.Replace(pubsub, "protocol: webpubsub", "protocol: signalr", 1) + "}]", first(func(r *Route) { r.Protocol = ProtocolSignalR })},
		{"keys that a plain route needs for its cookies", pubsub + ", match: {path: /hub}}, {upstreams: [east], http: pass, access_keys: [" + keyB + "]}]", func(c *Config) {
			c.Routes[0].Match.Path = "/hub"
			r := newRoute()
			r.Upstreams, r.Router, r.AccessKeys, r.HTTP.Pass = []string{"east"}, RouterPriority, []Secret{keyB}, true
			c.Routes = append(c.Routes, r)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := Parse("test.yaml", []byte(row.file), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := instances()
			row.differs(&want)
			if diff := cmp.Diff(&want, got, networksAsValues); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestSelfHostedSignalR: without connection strings the route stands for servers
// of one's own, and needs no keys.
func TestSelfHostedSignalR(t *testing.T) {
	c, err := Parse("test.yaml", []byte(two+"routes: [{protocol: signalr, http: pass}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Routes[0]; r.hosted(c) || !r.HTTP.Pass || len(r.Upstreams) != 2 {
		t.Errorf("%+v", r)
	}
	again, err := Parse("dump.yaml", []byte(c.YAML()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again, networksAsValues); diff != "" {
		t.Errorf("the dump means something else:\n%s", diff)
	}
}

// TestDumpOfServices: what is from files comes back as it was; what is not is
// hidden.
func TestDumpOfServices(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := "upstreams:\n- {connection_string_file: " + write("east", eastString+"\n") + "}\n- {name: \"x:secondary\", connection_string_file: " + write("west", westString) + "}\n" +
		"access_key_files: [" + write("key", keyA+"\n") + "]\n" +
		"routes:\n- {match: {path: /a}, protocol: webpubsub, hubs: [h], public_url: \"http://p/a\", close_at_expiry: true, negotiate: {via: direct, roles: [a], groups: [\"b \\\"\"], open: true, user_from_query: false, lifetime: 1s}, group_prefix: [{prefix: p, upstreams: [x]}]}\n" +
		"- {match: {path: /b}, protocol: signalr, router: hash, hash: {by: query, name: q}, http: pass, pass: {affinity: cookie, cookie: c}, access_key_files: [" + write("other", keyB) + "]}\n" +
		"- {upstreams: [x], router: query, query: {name: q, strict: true}}\n" +
		"fanout: {retry: 1}\nhealth: {on_demand: true, max_age: 1500ms}\n"
	c, err := Parse("test.yaml", []byte(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	dump := c.YAML()
	if strings.Contains(dump, keyA) || strings.Contains(dump, keyB) {
		t.Errorf("a key is shown:\n%s", dump)
	}
	again, err := Parse("dump.yaml", []byte(dump), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, dump)
	}
	if diff := cmp.Diff(c, again, networksAsValues); diff != "" {
		t.Errorf("the dump means something else:\n%s\n%s", diff, dump)
	}

	c, err = Parse("test.yaml", []byte(pubsub+"}]"), nil)
	if err != nil {
		t.Fatal(err)
	}
	dump = c.YAML()
	for _, want := range []string{`connection_string: "***"`, `access_keys: ["***"]`} {
		if !strings.Contains(dump, want) {
			t.Errorf("no %s in\n%s", want, dump)
		}
	}
	if strings.Contains(dump, keyA) || strings.Contains(dump, keyB) || strings.Contains(dump, "url:") {
		t.Errorf("a key or a URL that says the same is shown:\n%s", dump)
	}
}

// TestWarningsOfServices has a row for each.
func TestWarningsOfServices(t *testing.T) {
	for _, row := range []struct{ name, file, says string }{
		{"short key", regions + "routes: [{protocol: webpubsub, access_keys: [short]}]", "fewer than 32 bytes"},
		{"open to every user", pubsub + ", negotiate: {open: true}}]", "whoever reaches it can be any user"},
		{"on demand for nobody", two + "health: {on_demand: true}", "no route answers any"},
	} {
		c, err := Parse("test.yaml", []byte(row.file), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := c.Warnings()
		if len(got) != 1 || !strings.Contains(got[0], row.says) {
			t.Errorf("%s: %q", row.name, got)
		}
		for _, text := range got {
			if strings.Contains(text, "short:") {
				t.Errorf("%s: shows the key: %q", row.name, text)
			}
		}
	}
	for _, file := range []string{pubsub + "}]", pubsub + ", negotiate: {open: true, user_from_query: false}}]\nhealth: {on_demand: true}"} {
		c, err := Parse("test.yaml", []byte(file), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Warnings(); len(got) > 0 {
			t.Errorf("%q of\n%s", got, file)
		}
	}
}
