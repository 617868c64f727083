package config

import (
	"slices"
	"strings"
	"testing"
)

// needRestart are the keys whose change takes a new process.
var needRestart = []string{"listen", "admin", "admin.token", "reload.watch", "log.format", "log.access"}

// TestNeedsRestart changes one key after the other.
func TestNeedsRestart(t *testing.T) {
	was := base()
	if got := was.NeedsRestart(&was); len(got) > 0 {
		t.Errorf("without a change: %q", got)
	}
	for _, k := range Keys() {
		value, ok := samples[k.Env]
		if !ok || k.Path == "admin.address" { // It has the variable of admin.
			continue
		}
		file := two
		if b, ok := beside[k.Env]; ok {
			file = b.file
		}
		now, err := Parse("test.yaml", []byte(file), []string{k.Env + "=" + value})
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		switch {
		case k.Path == "admin.token_file":
			want = []string{"admin.token"} // It holds one, and there was none.
		case slices.Contains(needRestart, k.Path):
			want = []string{k.Path}
		}
		if got := now.NeedsRestart(&was); !slices.Equal(got, want) {
			t.Errorf("%s: %q need a restart, want %q", k.Path, got, want)
		}
		if says := strings.Contains(k.Doc, needsRestart); says != slices.Contains(needRestart, k.Path) {
			t.Errorf("%s: the reference says %q", k.Path, k.Doc)
		}
	}
}

// TestNeedsRestartOfAll reports all of them, in the order of the reference.
func TestNeedsRestartOfAll(t *testing.T) {
	was := base()
	var environ []string
	for _, name := range []string{"LISTEN", "ADMIN", "ADMIN_TOKEN", "RELOAD_WATCH", "LOG_FORMAT", "LOG_ACCESS"} {
		environ = append(environ, EnvPrefix+name+"="+samples[EnvPrefix+name])
	}
	now, err := Parse("test.yaml", []byte(two), environ)
	if err != nil {
		t.Fatal(err)
	}
	if got := now.NeedsRestart(&was); !slices.Equal(got, needRestart) {
		t.Errorf("%q need a restart, want %q", got, needRestart)
	}
}
