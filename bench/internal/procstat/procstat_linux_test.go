package procstat

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	got, err := parseStat([]byte("42 (a (b) c) S 7 42 42 0 -1 4194560 1 2 3 4 150 25 9 9 20 0 3 0 100 0 0\n"))
	want := stat{pid: 42, parent: 7, user: 1500 * time.Millisecond, system: 250 * time.Millisecond}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(stat{})); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"", "42 S 7", "42 (x) S 7 42", "42 (x) S 7 42 42 0 -1 4194560 1 2 3 4 many 25"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat(%q) has no error", bad)
		}
	}
}

func TestParseRollup(t *testing.T) {
	got, err := parseRollup([]byte("00400000-7fff [rollup]\nRss:   1024 kB\nPss:    512 kB\nPss_Dirty: 1 kB\n"))
	if diff := cmp.Diff(Memory{RSS: 1 << 20, PSS: 512 << 10}, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if _, err := parseRollup([]byte("Rss: 1 kB\n")); err == nil {
		t.Error("a roll-up without Pss has no error")
	}
}

func TestOwnProcess(t *testing.T) {
	before, err := ReadCPU(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// Work until the kernel has charged at least one tick; an hour would mean that it never does.
	var used CPU
	for start, sum := time.Now(), 0; used.Total() < 2*tick; {
		for i := range 1 << 16 {
			sum += i ^ sum
		}
		now, err := ReadCPU(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		used = now.Sub(before)
		if time.Since(start) > time.Minute {
			t.Fatalf("a minute of work was charged as %v (%d)", used, sum)
		}
	}
	m, err := ReadMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if m.RSS < 1<<20 || m.PSS <= 0 || m.PSS > m.RSS {
		t.Errorf("memory %+v", m)
	}
	ballast := make([]byte, 64<<20)
	for i := range ballast {
		ballast[i] = byte(i)
	}
	peak, err := ReadPeak(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if peak < int64(len(ballast)) || ballast[300] != 300%256 {
		t.Errorf("peak %d with a ballast of %d", peak, len(ballast))
	}
	if _, err := ReadPeak(-1); err == nil {
		t.Error("the peak of no process has no error")
	}
}

// A child is part of the tree while it lives, and the tree of an ended process is an error.
func TestTree(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("no cat here: %v", err)
	}
	stats, err := tree(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var seen bool
	for _, s := range stats {
		seen = seen || s.pid == cmd.Process.Pid
	}
	if !seen || stats[0].pid != os.Getpid() {
		t.Errorf("tree %+v: want %d first and its child %d", stats, os.Getpid(), cmd.Process.Pid)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCPU(cmd.Process.Pid); err == nil {
		t.Error("the CPU time of an ended process has no error")
	}
}
