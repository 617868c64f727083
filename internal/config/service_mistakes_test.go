package config

import (
	"strings"
	"testing"
)

// TestServiceMistakes has one row for each mistake: it must be the only problem,
// at its place, and say the word that sets it apart.
func TestServiceMistakes(t *testing.T) {
	// connection is an upstream on line 2 whose connection string stands in column
	// 32.
	connection := func(text string) string {
		return "upstreams:\n- {name: a, connection_string: \"" + text + "\"}"
	}
	for _, row := range []struct {
		name         string
		file         string
		line, column int
		key          string
		says         string
	}{
		// Upstreams.
		{"no url and no connection string", "upstreams:\n- {name: a}", 2, 3, "upstreams[0].url", "or a connection_string"},
		{"url and connection string", connection(eastString)[:len(connection(eastString))-1] + ",\n url: \"ws://h\"}", 3, 7, "upstreams[0].url", "connection_string on line 2"},
		{"connection string and file", connection(eastString)[:len(connection(eastString))-1] + ",\n connection_string_file: testdata/connection}", 3, 26, "upstreams[0].connection_string_file", "connection_string on line 2"},
		{"connection string empty", connection(""), 2, 32, "upstreams[0].connection_string", "empty"},
		{"without endpoint", connection("AccessKey=" + keyA + ";Version=1.0"), 2, 32, "upstreams[0].connection_string", "Endpoint is missing"},
		{"without key", connection("Endpoint=https://h;Version=1.0"), 2, 32, "upstreams[0].connection_string", "AccessKey is missing"},
		{"key twice", connection("Endpoint=https://h;AccessKey=" + keyA + ";accesskey=" + keyB), 2, 32, "upstreams[0].connection_string", "AccessKey is given twice"},
		{"Entra", connection("Endpoint=https://h;AuthType=azure.msi;Version=1.0"), 2, 32, "upstreams[0].connection_string", "only access keys are"},
		{"bad port", connection("Endpoint=http://h;Port=0;AccessKey=" + keyA), 2, 32, "upstreams[0].connection_string", "Port is not"},
		{"bad version", connection("Endpoint=http://h;Version=2.0;AccessKey=" + keyA), 2, 32, "upstreams[0].connection_string", "not supported"},
		{"endpoint of another scheme", connection("Endpoint=wss://h;AccessKey=" + keyA), 2, 32, "upstreams[0].connection_string", "http:// or https://"},
		{"a URL as connection string", connection("https://east.webpubsub.azure.com"), 2, 32, "upstreams[0].connection_string", "Endpoint is missing"},
		{"file not there", "upstreams:\n- {name: a, connection_string_file: testdata/none}", 2, 37, "upstreams[0].connection_string_file", "no such file"},
		{"file of something else", "upstreams:\n- {name: a, connection_string_file: testdata/token}", 2, 37, "upstreams[0].connection_string_file", "Endpoint is missing"},
		{"file without name, not there", "upstreams:\n- {connection_string_file: testdata/none}\nroutes: [{upstreams: [a]}]", 2, 28, "upstreams[0].connection_string_file", "no such file"},
		{"misspelt role in the name", "upstreams:\n- {name: \"a:secondry\", connection_string: \"" + eastString + "\"}", 2, 10, "upstreams[0].name", "neither primary nor secondary"},
		{"role twice", "upstreams:\n- {name: \"a:secondary\", role: primary, connection_string: \"" + eastString + "\"}", 2, 31, "upstreams[0].role", "says a role too"},
		{"two at one place", regions + "- {name: x, connection_string: \"" + eastString + "\"}", 4, 32, "upstreams[2].connection_string", "is where upstream east on line 2 is"},
		{"one and its URL", regions + "- {name: x, url: \"wss://east.webpubsub.azure.com\"}", 4, 18, "upstreams[2].url", "is where upstream east on line 2 is"},
		{"name from the host twice", "upstreams:\n- {connection_string: \"" + eastString + "\"}\n- {connection_string: \"Endpoint=https://east.service.signalr.net;AccessKey=" + keyA + "\"}", 3, 23, "upstreams[1].connection_string", "a name of its own"},
		{"instance is the listener", connection("Endpoint=http://localhost;Port=8080;AccessKey=" + keyA), 2, 32, "upstreams[0].connection_string", "own listen"},
		{"TLS for an instance without", connection("Endpoint=http://h;AccessKey=" + keyA)[:len(connection("Endpoint=http://h;AccessKey="+keyA))-1] + ",\n tls: {insecure: true}}", 3, 2, "upstreams[0].tls", "without TLS"},

		// Access keys.
		{"no keys", regions + "routes: [{protocol: webpubsub}]", 4, 10, "routes[0].access_keys", "POINTSMAN_ACCESS_KEYS"},
		{"three keys", regions + "routes: [{protocol: webpubsub, access_keys: [a, b, c]}]", 4, 45, "routes[0].access_keys", "at most 2"},
		{"the same key twice", regions + "routes: [{protocol: webpubsub, access_keys: [a, a]}]", 4, 49, "routes[0].access_keys[1]", "the same key"},
		{"empty key", regions + "routes: [{protocol: webpubsub, access_keys: [\"\"]}]", 4, 46, "routes[0].access_keys[0]", "empty"},
		{"keys as a word", regions + "routes: [{protocol: webpubsub, access_keys: a}]", 4, 45, "routes[0].access_keys", "plain value"},
		{"keys and files", pubsub + ", access_key_files: [testdata/token]}]", 4, 99, "routes[0].access_key_files", "access_keys on line 4"},
		{"key file not there", regions + "routes: [{protocol: webpubsub, access_key_files: [testdata/none]}]", 4, 51, "routes[0].access_key_files[0]", "no such file"},
		{"key files the same", regions + "routes: [{protocol: webpubsub, access_key_files: [testdata/token, testdata/token]}]", 4, 67, "routes[0].access_key_files[1]", "the same key"},
		{"common key files not there", regions + "access_key_files: [testdata/none]\nroutes: [{protocol: webpubsub}]", 4, 20, "access_key_files[0]", "no such file"},

		// Upstreams of routes.
		{"route to a plain upstream", two + "routes: [{protocol: webpubsub, access_keys: [a], upstreams: [west, east]}]", 2, 0, "", ""},
		{"one without connection string", regions + "- {name: x, url: \"ws://h\"}\nroutes: [{protocol: signalr, access_keys: [" + keyA + "]}]", 5, 10, "routes[0].upstreams[2]", "upstream x has no connection string"},
		{"one without connection string, by name", regions + "- {name: x, url: \"ws://h\"}\nroutes: [{protocol: signalr, upstreams: [east, x], access_keys: [" + keyA + "]}]", 5, 48, "routes[0].upstreams[1]", "upstream x has no connection string"},
		{"no primary", regions + "routes: [{protocol: webpubsub, upstreams: [west], access_keys: [" + keyA + "]}]", 4, 43, "routes[0].upstreams", "is primary"},

		// Keys that need another.
		{"hubs of plain WebSockets", two + "routes: [{hubs: [a]}]", 2, 17, "routes[0].hubs", "protocol websocket"},
		{"negotiate of plain WebSockets", two + "routes: [{negotiate: {open: true}}]", 2, 11, "routes[0].negotiate", "protocol websocket"},
		{"access keys of plain WebSockets", two + "routes: [{access_keys: [a]}]", 2, 24, "routes[0].access_keys", "or http: pass"},
		{"public URL of plain WebSockets", two + "routes: [{public_url: \"http://h\"}]", 2, 23, "routes[0].public_url", "protocol websocket"},
		{"groups of plain WebSockets", two + "routes: [{group_prefix: [{prefix: a, upstreams: [east]}]}]", 2, 25, "routes[0].group_prefix", "protocol websocket"},
		{"expiry of plain WebSockets", two + "routes: [{close_at_expiry: true}]", 2, 28, "routes[0].close_at_expiry", "protocol websocket"},
		{"expiry of one's own servers", two + "routes: [{protocol: signalr, close_at_expiry: true}]", 2, 47, "routes[0].close_at_expiry", "servers of your own"},
		{"negotiation of one's own servers", two + "routes: [{protocol: signalr, negotiate: {open: true}}]", 2, 30, "routes[0].negotiate", "servers of your own"},
		{"roles of SignalR", strings.Replace(pubsub, "webpubsub,", "signalr,", 1) + ", negotiate: {roles: [a]}}]", 4, 98, "routes[0].negotiate.roles", "protocol signalr"},
		{"hash with another router", two + "routes: [{hash: {by: client}}]", 2, 11, "routes[0].hash", "expected router: hash"},
		{"query with another router", two + "routes: [{router: hash, query: {strict: true}}]", 2, 25, "routes[0].query", "expected router: query"},
		{"hash by user of plain WebSockets", two + "routes: [{router: hash, hash: {by: user}}]", 2, 36, "routes[0].hash.by", "tokens of Azure services"},
		{"hash by header without name", two + "routes: [{router: hash, hash: {by: header}}]", 2, 36, "routes[0].hash.by", "hash.name is missing"},
		{"hash by client with name", two + "routes: [{router: hash, hash: {name: x}}]", 2, 38, "routes[0].hash.name", "by: header"},
		{"hash by a field that is none", two + "routes: [{router: hash, hash: {by: header, name: \"a:b\"}}]", 2, 50, "routes[0].hash.name", "header field"},
		{"settings of HTTP without it", two + "routes: [{pass: {cookie: a}}]", 2, 11, "routes[0].pass", "http: pass"},
		{"cookie with a blank", two + "routes: [{http: pass, pass: {cookie: \"a b\"}}]", 2, 38, "routes[0].pass.cookie", "name of a cookie"},
		{"on demand below the pace", two + "health: {on_demand: true, max_age: 2s}", 2, 36, "health.max_age", "not below health.interval (2s)"},

		// Values.
		{"hub with a digit first", pubsub + ", hubs: [1a]}]", 4, 88, "routes[0].hubs[0]", "not a name of a hub"},
		{"hub twice", pubsub + ", hubs: [a, A]}]", 4, 91, "routes[0].hubs[1]", "twice"},
		{"unknown via", pubsub + ", negotiate: {via: redirect}}]", 4, 98, "routes[0].negotiate.via", "proxy or direct"},
		{"role with a blank", pubsub + ", negotiate: {roles: [\"a b\"]}}]", 4, 101, "routes[0].negotiate.roles[0]", "not a role"},
		{"group of blanks", pubsub + ", negotiate: {groups: [\"  \"]}}]", 4, 102, "routes[0].negotiate.groups[0]", "not a name of a group"},
		{"lifetime too long", pubsub + ", negotiate: {lifetime: 9000h}}]", 4, 103, "routes[0].negotiate.lifetime", "too large"},
		{"public URL for WebSockets", pubsub + ", public_url: \"wss://h\"}]", 4, 93, "routes[0].public_url", "http:// or https://"},
		{"group prefix of no upstream", pubsub + ", group_prefix: [{prefix: a, upstreams: [esat]}]}]", 4, 120, "routes[0].group_prefix[0].upstreams[0]", `did you mean "east"`},
		{"group prefix without upstreams", pubsub + ", group_prefix: [{prefix: a}]}]", 4, 96, "routes[0].group_prefix[0].upstreams", "missing"},
		{"group prefix without prefix", pubsub + ", group_prefix: [{upstreams: [east]}]}]", 4, 96, "routes[0].group_prefix[0].prefix", "missing"},
		{"group prefix covered", pubsub + ", group_prefix: [{prefix: a, upstreams: [east]}, {prefix: ab, upstreams: [east]}]}]", 4, 137, "routes[0].group_prefix[1].prefix", "longer prefix first"},
		{"retry too often", two + "fanout: {retry: 4}", 2, 17, "fanout.retry", "too large"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.key == "" { // one problem for each of the two
				problems := problemsOf(t, row.file)
				if len(problems) != 2 || problems[0].Key != "routes[0].upstreams[0]" || problems[1].Key != "routes[0].upstreams[1]" {
					t.Errorf("%v", problems)
				}
				return
			}
			onlyProblem(t, row.file, row.line, row.column, row.key, row.says)
		})
	}
}

