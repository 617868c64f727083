package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// large is the length of a hostile text: far beyond the bounds on tokens and
// nesting, and a fraction of maxFile to keep the test short.
const large = maxFile / 8

// hostile are texts that cost an unbounded parser time, memory or its stack.
var hostile = []string{
	strings.Repeat("[", large), strings.Repeat("{", large), strings.Repeat("[\n", large/2),
	strings.Repeat("- ", large/2), strings.Repeat("? ", large/2), strings.Repeat("a: ", large/3),
	strings.Repeat("&a ", large/3), strings.Repeat("!!str ", large/6), strings.Repeat("a: b\n", large/5),
	strings.Repeat("&a\n", 10_000), strings.Repeat("!a\n", 10_000), strings.Repeat("-\n", 10_000),
	strings.Repeat("a: b\n", maxTokens/3-1), "{" + strings.Repeat("a: b, ", maxTokens/4-2) + "}",
	"upstreams: [" + strings.Repeat("{}, ", maxTokens/3-3) + "]",
	strings.Repeat("\"\"\n", large/3), "\"" + strings.Repeat("a\n", large/2-1), "a: |\n" + strings.Repeat(" a\n", large/3-2),
	strings.Repeat("#\n", large/2), strings.Repeat("\n", large), strings.Repeat("---\n", large/4),
	"listen: " + strings.Repeat("a", large-10), strings.Repeat("a", large-2) + ":",
	nested(1000), many(1000, 1000), many(20, 1400),
	"a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: &d [*c, *c]\ne: &e [*d, *d]\nupstreams: [*e, *e]\n",
}

