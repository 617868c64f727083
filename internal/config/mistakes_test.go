package config

import (
	"errors"
	"strings"
	"testing"
)

// two is a valid first line that leaves the rest of the file to a test.
const two = `upstreams: [{name: east, url: "ws://10.0.0.1:9001"}, {name: west, url: "ws://10.0.0.2:9001", role: secondary}]` + "\n"

// one is the beginning of an upstream whose other keys stand on line 2.
const one = "upstreams:\n- "

// problemsOf returns the problems of a file that must have some.
func problemsOf(t *testing.T, file string, environ ...string) Errors {
	t.Helper()
	c, err := Parse("test.yaml", []byte(file), environ)
	if err == nil {
		t.Fatalf("accepted:\n%s", c.YAML())
	}
	var problems Errors
	if !errors.As(err, &problems) || len(problems) == 0 {
		t.Fatalf("error is %T, want a non-empty Errors: %v", err, err)
	}
	return problems
}

// TestMistakes has one row for each mistake: it must be the only problem, at its
// place, and say the word that sets it apart.
func TestMistakes(t *testing.T) {
	for _, row := range []struct {
		name         string
		file         string
		line, column int
		key          string
		says         string
	}{
		// The text.
		{"empty", "", 0, 0, "", "empty"},
		{"only comments", "# nothing\n\n", 0, 0, "", "empty"},
		{"only a document mark", "---\n", 0, 0, "", "empty"},
		{"binary", "listen: \x00\x01", 1, 9, "", "character"},
		{"delete character", two + "admin: \x7f", 2, 8, "", "character"},
		{"latin-1", "# ok\nname: caf\xe9", 2, 10, "", "UTF-8"},
		{"utf-16", "\xff\xfea\x00", 0, 0, "", "UTF-16"},
		{"second byte order mark", "\ufeff\ufefflisten: a", 1, 1, "", "character"},
		{"too large", strings.Repeat("#", maxFile+1), 0, 0, "", "1MiB"},
		{"truncated in a list", "upstreams: [{name: east", 1, 13, "", "not YAML"},
		{"truncated in quotes", two + "admin: \"127", 2, 8, "", "not YAML"},
		{"tab as indentation", two + "health:\n\tinterval: 2s", 3, 1, "", "tab"},
		{"tab after spaces", two + "health:\n  \trise: 2\n\t# a comment may\n\t\n", 3, 3, "", "tab"},
		{"bad indentation", two + "health:\n  rise: 2\n fall: 2", 4, 2, "", "not YAML"},
		{"a plain word", "hello", 1, 1, "", "not a section"},
		{"a list", "- a", 1, 1, "", "not a section"},
		{"two documents", two + "---\nadmin: off", 2, 1, "", "second document"},
		{"second document empty", two + "---\n", 2, 1, "", "second document"},
		{"directive", "%YAML 1.2\n---\n" + two, 1, 1, "", "directives"},
		{"deep brackets", strings.Repeat("[", 40), 1, 33, "", "deeply"},
		{"deep dashes", strings.Repeat("- ", 40), 1, 65, "", "deeply"},
		{"many tokens", strings.Repeat("- a\n", 20_000), 15001, 1, "", "more than"},
		{"anchor", two + "admin: &a off", 2, 8, "", "anchors"},
		{"anchor of a section", two + "health: &h\n  rise: 3", 2, 9, "", "anchors"},
		{"alias", two + "admin: *a", 2, 8, "", "aliases"},
		{"alias as an upstream", "upstreams: [*a]", 1, 13, "", "aliases"},
		{"tag", two + "admin: !!str off", 2, 8, "", "tags"},
		{"merge key", two + "health:\n  <<: {rise: 3}", 3, 3, "health", "merge"},
		{"question mark key", two + "? admin\n: off", 2, 1, "", "? key"},

		// Keys.
		{"unknown key, near", two + "lissten: \":80\"", 2, 1, "lissten", `did you mean "listen"`},
		{"unknown key, letters swapped", two + "health: {intreval: 2s}", 2, 10, "health.intreval", `did you mean "interval"`},
		{"unknown key of another section", two + "interval: 2s", 2, 1, "interval", `did you mean "health.interval"`},
		{"unknown key, far", two + "health:\n  colour: red", 3, 3, "health.colour", "interval"},
		{"unknown key of an upstream", one + "{name: a, url: \"ws://h\", wieght: 2}", 2, 28, "upstreams[0].wieght", `did you mean "weight"`},
		{"unknown key of a match", two + "routes: [{match: {paht: /}}]", 2, 19, "routes[0].match.paht", `did you mean "path"`},
		{"key of a later version", two + "negotiate: {}", 2, 1, "negotiate", "not a known key"},
		{"unknown key of a nested section", two + "failback: {drain: {rat: 1}}", 2, 20, "failback.drain.rat", `did you mean "rate"`},
		{"key of a nested section one level up", two + "failback: {order: random}", 2, 12, "failback.order", `did you mean "failback.drain.order"`},
		{"unknown key of admin", two + "admin: {port: 1}", 2, 9, "admin.port", "address, token or token_file in admin"},
		{"key of a later version in a section", two + "relay: {mode: frames}", 2, 9, "relay.mode", "not a known key"},
		{"duplicate key", two + "admin: off\nadmin: off", 3, 1, "admin", "twice, first on line 2"},
		{"duplicate key in a section", two + "log: {level: info, level: info}", 2, 20, "log.level", "twice"},
		{"duplicate section", two + "log: {level: info}\nlog: {access: true}", 3, 1, "log", "twice"},
		{"key in upper case", two + "Admin: off", 2, 1, "Admin", `did you mean "admin"`},
		{"null key", two + "~: 1", 2, 1, "~", "not a known key"},

		// Kinds of values.
		{"no value", two + "admin:", 2, 7, "admin", "no value"},
		{"null", two + "router: ~", 2, 9, "router", "no value"},
		{"section without keys", two + "health:", 2, 8, "health", "no value"},
		{"section is a word", two + "health: fast", 2, 9, "health", "plain value"},
		{"section is a list", two + "health: [http]", 2, 9, "health", "list"},
		{"value is a section", two + "router: {name: a}", 2, 9, "router", "section"},
		{"nested section is a word", two + "failback: {drain: off}", 2, 19, "failback.drain", "plain value"},
		{"value is a list", two + "admin: [off]", 2, 8, "admin", "list"},
		{"upstreams is a section", "upstreams: {name: a}", 1, 12, "upstreams", "section"},
		{"upstreams is a word", "upstreams: a", 1, 12, "upstreams", "plain value"},
		{"an upstream is a word", "upstreams: [east]", 1, 13, "upstreams[0]", "plain value"},
		{"an upstream is empty", "upstreams:\n-", 2, 2, "upstreams[0]", "no value"},
		{"number in quotes", two + "failover: {attempts: \"3\"}", 2, 22, "failover.attempts", "quotes"},
		{"boolean in quotes", two + "log: {access: 'true'}", 2, 15, "log.access", "quotes"},
		{"boolean as yes", two + "log: {access: yes}", 2, 15, "log.access", "boolean"},

		// Durations, numbers, sizes, words.
		{"duration without unit", two + "health: {interval: 5}", 2, 20, "health.interval", "no unit"},
		{"duration without unit, fraction", two + "health: {interval: 0.5}", 2, 20, "health.interval", "no unit"},
		{"duration negative", two + "health: {interval: -2s}", 2, 20, "health.interval", "negative"},
		{"duration zero", two + "health: {timeout: 0s}", 2, 19, "health.timeout", "too small"},
		{"duration below a millisecond", two + "relay: {close_wait: 1us}", 2, 21, "relay.close_wait", "too small"},
		{"duration with exponent", two + "health: {interval: 1e9h}", 2, 20, "health.interval", "not a duration"},
		{"duration overflows", two + "health: {interval: 10000000h}", 2, 20, "health.interval", "too long"},
		{"duration above its range", two + "shutdown: {deadline: 25h}", 2, 22, "shutdown.deadline", "too large"},
		{"duration in days", two + "relay: {idle_timeout: 1d}", 2, 23, "relay.idle_timeout", "not a duration"},
		{"duration empty", two + "relay: {idle_timeout: \"\"}", 2, 23, "relay.idle_timeout", "empty"},
		{"optional duration too small", two + "relay: {idle_timeout: 1ns}", 2, 23, "relay.idle_timeout", "too small"},
		{"fall 0", two + "health: {fall: 0}", 2, 16, "health.fall", "too small"},
		{"rise 0", two + "health: {rise: 0}", 2, 16, "health.rise", "too small"},
		{"attempts 17", two + "failover: {attempts: 17}", 2, 22, "failover.attempts", "too large"},
		{"attempts a fraction", two + "failover: {attempts: 1.5}", 2, 22, "failover.attempts", "whole number"},
		{"attempts beyond int", two + "failover: {attempts: 99999999999999999999}", 2, 22, "failover.attempts", "out of range"},
		{"sessions negative", two + "limits: {sessions: -1}", 2, 20, "limits.sessions", "too small"},
		{"rate 0", two + "failback: {drain: {rate: 0}}", 2, 26, "failback.drain.rate", "too small"},
		{"rate too large", two + "shutdown: {drain_rate: 100001}", 2, 24, "shutdown.drain_rate", "too large"},
		{"drain rate of a down upstream 0", two + "failover: {drain_rate: 0}", 2, 24, "failover.drain_rate", "1 to 100000"},
		{"drain rate of a removed upstream 0", two + "reload: {drain_rate: 0}", 2, 22, "reload.drain_rate", "1 to 100000"},
		{"grace 0", two + "failover: {grace: 0s}", 2, 19, "failover.grace", "too small"},
		{"flap window 0", two + "failback: {flap_window: 0s}", 2, 25, "failback.flap_window", "too small"},
		{"max age too large", two + "relay: {max_age: 721h}", 2, 18, "relay.max_age", "or 0s (never)"},
		{"scale timeout 0", two + "reload: {scale_timeout: 0s}", 2, 25, "reload.scale_timeout", "too small"},
		{"handshakes negative", two + "limits: {handshakes_per_second: -1}", 2, 33, "limits.handshakes_per_second", "too small"},
		{"handshakes of an upstream a fraction", one + "{name: a, url: \"ws://h\", handshakes_per_second: 0.5}", 2, 51, "upstreams[0].handshakes_per_second", "whole number"},
		{"memory too small", two + "limits: {memory_high: 1MiB}", 2, 23, "limits.memory_high", "or 0 (90 %"},
		{"watch as a word", two + "reload: {watch: on}", 2, 17, "reload.watch", "true or false"},
		{"close code not on the wire", two + "failback: {drain: {close_code: 1006}}", 2, 32, "failback.drain.close_code", "not allowed"},
		{"close code reserved", two + "failback: {drain: {close_code: 2999}}", 2, 32, "failback.drain.close_code", "3000 to 4999"},
		{"close code too large", two + "failback: {drain: {close_code: 66548}}", 2, 32, "failback.drain.close_code", "not allowed"}, // 1012 in 16 bits
		{"close code negative", two + "failback: {drain: {close_code: -1}}", 2, 32, "failback.drain.close_code", "not allowed"},
		{"close code beyond int", two + "failback: {drain: {close_code: 99999999999999999999}}", 2, 32, "failback.drain.close_code", "not allowed"},
		{"close code a word", two + "failback: {drain: {close_code: going-away}}", 2, 32, "failback.drain.close_code", "not a whole number"},
		{"reason empty", two + "failback: {drain: {reason: \"\"}}", 2, 28, "failback.drain.reason", "empty"},
		{"reason too long", two + "failback: {drain: {reason: " + strings.Repeat("é", 62) + "}}", 2, 28, "failback.drain.reason", "longer than 123 bytes"},
		{"reason with a line break", two + "failback: {drain: {reason: \"a\\nb\"}}", 2, 28, "failback.drain.reason", "printed"},
		{"weight 0", one + "{name: a, url: \"ws://h\", weight: 0}", 2, 36, "upstreams[0].weight", "too small"},
		{"weight 1001", one + "{name: a, url: \"ws://h\", weight: 1001}", 2, 36, "upstreams[0].weight", "too large"},
		{"jitter above 1", two + "health: {jitter: 1.1}", 2, 18, "health.jitter", "too large"},
		{"jitter negative", two + "health: {jitter: -0.1}", 2, 18, "health.jitter", "too small"},
		{"jitter not a number", two + "health: {jitter: .nan}", 2, 18, "health.jitter", "not a number"},
		{"jitter in percent", two + "health: {jitter: 10%}", 2, 18, "health.jitter", "not a number"},
		{"size with a decimal unit", two + "relay: {max_frame: 16MB}", 2, 20, "relay.max_frame", "not a size"},
		{"size negative", two + "relay: {max_frame: -1}", 2, 20, "relay.max_frame", "not a size"},
		{"size overflows", two + "relay: {max_frame: 9999999999GiB}", 2, 20, "relay.max_frame", "too large"},
		{"size of too many digits", two + "relay: {max_frame: 99999999999999999999}", 2, 20, "relay.max_frame", "too large"},
		{"size below a control frame", two + "relay: {max_frame: 124}", 2, 20, "relay.max_frame", "too small"},
		{"header size too small", two + "limits: {header_size: 1023}", 2, 23, "limits.header_size", "too small"},
		{"header size too large", two + "limits: {header_size: 2MiB}", 2, 23, "limits.header_size", "too large"},
		{"unknown probe, near", two + "health: {probe: htpp}", 2, 17, "health.probe", `did you mean "http"`},
		{"unknown level", two + "log: {level: loud}", 2, 14, "log.level", "debug, info, warn or error"},
		{"unknown format", two + "log: {format: xml}", 2, 15, "log.format", "text or json"},
		{"unknown router", two + "router: random", 2, 9, "router", "priority, weighted, least-sessions, hash or query"},
		{"unknown role", one + "{name: a, url: \"ws://h\", role: main}", 2, 34, "upstreams[0].role", "primary or secondary"},
		{"unknown order", two + "failback: {drain: {order: newest-first}}", 2, 27, "failback.drain.order", "idle-first, oldest-first or random"},
		{"unknown then", two + "failback: {drain: {then: stay}}", 2, 26, "failback.drain.then", "leave or close"},
		{"unknown action", two + "failover: {on_down: kep}", 2, 21, "failover.on_down", `did you mean "keep"`},
		{"unknown protocol", two + "routes: [{protocol: signal}]", 2, 21, "routes[0].protocol", `did you mean "signalr"`},
		{"unknown initial", two + "health: {initial: maybe}", 2, 19, "health.initial", "down or up"},

		// Addresses.
		{"listen without colon", two + "listen: 8080", 2, 9, "listen", "no colon"},
		{"listen without port", two + "listen: localhost", 2, 9, "listen", "not host:port"},
		{"listen port too large", two + "listen: \":65536\"", 2, 9, "listen", "bad port"},
		{"listen port by name", two + "listen: \":http\"", 2, 9, "listen", "bad port"},
		{"listen bad IP", two + "listen: \"10.0.0.256:80\"", 2, 9, "listen", "neither a name"},
		{"listen a URL", two + "listen: http://h:80", 2, 9, "listen", "is a URL"},
		{"listen a socket", two + "listen: unix:/run/p.sock", 2, 9, "listen", "Unix socket"},
		{"listen empty", two + "listen: \"\"", 2, 9, "listen", "empty"},
		{"listen an empty list", two + "listen: []", 2, 9, "listen", "empty list"},
		{"listen a list of words", two + "listen: [\":80\"]", 2, 10, "listen[0]", "plain value"},
		{"listen item without address", two + "listen: [{}]", 2, 10, "listen[0].address", "missing"},
		{"listen a section", two + "listen: {address: \":80\"}", 2, 9, "listen", "section"},
		{"listen twice", two + "listen: [{address: \":80\"}, {address: \"127.0.0.1:80\"}]", 2, 38, "listen[1].address", "same address"},
		{"admin port bad", two + "admin: \"127.0.0.1:-1\"", 2, 8, "admin", "bad port"},
		{"admin section without value", two + "admin:\n  address:\n", 3, 11, "admin.address", "no value"},
		{"admin section port bad", two + "admin: {address: \"127.0.0.1:-1\"}", 2, 18, "admin.address", "bad port"},
		{"admin section off in capitals", two + "admin: {address: OFF}", 2, 18, "admin.address", "or \"off\""},
		{"admin socket relative", two + "admin: unix:p.sock", 2, 8, "admin", "absolute path"},
		{"admin socket empty", two + "admin: \"unix:\"", 2, 8, "admin", "absolute path"},
		{"admin socket a URL", two + "admin: unix:///run/p.sock", 2, 8, "admin", "is a URL"},
		{"admin socket a directory", two + "admin: unix:/run/", 2, 8, "admin", "directory"},
		{"admin socket too long", two + "admin: unix:/" + strings.Repeat("a", 103), 2, 8, "admin", "longer than 103"},
		{"admin socket not printable", two + "admin: \"unix:/a\\u0007\"", 2, 8, "admin", "printed"},
		{"admin token empty", two + "admin: {token: \"\"}", 2, 16, "admin.token", "empty"},
		{"admin token short", two + "admin: {token: 0123456789abcde}", 2, 16, "admin.token", "at least 16"},
		{"admin token with a space", two + "admin: {token: 0123456789abcdef 0}", 2, 16, "admin.token", "space"},
		{"admin token with an umlaut", two + "admin: {token: 0123456789abcdefä}", 2, 16, "admin.token", "ASCII"},
		{"admin token too long", two + "admin:\n  token: " + strings.Repeat("a", 4097), 3, 10, "admin.token", "too long"},
		{"admin token file not there", two + "admin: {token_file: testdata/none}", 2, 21, "admin.token_file", "no such file"},
		{"admin token file a directory", two + "admin: {token_file: testdata}", 2, 21, "admin.token_file", "not a regular file"},
		{"admin token file without a token", two + "admin: {token_file: testdata/dump.golden}", 2, 21, "admin.token_file", "the token in it"},
		{"admin token file empty", two + "admin: {token_file: \"\"}", 2, 21, "admin.token_file", "empty"},
		{"admin token and file", two + "admin: {token_file: testdata/token,\n  token: 0123456789abcdef}", 2, 21, "admin.token_file", "admin.token on line 3 and"},
		{"admin is a listen address", two + "listen: \":9090\"", 2, 9, "listen", "same address"},
		{"admin section is a listen address", two + "admin: {token: 0123456789abcdef, address: \":8080\"}", 2, 43, "admin.address", "same address"},
		{"admin section is a listen address by default", two + "admin: {token: 0123456789abcdef}\nlisten: \":9090\"", 3, 9, "listen", "same address"},
		{"admin is the default listen address", two + "admin: \":8080\"", 2, 8, "admin", "same address"},

		// Upstreams.
		{"no upstreams", "admin: off", 0, 0, "upstreams", "no upstream"},
		{"upstreams empty", "upstreams: []", 1, 12, "upstreams", "empty list"},
		{"name missing", one + "url: ws://h", 2, 3, "upstreams[0].name", "missing"},
		{"url missing", one + "name: a", 2, 3, "upstreams[0].url", "missing"},
		{"name empty", one + "{name: \"\", url: \"ws://h\"}", 2, 10, "upstreams[0].name", "empty"},
		{"name in upper case", one + "{name: East, url: \"ws://h\"}", 2, 10, "upstreams[0].name", "a-z"},
		{"name with a space", one + "{name: a b, url: \"ws://h\"}", 2, 10, "upstreams[0].name", "a-z"},
		{"name ends in a dash", one + "{name: a-, url: \"ws://h\"}", 2, 10, "upstreams[0].name", "both ends"},
		{"name too long", one + "{name: " + strings.Repeat("a", 64) + ", url: \"ws://h\"}", 2, 10, "upstreams[0].name", "1 to 63"},
		{"name twice", one + "{name: a, url: \"ws://h\"}\n- {name: a, url: \"ws://g\"}", 3, 10, "upstreams[1].name", "on line 2"},
		{"url twice", one + "{name: a, url: \"ws://h\"}\n- {name: b, url: \"http://H:80/\", role: secondary}", 3, 18, "upstreams[1].url", "upstream a"},
		{"url twice, IPv6", one + "{name: a, url: \"ws://[::1]:9\"}\n- {name: b, url: \"ws://[0:0::1]:9\"}", 3, 18, "upstreams[1].url", "upstream a"},

		// URLs.
		{"url empty", one + "{name: a, url: \"\"}", 2, 18, "upstreams[0].url", "empty"},
		{"url without scheme", one + "{name: a, url: \"chat.example/x\"}", 2, 18, "upstreams[0].url", "no scheme"},
		{"url host and port only", one + "{name: a, url: \"localhost:9001\"}", 2, 18, "upstreams[0].url", "no scheme"},
		{"url with one slash", one + "{name: a, url: \"ws:/x\"}", 2, 18, "upstreams[0].url", "no //"},
		{"url with three slashes", one + "{name: a, url: \"ws:///x\"}", 2, 18, "upstreams[0].url", "no host"},
		{"url port only", one + "{name: a, url: \"ws://:80\"}", 2, 18, "upstreams[0].url", "no host"},
		{"url twice, TLS", one + "{name: a, url: \"wss://h\"}\n- {name: b, url: \"HTTPS://H:443/\"}", 3, 18, "upstreams[1].url", "upstream a"},
		{"url ftp", one + "{name: a, url: \"ftp://h\"}", 2, 18, "upstreams[0].url", "neither ws nor wss"},
		{"url socket", one + "{name: a, url: \"unix:\"}", 2, 18, "upstreams[0].url", "Unix socket"},
		{"url with user", one + "{name: a, url: \"ws://u@h\"}", 2, 18, "upstreams[0].url", "user information"},
		{"url with query", one + "{name: a, url: \"ws://h/?a=b\"}", 2, 18, "upstreams[0].url", "query"},
		{"url with empty query", one + "{name: a, url: \"ws://h?\"}", 2, 18, "upstreams[0].url", "query"},
		{"url with fragment", one + "{name: a, url: \"ws://h/#a\"}", 2, 18, "upstreams[0].url", "fragment"},
		{"url port 0", one + "{name: a, url: \"ws://h:0\"}", 2, 18, "upstreams[0].url", "bad port"},
		{"url port 65536", one + "{name: a, url: \"ws://h:65536\"}", 2, 18, "upstreams[0].url", "bad port"},
		{"url port missing", one + "{name: a, url: \"ws://h:/\"}", 2, 18, "upstreams[0].url", "no port"},
		{"url port a word", one + "{name: a, url: \"ws://h:x\"}", 2, 18, "upstreams[0].url", "not a valid URL"},
		{"url with a space", one + "{name: a, url: \"ws://h /x\"}", 2, 18, "upstreams[0].url", "space"},
		{"url with a line break", one + "{name: a, url: \"ws://h\\n\"}", 2, 18, "upstreams[0].url", "space"},
		{"url with a bad host", one + "{name: a, url: \"ws://h_!/x\"}", 2, 18, "upstreams[0].url", "neither a name"},
		{"url with dots", one + "{name: a, url: \"ws://h/a/../b\"}", 2, 18, "upstreams[0].url", "dots"},
		{"url with escaped dots", one + "{name: a, url: \"ws://h/%2e%2e\"}", 2, 18, "upstreams[0].url", "dots"},
		{"url with a bad escape", one + "{name: a, url: \"ws://h/%zz\"}", 2, 18, "upstreams[0].url", "not a valid URL"},
		{"url too long", one + "{name: a, url: \"ws://h/" + strings.Repeat("a", 3000) + "\"}", 2, 18, "upstreams[0].url", "longer"},
		{"url is the listener", one + "{name: a, url: \"ws://127.0.0.1:8080\"}", 2, 18, "upstreams[0].url", "own listen"},
		{"url is the listener by name", one + "{name: a, url: \"ws://localhost:8080/x\"}", 2, 18, "upstreams[0].url", "own listen"},
		{"url is the listener, IPv6", one + "{name: a, url: \"ws://[::1]:8080\"}", 2, 18, "upstreams[0].url", "own listen"},
		{"url is the listener, any", one + "{name: a, url: \"ws://0.0.0.0:8080\"}", 2, 18, "upstreams[0].url", "own listen"},
		{"url is the admin listener", one + "{name: a, url: \"ws://localhost:9090\"}", 2, 18, "upstreams[0].url", "own admin"},
		{"url is a listener of its own address", "listen: \"10.0.0.9:80\"\n" + "upstreams: [{name: a, url: \"ws://10.0.0.9\"}]", 2, 28, "upstreams[0].url", "on line 1"},

		// Routes.
		{"routes empty", two + "routes: []", 2, 9, "routes", "empty list"},
		{"route to an unknown upstream", two + "routes: [{upstreams: [east, north]}]", 2, 29, "routes[0].upstreams[1]", "east or west"},
		{"route to a misspelt upstream", two + "routes: [{upstreams: [esat]}]", 2, 23, "routes[0].upstreams[0]", `did you mean "east"`},
		{"route to an upstream twice", two + "routes: [{upstreams: [east, east]}]", 2, 29, "routes[0].upstreams[1]", "twice"},
		{"route to a word", two + "routes: [{upstreams: east}]", 2, 22, "routes[0].upstreams", "plain value"},
		{"route to nothing", two + "routes: [{upstreams: []}]", 2, 22, "routes[0].upstreams", "empty list"},
		{"route again", two + "routes:\n- match: {path: /a}\n- match: {path: /a}", 4, 3, "routes[1].match", "on line 3"},
		{"route without match again", two + "routes:\n- router: priority\n- router: priority", 4, 3, "routes[1].match", "never"},
		{"route below an earlier one", two + "routes:\n- match: {path: /a/}\n- match: {host: h, path: /a/b}", 4, 3, "routes[1].match", "narrower"},
		{"route host again in upper case", two + "routes:\n- match: {host: h.example}\n- match: {host: H.example}", 4, 3, "routes[1].match", "never"},
		{"match path without slash", two + "routes: [{match: {path: chat/}}]", 2, 25, "routes[0].match.path", "begin with /"},
		{"match path with query", two + "routes: [{match: {path: /a?b}}]", 2, 25, "routes[0].match.path", "query"},
		{"match path with escape", two + "routes: [{match: {path: /a%20b}}]", 2, 25, "routes[0].match.path", "escape"},
		{"match path with empty segment", two + "routes: [{match: {path: /a//b}}]", 2, 25, "routes[0].match.path", "empty path segment"},
		{"match host with port", two + "routes: [{match: {host: \"h:80\"}}]", 2, 25, "routes[0].match.host", "port"},
		{"match host wildcard inside", two + "routes: [{match: {host: \"a.*.h\"}}]", 2, 25, "routes[0].match.host", "wildcard"},
		{"match host only a wildcard", two + "routes: [{match: {host: \"*\"}}]", 2, 25, "routes[0].match.host", "wildcard"},
		{"match host wildcard of an address", two + "routes: [{match: {host: \"*.10.0.0.1\"}}]", 2, 25, "routes[0].match.host", "wildcard"},
		{"match host bad", two + "routes: [{match: {host: \"a b\"}}]", 2, 25, "routes[0].match.host", "neither"},

		// Between keys.
		{"probe path without slash", two + "health: {path: health}", 2, 16, "health.path", "begin with /"},
		{"probe path with query", two + "health: {path: /health?a}", 2, 16, "health.path", "query"},
		{"timeout above interval", two + "health: {interval: 1s, timeout: 1001ms}", 2, 33, "health.timeout", "longer than health.interval (1s)"},
		{"interval below the default timeout", two + "health: {interval: 600ms}", 2, 20, "health.interval", "health.timeout (1s)"},
		{"recheck above interval", two + "health: {recheck: 3s}", 2, 19, "health.recheck", "longer than health.interval (2s)"},
		{"handshake below connect", two + "failover: {handshake_timeout: 1s}", 2, 31, "failover.handshake_timeout", "shorter"},
		{"connect above handshake", two + "failover: {connect_timeout: 6s}", 2, 29, "failover.connect_timeout", "shorter"},
		{"max hold below hold", two + "failback: {hold: 10s, max_hold: 9s}", 2, 33, "failback.max_hold", "shorter than failback.hold (10s)"},
		{"hold above the default max hold", two + "failback: {hold: 6m}", 2, 18, "failback.hold", "failback.max_hold (5m)"},
		{"memory low as high", two + "limits: {memory_high: 1GiB, memory_low: 1024MiB}", 2, 41, "limits.memory_low", "not below limits.memory_high (1GiB)"},
		{"memory low alone", two + "limits: {memory_low: 1GiB}", 2, 22, "limits.memory_low", "both or none"},
		{"lead as long as the deadline", two + "shutdown: {lead: 30s}", 2, 18, "shutdown.lead", "shutdown.deadline (30s)"},
		{"deadline as short as the lead", two + "shutdown: {deadline: 1s, lead: 1s}", 2, 32, "shutdown.lead", "shutdown.deadline (1s)"},
		{"pings without timeout", two + "relay: {ping_timeout: 0s}", 2, 23, "relay.ping_timeout", "pong"},
	} {
		t.Run(row.name, func(t *testing.T) {
			onlyProblem(t, row.file, row.line, row.column, row.key, row.says)
		})
	}
}

// onlyProblem checks that a file has one problem: there, and it says that.
func onlyProblem(t *testing.T, file string, line, column int, key, says string) {
	t.Helper()
	problems := problemsOf(t, file)
	p := problems[0]
	if len(problems) != 1 {
		t.Fatalf("%d problems, want one:\n%v", len(problems), problems)
	}
	if p.Source != "test.yaml" || p.Line != line || p.Column != column || p.Key != key {
		t.Errorf("at %s:%d:%d key %q, want test.yaml:%d:%d key %q", p.Source, p.Line, p.Column, p.Key, line, column, key)
	}
	if !strings.Contains(p.Message, says) {
		t.Errorf("message %q does not say %q", p.Message, says)
	}
	if (p.Line > 0) != (p.Excerpt != "") {
		t.Errorf("line %d with excerpt %q", p.Line, p.Excerpt)
	}
	if t.Failed() {
		t.Log("\n" + p.Error())
	}
}
