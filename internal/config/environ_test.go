package config

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// samples holds a value other than the default for every variable.
var samples = map[string]string{
	"POINTSMAN_LISTEN":                       "127.0.0.1:1234",
	"POINTSMAN_ADMIN":                        "off",
	"POINTSMAN_ADMIN_TOKEN":                  "0123456789abcdef",
	"POINTSMAN_ADMIN_TOKEN_FILE":             "testdata/token",
	"POINTSMAN_ROUTER":                       "least-sessions",
	"POINTSMAN_ACCESS_KEYS":                  "one key, and the other",
	"POINTSMAN_ACCESS_KEY_FILES":             "testdata/token",
	"POINTSMAN_HEALTH_PROBE":                 "tcp",
	"POINTSMAN_HEALTH_PATH":                  "/up",
	"POINTSMAN_HEALTH_INTERVAL":              "3s",
	"POINTSMAN_HEALTH_RECHECK":               "1s",
	"POINTSMAN_HEALTH_TIMEOUT":               "2s",
	"POINTSMAN_HEALTH_JITTER":                "0.5",
	"POINTSMAN_HEALTH_RISE":                  "7",
	"POINTSMAN_HEALTH_FALL":                  "8",
	"POINTSMAN_HEALTH_INITIAL":               "up",
	"POINTSMAN_HEALTH_ON_DEMAND":             "true",
	"POINTSMAN_HEALTH_MAX_AGE":               "1m",
	"POINTSMAN_FAILOVER_ATTEMPTS":            "2",
	"POINTSMAN_FAILOVER_CONNECT_TIMEOUT":     "1s",
	"POINTSMAN_FAILOVER_HANDSHAKE_TIMEOUT":   "6s",
	"POINTSMAN_FAILOVER_ON_DOWN":             "drain",
	"POINTSMAN_FAILOVER_GRACE":               "1s",
	"POINTSMAN_FAILOVER_DRAIN_RATE":          "1",
	"POINTSMAN_FAILBACK_HOLD":                "1s",
	"POINTSMAN_FAILBACK_MAX_HOLD":            "1h",
	"POINTSMAN_FAILBACK_FLAP_WINDOW":         "1s",
	"POINTSMAN_FAILBACK_RAMP":                "1s",
	"POINTSMAN_FAILBACK_DRAIN_ENABLED":       "false",
	"POINTSMAN_FAILBACK_DRAIN_RATE":          "1",
	"POINTSMAN_FAILBACK_DRAIN_ORDER":         "oldest-first",
	"POINTSMAN_FAILBACK_DRAIN_CLOSE_CODE":    "3000",
	"POINTSMAN_FAILBACK_DRAIN_REASON":        "home",
	"POINTSMAN_FAILBACK_DRAIN_DEADLINE":      "0s",
	"POINTSMAN_FAILBACK_DRAIN_THEN":          "close",
	"POINTSMAN_POOL_SPARES":                  "2",
	"POINTSMAN_POOL_SPARE_AGE":               "1m",
	"POINTSMAN_FANOUT_TIMEOUT":               "1s",
	"POINTSMAN_FANOUT_MAX_BODY":              "2MiB",
	"POINTSMAN_FANOUT_BACKLOG":               "9",
	"POINTSMAN_FANOUT_RETRY":                 "3",
	"POINTSMAN_RELAY_IDLE_TIMEOUT":           "1h",
	"POINTSMAN_RELAY_MAX_AGE":                "1h",
	"POINTSMAN_RELAY_PING_INTERVAL":          "0s",
	"POINTSMAN_RELAY_PING_TIMEOUT":           "1s",
	"POINTSMAN_RELAY_WRITE_TIMEOUT":          "1s",
	"POINTSMAN_RELAY_MAX_FRAME":              "1KiB",
	"POINTSMAN_RELAY_CLOSE_WAIT":             "1s",
	"POINTSMAN_FORWARDED_STYLE":              "rfc7239",
	"POINTSMAN_LIMITS_HEADER_TIMEOUT":        "1s",
	"POINTSMAN_LIMITS_HEADER_SIZE":           "2KiB",
	"POINTSMAN_LIMITS_SESSIONS":              "9",
	"POINTSMAN_LIMITS_HANDSHAKES_PER_SECOND": "9",
	"POINTSMAN_LIMITS_SESSIONS_PER_ADDRESS":  "9",
	"POINTSMAN_LIMITS_MESSAGE_SIZE":          "1KiB",
	"POINTSMAN_LIMITS_MESSAGES_PER_SECOND":   "9",
	"POINTSMAN_LIMITS_MESSAGE_BURST":         "9",
	"POINTSMAN_LIMITS_BYTES_PER_SECOND":      "1KiB",
	"POINTSMAN_LIMITS_BYTE_BURST":            "1KiB",
	"POINTSMAN_LIMITS_ON_EXCESS":             "close",
	"POINTSMAN_LIMITS_MEMORY_HIGH":           "16MiB",
	"POINTSMAN_LIMITS_MEMORY_LOW":            "1MiB",
	"POINTSMAN_SHUTDOWN_LEAD":                "1s",
	"POINTSMAN_SHUTDOWN_DRAIN_RATE":          "1",
	"POINTSMAN_SHUTDOWN_DEADLINE":            "1s",
	"POINTSMAN_RELOAD_WATCH":                 "false",
	"POINTSMAN_RELOAD_SCALE_TIMEOUT":         "1s",
	"POINTSMAN_RELOAD_DRAIN_RATE":            "1",
	"POINTSMAN_LOG_LEVEL":                    "debug",
	"POINTSMAN_LOG_FORMAT":                   "json",
	"POINTSMAN_LOG_ACCESS":                   "true",
}

