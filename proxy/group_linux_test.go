package proxy

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// put writes a file of a system that begins at top.
func put(t testing.TB, top, name, text string) {
	t.Helper()
	name = filepath.Join(top, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	// At once: who reads it meanwhile shall not find it empty.
	if err := os.WriteFile(name+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// TestGroupLimit: the limit of the control group, as the files of different
// systems tell it.
func TestGroupLimit(t *testing.T) {
	const unlimited = "9223372036854771712"
	for name, row := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no groups":      {nil, 0},
		"nothing is set": {map[string]string{"proc/self/cgroup": "0::/\n"}, 0},
		"version 2": {map[string]string{
			"proc/self/cgroup": "0::/system.slice/pointsman.service\n",
			"sys/fs/cgroup/system.slice/pointsman.service/memory.max": "536870912\n",
			"sys/fs/cgroup/system.slice/memory.max":                   "max\n",
		}, 512 << 20},
		"version 2, seen from inside a container": {map[string]string{
			"proc/self/cgroup":         "0::/\n",
			"sys/fs/cgroup/memory.max": "268435456\n",
		}, 256 << 20},
		"version 2, a stricter group above": {map[string]string{
			"proc/self/cgroup":               "0::/a/b/c\n",
			"sys/fs/cgroup/a/b/c/memory.max": "300\n",
			"sys/fs/cgroup/a/b/memory.max":   "max\n",
			"sys/fs/cgroup/a/memory.max":     "200\n",
		}, 200},
		"version 2 without a limit": {map[string]string{
			"proc/self/cgroup":           "0::/a\n",
			"sys/fs/cgroup/a/memory.max": "max\n",
		}, 0},
		"version 1": {map[string]string{
			"proc/self/cgroup": "12:pids:/x\n5:memory:/docker/abc\n1:name=systemd:/x\n",
			"sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "1073741824\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":            unlimited + "\n",
		}, 1 << 30},
		"version 1, seen from inside a container": {map[string]string{
			"proc/self/cgroup":                           "5:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
		}, 1 << 30},
		"version 1, among others": {map[string]string{
			"proc/self/cgroup": "5:cpu,memory,cpuacct:/a:b\n",
			"sys/fs/cgroup/memory/a:b/memory.limit_in_bytes": "77\n",
		}, 77},
		"version 1, of another kind": {map[string]string{
			"proc/self/cgroup": "5:memorylike:/a\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "77\n",
		}, 0},
		"version 1 without a limit": {map[string]string{
			"proc/self/cgroup":                           "5:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": unlimited,
		}, 0},
		"both": {map[string]string{
			"proc/self/cgroup": "5:memory:/a\n0::/b\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "700\n",
			"sys/fs/cgroup/b/memory.max":                   "600\n",
		}, 600},
		"a group outside of what is seen": {map[string]string{
			"proc/self/cgroup":         "0::/../other\n",
			"sys/fs/cgroup/memory.max": "500\n",
		}, 500},
		"nonsense": {map[string]string{
			"proc/self/cgroup":           "\nmemory\n0:\n0::/a\n::::\n",
			"sys/fs/cgroup/a/memory.max": "-5\n",
			"sys/fs/cgroup/memory.max":   "much\n",
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			for name, text := range row.files {
				put(t, top, name, text)
			}
			if got := findGroup(top).limit; got != row.want {
				t.Errorf("%d, want %d", got, row.want)
			}
		})
	}
	if n := findGroup("/").limit; n < 0 || n > 0 && n < 1<<20 {
		t.Errorf("this process: %d", n)
	}
}

// TestGroupUsed: what is charged to the group with the strictest limit, without what the kernel could drop.
func TestGroupUsed(t *testing.T) {
	for name, row := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no group": {nil, 0},
		"version 2": {map[string]string{
			"proc/self/cgroup":                 "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max":     "max\n",
			"sys/fs/cgroup/a/b/memory.current": "1\n",
			"sys/fs/cgroup/a/memory.max":       "10000\n",
			"sys/fs/cgroup/a/memory.current":   "5000\n",
			"sys/fs/cgroup/a/memory.stat":      "anon 1000\nfile 1500\nkernel 2500\nsock 100\nshmem 300\ninactive_file 400\nactive_file 800\nslab_reclaimable 50\ninactive_anon 7\n",
		}, 3750},
		"version 1": {map[string]string{
			"proc/self/cgroup": "5:memory:/a\n",
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "10000\n",
			"sys/fs/cgroup/memory/a/memory.usage_in_bytes": "5000\n",
			"sys/fs/cgroup/memory/a/memory.stat":           "inactive_file 1\nactive_file 2\ntotal_inactive_file 400\ntotal_active_file 800\n",
		}, 3800},
		"without details": {map[string]string{
			"proc/self/cgroup":               "0::/a\n",
			"sys/fs/cgroup/a/memory.max":     "10000\n",
			"sys/fs/cgroup/a/memory.current": "5000\n",
		}, 5000},
		"nobody says": {map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "10000\n"}, 0},
		"read at two moments": {map[string]string{
			"proc/self/cgroup":               "0::/a\n",
			"sys/fs/cgroup/a/memory.max":     "10000\n",
			"sys/fs/cgroup/a/memory.current": "500\n",
			"sys/fs/cgroup/a/memory.stat":    "inactive_file 600\n",
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			for name, text := range row.files {
				put(t, top, name, text)
			}
			if got := findGroup(top).used(); got != row.want {
				t.Errorf("%d, want %d", got, row.want)
			}
		})
	}
	if n := findGroup("/").used(); n < 0 {
		t.Errorf("this process: %d", n)
	}
}

// TestGroupShortOfMemory: a group that is full keeps new sessions out although the process is small; most of it may be the kernel's.
func TestGroupShortOfMemory(t *testing.T) {
	t.Parallel()
	const limit = 64 << 30 // the process has less
	s := newAccepter(t)
	r := prepare(t, Options{}, member{address: s.address()})
	r.memory.top = t.TempDir()
	uses := func(n int64) { put(t, r.memory.top, "sys/fs/cgroup/a/memory.current", strconv.FormatInt(n, 10)+"\n") }
	put(t, r.memory.top, "proc/self/cgroup", "0::/a\n")
	put(t, r.memory.top, "sys/fs/cgroup/a/memory.max", strconv.Itoa(limit)+"\n")
	uses(limit / 2)
	r.begin()
	c, u := r.open(s)
	uses(limit / 100 * 91)
	until(t, "it to be short of memory", r.memory.isShort)
	r.ask(goodHead).refusedBy(t, 503)
	echoes(t, c, u, 5)
	uses(limit / 100 * 85) // above the low mark
	r.ask(goodHead).refusedBy(t, 503)
	uses(limit / 100 * 80)
	until(t, "it to be over", func() bool { return !r.memory.isShort() })
	c2, u2 := r.open(s)
	r.change(func(o *Options) { o.Limits.MemoryHigh = limit })
	uses(limit)
	c3, u3 := r.open(s) // what is configured is the process's own
	for _, p := range []*peer{c, u, c2, u2, c3, u3} {
		p.Close()
	}
}