// nested is a mapping of n levels, one more space of indentation each.
func nested(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// many is a file with many upstreams, and many routes that name one that is
// not there.
func many(upstreams, routes int) string {
	var b strings.Builder
	b.WriteString("upstreams:\n")
	for i := range upstreams {
		fmt.Fprintf(&b, "- {name: u%d, url: \"ws://h%d\"}\n", i, i)
	}
	b.WriteString("routes:\n")
	for i := range routes {
		fmt.Fprintf(&b, "- {match: {path: /%d}, upstreams: [v%d]}\n", i, i)
	}
	return b.String()
}

// TestHostileTexts: each is refused, and soon.
func TestHostileTexts(t *testing.T) {
	for _, text := range hostile {
		start := time.Now()
		_, err := Parse("hostile.yaml", []byte(text), nil)
		if !errors.As(err, new(Errors)) {
			t.Errorf("%.20q...: error is %T", text, err)
		}
		// Far above what it takes, even under the race detector on a busy
		// machine; far below what the bounds prevent.
		if took := time.Since(start); took > time.Minute {
			t.Errorf("%.20q...: took %v", text, took)
		}
	}
}

// hidesSecrets reports whether c holds what a dump does not show.
func hidesSecrets(c *Config) bool {
	return len(c.AccessKeys) > len(c.AccessKeyFiles) ||
		slices.ContainsFunc(c.Routes, func(r Route) bool { return len(r.AccessKeys) > len(r.AccessKeyFiles) }) ||
		slices.ContainsFunc(c.Upstreams, func(u Upstream) bool { return u.ConnectionString != "" && u.ConnectionStringFile == "" })
}

// FuzzParse: never panics; refuses with problems that have a place in the text;
// what is accepted means the same after a dump.
func FuzzParse(f *testing.F) {
	f.Add([]byte(two), "POINTSMAN_HEALTH_INTERVAL=5s")
	f.Add([]byte(tenMistakes), "POINTSMAN_LISTEN=:0")
	c := base()
	f.Add([]byte(c.YAML()), "")
	f.Add([]byte(two+"routes: [{match: {host: \"*.h\", path: /a}}, {}]\nlisten: [{address: \":0\"}]"), "POINTSMAN_ADMIN=off")
	for _, text := range hostile {
		if len(text) < 1000 {
			f.Add([]byte(text), "")
		}
	}
	f.Add([]byte(two+"admin: {address: \"unix:/a\", token: \"0123456789abcdef\"}\nfailback: {drain: {reason: \"\\u00e9\", close_code: 4000}}"), "POINTSMAN_ADMIN_TOKEN_FILE=testdata/token")
	f.Add([]byte(two+"listen: [{address: \":1\", proxy_protocol: [10.0.0.0/8, \"::1\"]}, {address: \":2\", http2: true, tls: {strict_sni: true, min_version: 1.3, acme: {domains: [a.test], email: a@b, directory: \"https://h\", storage: testdata, accept_terms: true, challenge: http-01}}}]"), "POINTSMAN_POOL_SPARES=1")
	f.Add([]byte("upstreams: [{name: a, url: \"wss://h\", proxy_protocol: v1, tls: {ca: testdata/token, cert: a, key: a, insecure: true, server_name: \"::1\"}}]\nroutes: [{origins: [\"https://*.h\", \"null\"]}]"), "POINTSMAN_LIMITS_ON_EXCESS=close")
	f.Add([]byte(two+"forwarded: {trusted: [\"::ffff:10.0.0.0/104\"], style: none}\nlimits: {messages_per_second: 1, message_burst: 2, bytes_per_second: 1KiB, byte_burst: 1MiB, message_size: 125, sessions_per_address: 1}"), "POINTSMAN_POOL_SPARE_AGE=1s")
	f.Add([]byte(pubsub+", negotiate: {via: direct, groups: [a]}, hubs: [h], group_prefix: [{prefix: a, upstreams: [west]}]}]"), "POINTSMAN_ACCESS_KEYS=a,b")
	f.Add([]byte("upstreams: [{connection_string_file: testdata/connection}]\naccess_key_files: [testdata/token]\nroutes: [{protocol: webpubsub, router: hash, hash: {by: user}, http: pass, pass: {cookie: c}, public_url: \"http://h/\"}, {match: {path: /x}}]"), "POINTSMAN_FANOUT_RETRY=1")
	f.Add([]byte(two+"routes: [{protocol: signalr, http: pass, router: query, query: {name: x, strict: true}}]"), "POINTSMAN_HEALTH_ON_DEMAND=true")
	f.Add([]byte("access_keys: [a]"), "Azure__WebPubSub__Endpoints__east__secondary=Endpoint=http://h;Port=8;AccessKey=a")
	f.Add([]byte("key: -----BEGIN PRIVATE KEY-----\n  abcdefgh\n\t"), "")
	f.Add([]byte("a: !!str\nb: &x\n? [a]: b\n{c: d}: e\n<<: *y\n"), "POINTSMAN_X=1")
	f.Fuzz(func(t *testing.T, data []byte, variable string) {
		environ := []string{variable}
		c, err := Parse("fuzz.yaml", data, environ)
		if err != nil {
			var problems Errors
			if !errors.As(err, &problems) || len(problems) == 0 || c != nil {
				t.Fatalf("error %T: %v", err, err)
			}
			lines := 1 + strings.Count(strings.ReplaceAll(string(data), "\r", "\n"), "\n")
			for _, p := range problems {
				if p.Line < 0 || p.Line > lines || (p.Line > 0) != (p.Column > 0) || p.Message == "" {
					t.Fatalf("problem %+v in a text of %d lines", p, lines)
				}
			}
			return
		}
		if c.Admin.TokenFile == "" {
			c.Admin.Token = "" // A dump does not show it.
		}
		if hidesSecrets(c) {
			return // Without them routes would lack what they need.
		}
		again, err := Parse("dump.yaml", []byte(c.YAML()), nil)
		if err != nil {
			t.Fatalf("the dump is refused: %v\n%s", err, c.YAML())
		}
		if diff := cmp.Diff(c, again, networksAsValues); diff != "" {
			t.Fatalf("the dump means something else: %s", diff)
		}
	})
}
