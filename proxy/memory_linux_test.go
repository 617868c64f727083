package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// TestShortOfMemory is fault 15: above the mark new sessions are refused and the
// others go on; it passes when there is enough again.
func TestShortOfMemory(t *testing.T) {
	t.Parallel()
	var l log
	s := newAccepter(t)
	r := start(t, Options{Logger: l.at(slog.LevelInfo), Limits: Limits{MemoryHigh: -1}}, member{address: s.address()})
	c, u := r.open(s)
	r.change(func(o *Options) { o.Limits.MemoryHigh = 1 << 10 })
	until(t, "it to be short of memory", r.memory.short.Load)
	for range 5 {
		r.ask(goodHead).refusedBy(t, 503)
	}
	echoes(t, c, u, 5)
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d handshakes", n)
	}
	r.change(func(o *Options) { o.Limits.MemoryHigh = 1 << 40 })
	until(t, "it to be over", func() bool { return !r.memory.short.Load() })
	c2, u2 := r.open(s)
	r.change(func(o *Options) { o.Limits.MemoryHigh = 1 << 10 })
	until(t, "it to be short of memory again", r.memory.short.Load)
	r.change(func(o *Options) { o.Limits.MemoryHigh = -1 })
	until(t, "there to be no limit", func() bool { return !r.memory.short.Load() })
	for _, p := range []*peer{c, u, c2, u2} {
		p.Close()
	}
	got := l.String()
	for what, want := range map[string]int{"short of memory": 2, "memory again": 1, "not limited any more": 1} {
		if strings.Count(got, what) != want {
			t.Errorf("%q is not %d times in the log:\n%s", what, want, got)
		}
	}
}

// TestMemoryGivenBack: what a rush has left behind does not keep new sessions out,
// although nobody allocates anything any more.
func TestMemoryGivenBack(t *testing.T) {
	r := start(t, Options{Limits: Limits{MemoryHigh: -1}}, member{address: newEchoer(t, "east").address()})
	debug.FreeOSMemory()
	const size = 256 << 20
	rush := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		rush[i] = 1
	}
	r.change(func(o *Options) { o.Limits.MemoryHigh = residentMemory() - size/4 })
	until(t, "it to be short of memory", r.memory.short.Load)
	r.ask(goodHead).refusedBy(t, 503)
	runtime.KeepAlive(rush)
	if !within(patience/2, func() bool { return !r.memory.short.Load() }) {
		t.Fatalf("still short of memory: %d MiB in use", residentMemory()>>20)
	}
	c := r.ask(goodHead)
	c.upgraded()
	c.Close()
}

// TestShortOfMemoryAtOnce: who comes when memory is short is not heard out first,
// and who has not said all does not get room for more.
func TestShortOfMemoryAtOnce(t *testing.T) {
	balanced(t)
	certificate, roots := testCertificate(t)
	s := newEchoer(t, "east")
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint("tls ", secure), func(t *testing.T) {
			r := prepare(t, Options{Limits: Limits{MemoryHigh: 1 << 40}}, member{address: s.address()})
			if secure {
				r.tls = &tls.Config{Certificates: []tls.Certificate{certificate}}
			}
			r.begin()
			config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
			slow := r.dial()
			var out io.Writer = slow
			if secure {
				c := tls.Client(slow.TCPConn, config)
				slow.in = bufio.NewReader(c)
				out = c
			}
			more := "X-More: " + strings.Repeat("a", firstHead) + "\r\n"
			if _, err := io.WriteString(out, "GET /chat HTTP/1.1\r\nX-First: 1\r\n"); err != nil {
				t.Fatal(err)
			}
			until(t, "it to be heard", func() bool { return r.counters.atGate.Load() == 1 })
			r.change(func(o *Options) { o.Limits.MemoryHigh = 1 << 10 })
			until(t, "it to be short of memory", r.memory.short.Load)
			_, _ = io.WriteString(out, more) // it may have been refused already
			slow.refusedBy(t, 503)
			late := r.dial() // says nothing
			if secure {
				late.gone()
			} else {
				late.refusedBy(t, 503)
			}
			until(t, "both to be counted", func() bool { return r.Refusals()["no_memory"] == 2 })
			slow.Close()
			late.Close()
		})
	}
}

// TestResidentMemory: what is used is seen.
func TestResidentMemory(t *testing.T) {
	const size = 64 << 20
	// What earlier tests have left may be given back meanwhile, so that once is not enough.
	for attempt := 1; ; attempt++ {
		debug.FreeOSMemory()
		before := residentMemory()
		if before < 1<<20 {
			t.Fatalf("%d bytes", before)
		}
		b := make([]byte, size)
		for i := 0; i < size; i += 4096 {
			b[i] = 1
		}
		now := residentMemory()
		runtime.KeepAlive(b)
		if now >= before+size/2 {
			return
		}
		if attempt == 20 {
			t.Fatalf("%d bytes, %d before %d more were used", now, before, size)
		}
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
				name = filepath.Join(top, name)
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := groupLimit(top); got != row.want {
				t.Errorf("%d, want %d", got, row.want)
			}
		})
	}
	if n := groupLimit("/"); n < 0 || n > 0 && n < 1<<20 {
		t.Errorf("this process: %d", n)
	}
}
