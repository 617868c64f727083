package config

import (
	"slices"
	"strings"
	"testing"
)

// signalR is the value of a variable.
func signalR(host string) string {
	return "Endpoint=https://" + host + ".service.signalr.net;AccessKey=" + keyA + ";Version=1.0;"
}

// summary says what upstreams a configuration has, and who is on which route.
func summary(c *Config) string {
	var out []string
	for _, u := range c.Upstreams {
		out = append(out, u.Name+" "+string(u.Role)+" "+u.URL)
	}
	for _, r := range c.Routes {
		out = append(out, string(r.Protocol)+": "+strings.Join(r.Upstreams, " "))
	}
	return strings.Join(out, "\n")
}

// TestAzureEnvironment: what the Azure SDKs would find is added to the file, or
// completes it.
func TestAzureEnvironment(t *testing.T) {
	const (
		keys  = "access_keys: [" + keyA + "]\n"
		plain = "upstreams: [{name: a, url: \"ws://a\"}]\n"
	)
	for _, row := range []struct {
		name    string
		file    string
		environ []string
		want    string
	}{
		{"only the environment", keys, []string{
			"Azure__SignalR__ConnectionString=" + signalR("first"), "Azure__SignalR__ConnectionString__West__secondary=" + signalR("second"),
		}, "first primary wss://first.service.signalr.net\nwest secondary wss://second.service.signalr.net\nsignalr: first west"},
		{"names that need to be changed", keys, []string{
			"Azure__WebPubSub__Endpoints__East_1=" + westString, "WebPubSubConnectionString=Endpoint=http://127.0.0.1:9;AccessKey=" + keyA,
		}, "east-1 primary wss://west.webpubsub.azure.com\n127-0-0-1 primary ws://127.0.0.1:9\nwebpubsub: east-1 127-0-0-1"},
		{"empty values", plain, []string{"Azure__SignalR__ConnectionString=", "AzureSignalRConnectionString="}, "a primary ws://a\nwebsocket: a"},
		{"a route of plain WebSockets does not take them", plain, []string{"Azure__SignalR__ConnectionString__e=" + signalR("e")},
			"a primary ws://a\ne primary wss://e.service.signalr.net\nwebsocket: a"},
		{"each route takes what speaks its protocol", plain + keys + "routes: [{match: {path: /s}, protocol: signalr, upstreams: [e]}, {match: {path: /w}, protocol: webpubsub, upstreams: [w]}, {}]", []string{
			"Azure__SignalR__ConnectionString__e=" + signalR("e"), "Azure__WebPubSub__ConnectionString__w=" + westString,
		}, "a primary ws://a\nw primary wss://west.webpubsub.azure.com\ne primary wss://e.service.signalr.net\nsignalr: e\nwebpubsub: w\nwebsocket: a"},
		{"each route takes what speaks its protocol, by default", keys + "routes: [{match: {path: /s}, protocol: signalr}, {protocol: webpubsub}]", []string{
			"Azure__SignalR__ConnectionString__e=" + signalR("e"), "Azure__WebPubSub__ConnectionString__w=" + westString,
		}, "w primary wss://west.webpubsub.azure.com\ne primary wss://e.service.signalr.net\nsignalr: e\nwebpubsub: w"},
		{"the connection string of an upstream in the file", keys + "upstreams: [{name: e, weight: 3}]\nroutes: [{protocol: signalr}]",
			[]string{"Azure__SignalR__ConnectionString__E=" + signalR("x")}, "e primary wss://x.service.signalr.net\nsignalr: e"},
		{"instead of that in the file", regions + keys + "routes: [{protocol: signalr}]",
			[]string{"Azure__SignalR__ConnectionString__east=" + signalR("x")}, "east primary wss://x.service.signalr.net\nwest secondary wss://west.webpubsub.azure.com\nsignalr: east west"},
		{"instead of a file that is not there", keys + "upstreams: [{name: e, connection_string_file: testdata/none}]\nroutes: [{protocol: signalr}]",
			[]string{"Azure__SignalR__ConnectionString__e=" + signalR("x")}, "e primary wss://x.service.signalr.net\nsignalr: e"},
		{"the role of the file stands if the variable has none", regions + keys + "routes: [{protocol: signalr}]",
			[]string{"Azure__SignalR__ConnectionString__west=" + signalR("x")}, "east primary wss://east.webpubsub.azure.com\nwest secondary wss://x.service.signalr.net\nsignalr: east west"},
		{"the role of the variable counts", regions + keys + "routes: [{protocol: signalr}]",
			[]string{"Azure__SignalR__ConnectionString__west__Primary=" + signalR("x")}, "east primary wss://east.webpubsub.azure.com\nwest primary wss://x.service.signalr.net\nsignalr: east west"},
		{"identical ones are one", keys, []string{
			"Azure__SignalR__ConnectionString=" + signalR("x"), "AzureSignalRConnectionString=" + signalR("x"),
		}, "x primary wss://x.service.signalr.net\nsignalr: x"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := Parse("test.yaml", []byte(row.file), row.environ)
			if err != nil {
				t.Fatal(err)
			}
			if got := summary(c); got != row.want {
				t.Errorf("got\n%s\nwant\n%s", got, row.want)
			}
		})
	}
}