// beside says which file a variable needs, and which field it changes
// beside its own.
var beside = map[string]struct{ file, field string }{
	"POINTSMAN_ADMIN_TOKEN_FILE":  {two, "Admin.Token"},
	"POINTSMAN_ACCESS_KEY_FILES":  {two, "AccessKeys"},
	"POINTSMAN_LIMITS_MEMORY_LOW": {two + "limits: {memory_high: 1GiB}", "Limits.MemoryHigh"},

	"POINTSMAN_LIMITS_MESSAGE_BURST": {two + "limits: {messages_per_second: 1}", "Limits.MessagesPerSecond"},
	"POINTSMAN_LIMITS_BYTE_BURST":    {two + "limits: {bytes_per_second: 1KiB}", "Limits.BytesPerSecond"},
	"POINTSMAN_LIMITS_ON_EXCESS":     {two + "limits: {messages_per_second: 1}", "Limits.MessagesPerSecond"},
}

// leaves flattens the values below v, without lists that only a file can give.
func leaves(prefix string, v reflect.Value, out map[string]any) {
	for i := range v.NumField() {
		name := prefix + v.Type().Field(i).Name
		switch f := v.Field(i); {
		case f.Kind() == reflect.Struct:
			leaves(name+".", f, out)
		case f.Kind() != reflect.Slice || slices.Contains([]string{"Listen", "AccessKeys", "AccessKeyFiles"}, name):
			out[name] = f.Interface()
		}
	}
}

// TestEveryScalarHasAVariable sets all of them: each must change one field of
// its own, and no field may be left.
func TestEveryScalarHasAVariable(t *testing.T) {
	fields := make(map[string]any)
	leaves("", reflect.ValueOf(base()), fields)
	changed := make(map[string]string)
	for _, k := range Keys() {
		if k.Env == "" {
			if !strings.HasPrefix(k.Path, "upstreams") && !strings.HasPrefix(k.Path, "routes") && !strings.HasPrefix(k.Path, "listen[].") && k.Path != "forwarded.trusted" {
				t.Errorf("%s has no variable", k.Path)
			}
			continue
		}
		if serviceLink.MatchString(k.Env+"=tcp://x") || serviceLink.MatchString(k.Env+"=") {
			t.Errorf("%s looks like a service link and would be ignored", k.Env)
		}
		value, ok := samples[k.Env]
		if !ok {
			t.Errorf("no sample for %s", k.Env)
			continue
		}
		file := two
		if b, ok := beside[k.Env]; ok {
			file = b.file
		}
		got, err := Parse("test.yaml", []byte(file), []string{k.Env + "=" + value})
		if err != nil {
			t.Errorf("%s: %v", k.Env, err)
			continue
		}
		after := make(map[string]any)
		leaves("", reflect.ValueOf(*got), after)
		n := 0
		for name, value := range after {
			if name != beside[k.Env].field && !reflect.DeepEqual(value, fields[name]) {
				n++
				changed[name] = k.Env
			}
		}
		if n != 1 {
			t.Errorf("%s changes %d fields, want 1", k.Env, n)
		}
	}
	for name := range fields {
		if changed[name] == "" {
			t.Errorf("no variable changes Config.%s", name)
		}
	}
	if len(changed) != len(samples) {
		t.Errorf("%d fields for %d samples", len(changed), len(samples))
	}
}

// TestSectionsHaveAKeyForEachField does for lists what the variables do above.
func TestSectionsHaveAKeyForEachField(t *testing.T) {
	for _, row := range []struct {
		name         string
		keys, fields int
	}{
		{"listen", len(listenerKeys()), countFields(reflect.TypeFor[Listener]())},
		{"certificates", len(certificateKeys()), countFields(reflect.TypeFor[Certificate]())},
		{"upstreams", len(upstreamKeys()), countFields(reflect.TypeFor[Upstream]())},
		{"routes", len(routeKeys()), countFields(reflect.TypeFor[Route]())},
		{"group_prefix", len(groupPrefixKeys()), countFields(reflect.TypeFor[GroupPrefix]())},
	} {
		if row.keys != row.fields {
			t.Errorf("%s has %d keys for %d fields", row.name, row.keys, row.fields)
		}
	}
}

