package proxy

import (
	"bytes"
	"os"
	"path"
	"strconv"
	"strings"
)

// residentMemory is what the process holds in memory now, in bytes; 0 if nobody
// says (proc(5), statm).
func residentMemory() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(text)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// groupLimit is the memory limit of the control group, in bytes, 0 without one.
// The groups above it may be stricter, so the least counts (cgroups(7)). top is
// where the file system begins.
func groupLimit(top string) int64 {
	text, err := os.ReadFile(path.Join(top, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	least := int64(0)
	take := func(file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			return
		}
		n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err == nil && n > 0 && n < 1<<50 && (least == 0 || n < least) { // more is "no limit"
			least = n
		}
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case parts[0] == "0": // version 2
		case strings.Contains(","+parts[1]+",", ",memory,"):
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			take(path.Join(top, root, dir, file))
			if dir == "/" {
				break
			}
		}
	}
	return least
}