// TestAzureEnvironmentReduces: of those at one address one is left, the primary,
// and a warning names it.
func TestAzureEnvironmentReduces(t *testing.T) {
	c, err := Parse("test.yaml", []byte("access_keys: ["+keyA+"]\n"), []string{
		"Azure__SignalR__ConnectionString__a__secondary=" + signalR("x"), "Azure__SignalR__ConnectionString__b=" + signalR("x"),
		"Azure__SignalR__ConnectionString__c__secondary=" + signalR("y"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := summary(c), "b primary wss://x.service.signalr.net\nc secondary wss://y.service.signalr.net\nsignalr: b c"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	warnings := c.Warnings()
	if len(warnings) != 1 || !strings.Contains(warnings[0], "[a](secondary)") || !strings.Contains(warnings[0], "[b](primary)") ||
		!strings.Contains(warnings[0], "Azure__SignalR__ConnectionString__b") || strings.Contains(warnings[0], keyA) {
		t.Errorf("%q", warnings)
	}
}

// TestAzureEnvironmentMistakes: each names its variable.
func TestAzureEnvironmentMistakes(t *testing.T) {
	const keys = "access_keys: [" + keyA + "]\n"
	for _, row := range []struct {
		name    string
		file    string
		environ []string
		key     string
		says    string
	}{
		{"misspelt role", two, []string{"Azure__SignalR__ConnectionString__a__secondry=" + signalR("x")}, "Azure__SignalR__ConnectionString__a__secondry", "secondry"},
		{"role without name", two, []string{"Azure__SignalR__ConnectionString__secondary=" + signalR("x")}, "Azure__SignalR__ConnectionString__secondary", "<name>:secondary"},
		{"no key", two, []string{"Azure__WebPubSub__ConnectionString__a=Endpoint=https://h;AuthType=azure"}, "Azure__WebPubSub__ConnectionString__a", "only access keys are"},
		{"names that become the same", keys, []string{"Azure__SignalR__Endpoints__a_1=" + signalR("x"), "Azure__SignalR__Endpoints__a-1=" + signalR("y")},
			"Azure__SignalR__Endpoints__a_1", "Azure__SignalR__Endpoints__a-1"},
		{"url in the file", two, []string{"Azure__SignalR__ConnectionString__west=" + signalR("x")}, "Azure__SignalR__ConnectionString__west", "upstream west, which has a url on line 1"},
		{"place of another one in the file", regions + keys + "routes: [{protocol: webpubsub, upstreams: [east]}]", []string{"Azure__WebPubSub__ConnectionString__x=" + eastString},
			"Azure__WebPubSub__ConnectionString__x", "is where upstream east on line 2 is"},
		{"no access keys", "log: {level: info}", []string{"Azure__SignalR__ConnectionString=" + signalR("x")}, "routes[0].access_keys", "POINTSMAN_ACCESS_KEYS"},
		{"no primary", keys, []string{"Azure__SignalR__ConnectionString__a__secondary=" + signalR("x")}, "routes[0].upstreams", "is primary"},
		{"both services and no routes", keys, []string{"Azure__SignalR__ConnectionString__a=" + signalR("x"), "Azure__WebPubSub__ConnectionString__b=" + eastString},
			"routes[0].upstreams", "none is left for protocol websocket"},
		{"route of the other service", keys + "routes: [{protocol: webpubsub, upstreams: [a]}]", []string{"Azure__SignalR__ConnectionString__a=" + signalR("x")},
			"routes[0].upstreams[0]", "speaks signalr, as Azure__SignalR__ConnectionString__a says"},
	} {
		t.Run(row.name, func(t *testing.T) {
			problems := problemsOf(t, row.file, row.environ...)
			p := problems[0]
			if len(problems) != 1 || p.Key != row.key || !strings.Contains(p.Message, row.says) || (p.Source == sourceEnvironment) != strings.HasPrefix(row.key, "Azure__") {
				t.Errorf("%v\nwant one about %q that says %q", problems, row.key, row.says)
			}
			if strings.Contains(problems.Error(), keyA) {
				t.Errorf("shows a key: %v", problems)
			}
		})
	}
}

// TestFlagsAndAzureEnvironment: with upstreams by flags the variables are nobody's;
// without, they are enough.
func TestFlagsAndAzureEnvironment(t *testing.T) {
	for variable, want := range map[string]bool{
		"Azure__SignalR__ConnectionString__east=" + signalR("x"): true, "Azure__SignalR__ConnectionString=x": true,
		"Azure__SignalR__ConnectionString=": false, "POINTSMAN_ACCESS_KEYS=a": false,
	} {
		if got := NamesUpstreams([]string{variable}); got != want {
			t.Errorf("%.35s: %v", variable, got)
		}
	}
	environ := []string{"Azure__SignalR__ConnectionString__east=" + signalR("x"), "POINTSMAN_ACCESS_KEYS=" + keyA + "," + keyB}
	c, err := FromFlags(Flags{}, environ)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := summary(c), "east primary wss://x.service.signalr.net\nsignalr: east"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !slices.Equal(c.Routes[0].AccessKeys, []Secret{keyA, keyB}) {
		t.Errorf("%d keys", len(c.Routes[0].AccessKeys))
	}
	c, err = FromFlags(Flags{Primary: []string{"ws://h"}}, append(environ, "Azure__SignalR__ConnectionString__x__secondry=y"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := summary(c), "primary-1 primary ws://h\nwebsocket: primary-1"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_, err = FromFlags(Flags{}, []string{"Azure__SignalR__ConnectionString__x__secondry=y"})
	if err == nil || strings.Contains(err.Error(), "--primary") || !strings.Contains(err.Error(), "secondry") {
		t.Errorf("want only what is wrong with the variable:\n%v", err)
	}
}
