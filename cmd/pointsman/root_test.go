package main

import (
	"bytes"
	"context"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// try runs one command line. Its context has ended already, so that a verb that
// serves ends at once.
func try(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, err bytes.Buffer
	code = run(ctx, args, &out, &err)
	return code, out.String(), err.String()
}

func TestExitCodes(t *testing.T) {
	tests := map[string]struct {
		args []string
		code int
		says string // on stderr
	}{
		"no verb":             {nil, exitUsage, "pointsman: no command given\nRun 'pointsman --help' for usage.\n"},
		"unknown verb":        {[]string{"uncouple"}, exitUsage, "pointsman: unknown command \"uncouple\"\n"},
		"nearly a verb":       {[]string{"derail"}, exitUsage, "did you mean drain?"},
		"misspelt verb":       {[]string{"upstraem"}, exitUsage, "did you mean upstream?"},
		"unknown flag":        {[]string{"version", "--yaml"}, exitUsage, "pointsman: unknown flag: --yaml\nRun 'pointsman version --help' for usage.\n"},
		"unknown root flag":   {[]string{"--yaml"}, exitUsage, "unknown flag: --yaml"},
		"argument too many":   {[]string{"version", "now"}, exitUsage, "now"},
		"bad flag value":      {[]string{"demo", "--clients", "many"}, exitUsage, "many"},
		"no clients":          {[]string{"demo", "--clients", "0"}, exitUsage, "--clients 0"},
		"no visitors":         {[]string{"demo", "--rate", "0"}, exitUsage, "--rate 0"},
		"negative phase":      {[]string{"demo", "--phase", "-1s"}, exitUsage, "--phase -1s"},
		"no time":             {[]string{"demo", "--timeout", "0s"}, exitUsage, "--timeout 0s"},
		"unsupported mode":    {[]string{"upstream", "--mode", "mqtt"}, exitUsage, `--mode "mqtt" is not supported; supported: echo, webpubsub, signalr`},
		"address, no port":    {[]string{"upstream", "--listen", "localhost"}, exitUsage, "missing port"},
		"address of others":   {[]string{"upstream", "--listen", "192.0.2.1:1"}, exitFailed, "pointsman: emulator listen: listen tcp 192.0.2.1:1"},
		"upstream ends":       {[]string{"upstream", "--listen", "127.0.0.1:0"}, exitOK, ""},
		"version":             {[]string{"version"}, exitOK, ""},
		"help":                {[]string{"--help"}, exitOK, ""},
		"help of a verb":      {[]string{"help", "demo"}, exitOK, ""},
		"version of the root": {[]string{"--version"}, exitOK, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := try(t, tt.args...)
			if code != tt.code || !strings.Contains(stderr, tt.says) {
				t.Errorf("exit code %d, stderr %q, want %d and %q", code, stderr, tt.code, tt.says)
			}
			if n := strings.Count(stderr, "pointsman: "); code != exitOK && n != 1 {
				t.Errorf("the error is printed %d times:\n%s", n, stderr)
			}
			if (code == exitOK) != (stdout != "") {
				t.Errorf("exit code %d with stdout %q", code, stdout)
			}
		})
	}
}

func TestHelpDocumentsExitCodes(t *testing.T) {
	_, stdout, _ := try(t, "--help")
	for _, want := range []string{"Exit codes: 0 it worked; 1 the operation failed", "2 wrong usage", "pointsman demo", "upstream", "version",
		"To see and steer a running router:", "pointsman status --watch", "failover", "POINTSMAN_ADMIN"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("help does not say %q:\n%s", want, stdout)
		}
	}
}

func TestEveryVerbHasAnExample(t *testing.T) {
	for _, verb := range newRootCommand().Commands() {
		if verb.Example == "" || verb.Short == "" || verb.RunE == nil {
			t.Errorf("%s: needs an example, a short help and RunE", verb.Name())
		}
	}
}

func TestUpstreamPrintsAddresses(t *testing.T) {
	_, stdout, _ := try(t, "upstream", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 2 ||
		!strings.HasPrefix(lines[0], "pointsman upstream: listening on ws://127.0.0.1:") ||
		!strings.HasPrefix(lines[1], "pointsman upstream: control on http://127.0.0.1:") {
		t.Errorf("stdout %q", stdout)
	}
}

func TestVersion(t *testing.T) {
	_, stdout, _ := try(t, "version", "--json")
	var got build
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got != currentBuild() || got.OS != runtime.GOOS || got.Version == "" {
		t.Errorf("version --json: %+v", got)
	}
}

func TestBuildString(t *testing.T) {
	platform := " (" + runtime.Version() + ", " + runtime.GOOS + "/" + runtime.GOARCH
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef0123"}, {Key: "vcs.modified", Value: "true"}}
	tests := []struct {
		stamped string
		info    debug.BuildInfo
		want    string
	}{
		{"", debug.BuildInfo{}, "pointsman devel" + platform + ")"},
		{"", debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "pointsman devel" + platform + ")"},
		{"", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "pointsman v1.2.3" + platform + ")"},
		{"v2.0.0", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: vcs},
			"pointsman v2.0.0" + platform + ", commit 0123456789ab with changes)"},
	}
	for _, tt := range tests {
		if got := newBuild(tt.stamped, &tt.info).String(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}
