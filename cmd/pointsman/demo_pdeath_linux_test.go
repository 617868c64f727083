package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestChildrenDieWithAKilledDemo kills the demo in a way that runs nothing of
// its own, and looks for its children.
func TestChildrenDieWithAKilledDemo(t *testing.T) {
	opts := standInDemo(t, standInGood)
	demo := exec.CommandContext(t.Context(), opts.exe, standInDemoVerb)
	out, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "steady:") {
	}
	children := childrenOf(t, demo.Process.Pid)
	if len(children) != 3 {
		t.Errorf("the demo has the children %q, want 3", children)
	}
	if err := demo.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := demo.Wait(); err == nil {
		t.Error("the demo ended well before it was killed")
	}
	deadline := time.Now().Add(time.Minute)
	for _, pid := range children {
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("child %s outlived the demo", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// childrenOf lists the processes started by any thread of pid.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	var children []string
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			t.Skipf("this kernel does not list children: %v", err)
		}
		children = append(children, strings.Fields(string(b))...)
	}
	return children
}

// alive reports whether pid runs; a dead one that nobody has waited for does not.
func alive(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(after, "Z")
}
