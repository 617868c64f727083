package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestDemoEndToEnd builds the real binary and runs the real demo with it.
func TestDemoEndToEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the binary and runs the whole demo")
	}
	exe := filepath.Join(t.TempDir(), "pointsman")
	if runtime.GOOS == "windows" {
		exe += ".exe"
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", exe, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	const clients = 50
	var stdout, stderr bytes.Buffer
	// A few visitors per second show where new sessions go, and let the counts of
	// clients and router meet on a busy machine.
	cmd := exec.CommandContext(t.Context(), exe, "demo", "--clients", "50", "--rate", "8", "--phase", "1s", "--timeout", "5m", "--json")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("demo: %v\n%s\n%s", err, &stdout, &stderr)
	}
	var r demoReport
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatalf("stdout is not the report: %v\n%s", err, &stdout)
	}
	checkDemoReport(t, r, clients)
	t.Logf("first session on the secondary after %.1f ms, everybody served after %.1f ms, primary back in use after %.0f ms",
		*r.FirstOnSecondaryMS, *r.AllServedMS, *r.FirstBackMS)
	t.Logf("way home: %d sessions in %.0f ms, %d at most in one second, rate %d, slowest echo %.1f ms",
		r.Drain.Moved, *r.Drain.FirstToLastMS, r.Drain.Most, r.Drain.Rate, r.Drain.SlowestEchoMS)
}
