package config

import (
	"flag"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite golden files and docs/configuration.md")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(patient{m})
}

// patient runs the tests and gives the goroutines that are about to end the time
// for it. Those that stay are for goleak to report.
type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	// Each look takes a while when it finds some.
	for deadline := time.Now().Add(time.Minute); code == 0 && goleak.Find() != nil && time.Now().Before(deadline); {
	}
	return code
}

// golden compares text with a file, or writes the file with -update.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run go test -update and look at the change. Got:\n%s", path, got)
	}
}