// countFields counts the fields of a struct, and of the structs in it.
func countFields(s reflect.Type) int {
	n := 0
	for f := range s.Fields() {
		if f.Type.Kind() == reflect.Struct {
			n += countFields(f.Type)
		} else {
			n++
		}
	}
	return n
}

func TestEnvironment(t *testing.T) {
	for _, row := range []struct {
		name    string
		file    string
		environ []string
		want    []string // variables that must be reported
	}{
		{"other programs", two, []string{"PATH=/bin", "pointsman_listen=x", "POINTSMANX=1", "odd", "=C:=x"}, nil},
		{"service links", two, []string{
			"POINTSMAN_SERVICE_HOST=10.0.0.1", "POINTSMAN_SERVICE_PORT=80", "POINTSMAN_SERVICE_PORT_WS=80", "POINTSMAN_PORT=tcp://10.0.0.1:80",
			"POINTSMAN_PORT_80_TCP=tcp://10.0.0.1:80", "POINTSMAN_PORT_80_TCP_ADDR=10.0.0.1", "POINTSMAN_ADMIN_SERVICE_HOST=10.0.0.1",
			"POINTSMAN_ADMIN_PORT=tcp://10.0.0.1:9090", "POINTSMAN_ADMIN_PORT_9090_TCP_PROTO=tcp",
		}, nil},
		{"last one counts", two, []string{"POINTSMAN_LOG_LEVEL=x", "POINTSMAN_LOG_LEVEL=info"}, nil},
		{"unknown", two, []string{"POINTSMAN_LISTEN_PORT=80", "POINTSMAN_=x", "POINTSMAN_PORT=80"}, []string{"POINTSMAN_", "POINTSMAN_LISTEN_PORT", "POINTSMAN_PORT"}},
		{"lists", two, []string{"POINTSMAN_UPSTREAMS=a", "POINTSMAN_ROUTES=a"}, []string{"POINTSMAN_ROUTES", "POINTSMAN_UPSTREAMS"}},
		{"bad values", two, []string{"POINTSMAN_HEALTH_INTERVAL=5", "POINTSMAN_ADMIN="}, []string{"POINTSMAN_ADMIN", "POINTSMAN_HEALTH_INTERVAL"}},
		{"against the file", two + "health: {interval: 1s, recheck: 1s}", []string{"POINTSMAN_HEALTH_TIMEOUT=2s"}, []string{"POINTSMAN_HEALTH_TIMEOUT"}},
		{"against a default", two, []string{"POINTSMAN_ADMIN=:8080"}, []string{"POINTSMAN_ADMIN"}},
		{"against an upstream", two, []string{"POINTSMAN_LISTEN=10.0.0.1:9001"}, []string{"upstreams[0].url"}},
		{"long form of a short key", two, []string{"POINTSMAN_ADMIN_ADDRESS=:1"}, []string{"POINTSMAN_ADMIN_ADDRESS"}},
		{"replaces an address only", two + "admin: {address: \":8080\", token: short}", []string{"POINTSMAN_ADMIN=:1"}, []string{"admin.token"}},
		{"token twice", two + "admin: {token: 0123456789abcdef}", []string{"POINTSMAN_ADMIN_TOKEN_FILE=testdata/token"}, []string{"POINTSMAN_ADMIN_TOKEN_FILE"}},
		{"replaces a list of listeners", two + "listen: [{address: \":9090\"}]", []string{"POINTSMAN_LISTEN=:1"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := Parse("test.yaml", []byte(row.file), row.environ)
			var problems Errors
			if err != nil && !errors.As(err, &problems) {
				t.Fatalf("error is %T: %v", err, err)
			}
			var got []string
			for _, p := range problems {
				got = append(got, p.Key)
				if strings.HasPrefix(p.Key, EnvPrefix) != (p.Source == "environment") {
					t.Errorf("source %q of %q", p.Source, p.Key)
				}
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("reported %q, want %q\n%v", got, row.want, err)
			}
		})
	}
}

// TestVariableNearMiss names the variable that was probably meant.
func TestVariableNearMiss(t *testing.T) {
	problems := problemsOf(t, two, "POINTSMAN_HEALTH_INTERVALL=2s")
	want := `environment: variable "POINTSMAN_HEALTH_INTERVALL": is not a known variable; did you mean "POINTSMAN_HEALTH_INTERVAL"?`
	if got := problems.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