// TestServiceSecretsAreHidden puts keys and connection strings where they belong,
// beside mistakes and in their place, and looks for them in the whole report.
func TestServiceSecretsAreHidden(t *testing.T) {
	const secret = "hunter2hunter2"
	whole := "Endpoint=https://h.example;AccessKey=" + secret + ";Version=1.0;"
	for name, file := range map[string]string{
		"bad connection string":       one + "{name: a, connection_string: \"Endpoint=https://h.example;Port=x;AccessKey=" + secret + "\"}",
		"block":                       one + "name: a\n  connection_string: Endpoint=ftp://h;AccessKey=" + secret + "\n",
		"folded":                      one + "name: a\n  connection_string: >\n    Endpoint=ftp://h;AccessKey=" + secret + "\n",
		"only the key":                one + "name: a\n  connection_string: " + secret + "\n",
		"pieces":                      one + "name: a\n  connection_string: " + secret + "=" + secret + ";" + secret + "=;\n",
		"misspelt key":                one + "{name: a, connectionstring: \"" + whole + "\"}",
		"as a url":                    one + "{name: a, url: \"" + whole + "\"}",
		"as a name":                   one + "{name: \"" + whole + "\", url: \"ws://h\"}",
		"as a file":                   one + "{name: a, connection_string_file: \"" + whole + "\"}",
		"beside a mistake":            one + "{name: a, connection_string: \"" + whole + "\", weight: 0}",
		"twice":                       one + "{name: a, connection_string: \"" + whole + "\", connection_string: \"" + whole + "\"}",
		"at one place":                one + "{name: a, connection_string: \"" + whole + "\"}\n- {name: b, connection_string: \"" + whole + "\"}",
		"key with a control":          regions + "routes: [{protocol: webpubsub, access_keys: [\"" + secret + "\\u0001\"]}]",
		"key as a section":            regions + "routes: [{protocol: webpubsub, access_keys: [{a: " + secret + "}]}]",
		"key as a word":               regions + "routes: [{protocol: webpubsub, access_keys: " + secret + "}]",
		"keys twice":                  regions + "routes: [{protocol: webpubsub, access_keys: [" + secret + ", " + secret + "]}]",
		"three keys":                  regions + "routes:\n- protocol: webpubsub\n  access_keys:\n  - " + secret + "\n  - " + secret + "1\n  - " + secret + "2\n",
		"keys on a plain route":       two + "routes: [{access_keys: [" + secret + "]}]",
		"keys beside another mistake": regions + "routes: [{protocol: webpubsub, access_keys: [" + secret + "], hubs: [1]}]",
		"misspelt keys":               regions + "routes: [{protocol: webpubsub, accesskey: [" + secret + "]}]",
	} {
		t.Run(name, func(t *testing.T) {
			if shown := problemsOf(t, file).Error(); strings.Contains(shown, "hunter2") {
				t.Errorf("the secret is shown:\n%s", shown)
			}
		})
	}
	problems := problemsOf(t, two, "POINTSMAN_ACCESS_KEYS=hunter2hunter2,", "POINTSMAN_ACCESS_KEY=hunter2hunter2",
		"Azure__SignalR__ConnectionString__a=Endpoint=https://h;Port=x;AccessKey=hunter2hunter2")
	if len(problems) != 3 || strings.Contains(problems.Error(), "hunter2") {
		t.Errorf("want three problems without the secret:\n%v", problems)
	}
}
