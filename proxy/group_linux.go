package proxy

import (
	"os"
	"path"
	"strconv"
	"strings"
)

// group is the control group with the strictest memory limit, of the process's own and
// those above it (cgroups(7)). What the kernel holds for sockets is charged to it: a
// plain session takes five times as much there as in the process.
type group struct {
	limit int64  // bytes, 0 without one
	dir   string // "" without one
	names *groupNames
}

// groupNames are what a version of control groups calls its files, and the fields of
// memory.stat that tell what the kernel could drop at once.
type groupNames struct {
	root, limit, usage string
	droppable          []string
}

var (
	groupV1 = groupNames{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", []string{"total_inactive_file", "total_active_file"}}
	groupV2 = groupNames{"/sys/fs/cgroup", "memory.max", "memory.current", []string{"inactive_file", "active_file", "slab_reclaimable"}}
)

// findGroup returns it. top is where the file system begins.
func findGroup(top string) (strictest group) {
	text, err := os.ReadFile(path.Join(top, "proc/self/cgroup"))
	if err != nil {
		return group{}
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		names := &groupV2
		if strings.Contains(","+parts[1]+",", ",memory,") {
			names = &groupV1
		} else if parts[0] != "0" {
			continue
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			here := path.Join(top, names.root, dir)
			n := readNumber(path.Join(here, names.limit))
			if n > 0 && n < 1<<50 && (strictest.limit == 0 || n < strictest.limit) { // more is "no limit"
				strictest = group{n, here, names}
			}
			if dir == "/" {
				break
			}
		}
	}
	return strictest
}

// used is what is charged to the group now and could not be dropped at once, in bytes;
// 0 if nobody says.
func (g group) used() int64 {
	if g.dir == "" {
		return 0
	}
	used := readNumber(path.Join(g.dir, g.names.usage))
	text, _ := os.ReadFile(path.Join(g.dir, "memory.stat")) // without it all of it counts
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, droppable := range g.names.droppable {
			if name == droppable {
				n, _ := strconv.ParseInt(value, 10, 64)
				used -= n
			}
		}
	}
	return max(used, 0)
}

// readNumber returns what a file says, 0 if it says no number.
func readNumber(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}
