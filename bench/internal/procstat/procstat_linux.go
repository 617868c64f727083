package procstat

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ is 100 on every architecture that Go supports.
const tick = time.Second / 100

// CPU is the processor time that a process tree has used since its processes started. The kernel reports it in steps of
// 10 ms per process.
type CPU struct {
	User   time.Duration
	System time.Duration
}

// Total is user and system time together.
func (c CPU) Total() time.Duration { return c.User + c.System }

// Sub is the time used between before and c.
func (c CPU) Sub(before CPU) CPU {
	return CPU{User: c.User - before.User, System: c.System - before.System}
}

// Memory is the resident memory of a process tree in bytes.
type Memory struct {
	// RSS is the sum over the processes; pages that they share are counted once per process.
	RSS int64
	// PSS counts a page shared by n processes as 1/n in each of them.
	PSS int64
}

// ReadCPU adds up the processor time of the process and its descendants. The error names the process that could not be
// read.
func ReadCPU(pid int) (CPU, error) {
	stats, err := tree(pid)
	if err != nil {
		return CPU{}, err
	}
	var sum CPU
	for _, s := range stats {
		sum.User += s.user
		sum.System += s.system
	}
	return sum, nil
}

// ReadMemory adds up the resident memory of the process and its descendants. Reading another user's processes needs
// the right to trace them.
func ReadMemory(pid int) (Memory, error) {
	stats, err := tree(pid)
	if err != nil {
		return Memory{}, err
	}
	var sum Memory
	for _, s := range stats {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", s.pid))
		if err != nil {
			return Memory{}, fmt.Errorf("read memory of process %d: %w", s.pid, err)
		}
		m, err := parseRollup(b)
		if err != nil {
			return Memory{}, fmt.Errorf("read memory of process %d: %w", s.pid, err)
		}
		sum.RSS += m.RSS
		sum.PSS += m.PSS
	}
	return sum, nil
}

// ReadPeak is the largest resident memory in bytes that the process and its descendants have ever had, each at its own time, added up.
func ReadPeak(pid int) (int64, error) {
	stats, err := tree(pid)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, s := range stats {
		peak, err := readPeak(s.pid)
		if err != nil {
			return 0, fmt.Errorf("read peak memory of process %d: %w", s.pid, err)
		}
		sum += peak
	}
	return sum, nil
}

func readPeak(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) == 3 && string(f[0]) == "VmHWM:" && string(f[2]) == "kB" {
			kb, err := strconv.ParseInt(string(f[1]), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("line %q: %w", line, err)
			}
			return kb << 10, nil
		}
	}
	return 0, errors.New("no VmHWM line")
}

// ResetPeak makes ReadPeak begin anew with what the processes have now.
func ResetPeak(pid int) error {
	stats, err := tree(pid)
	if err != nil {
		return err
	}
	for _, s := range stats {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.pid), []byte("5"), 0); err != nil {
			return fmt.Errorf("reset peak memory of process %d: %w", s.pid, err)
		}
	}
	return nil
}

type stat struct {
	pid, parent  int
	user, system time.Duration
}

// tree returns the statistics of root and of all its descendants, root first.
func tree(root int) ([]stat, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	children := make(map[int][]stat)
	var found []stat
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // ended since the directory was listed
		}
		if err != nil {
			return nil, fmt.Errorf("read process %d: %w", pid, err)
		}
		s, err := parseStat(b)
		if err != nil {
			return nil, fmt.Errorf("read process %d: %w", pid, err)
		}
		children[s.parent] = append(children[s.parent], s)
		if s.pid == root {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("process %d has ended", root)
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found, nil
}

// parseStat reads the fields of proc_pid_stat(5) that matter here. The command name stands in parentheses and may
// itself hold spaces and parentheses, so the fields are counted from the last closing one.
func parseStat(b []byte) (stat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return stat{}, fmt.Errorf("no command name in %q", b)
	}
	// Field 3, the state, is rest[0]; the parent is field 4, user time 14, system time 15.
	rest := bytes.Fields(b[end+1:])
	if len(rest) < 13 {
		return stat{}, fmt.Errorf("%d fields after the command name in %q", len(rest), b)
	}
	var n [4]int64
	for i, field := range [...][]byte{bytes.TrimSpace(b[:open]), rest[1], rest[11], rest[12]} {
		v, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("field %q: %w", field, err)
		}
		n[i] = v
	}
	return stat{pid: int(n[0]), parent: int(n[1]), user: time.Duration(n[2]) * tick, system: time.Duration(n[3]) * tick}, nil
}

// parseRollup reads the Rss and Pss lines of proc_pid_smaps(5).
func parseRollup(b []byte) (Memory, error) {
	var m Memory
	var lines int
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) != 3 || string(f[2]) != "kB" {
			continue
		}
		var to *int64
		switch string(f[0]) {
		case "Rss:":
			to = &m.RSS
		case "Pss:":
			to = &m.PSS
		default:
			continue
		}
		kb, err := strconv.ParseInt(string(f[1]), 10, 64)
		if err != nil {
			return Memory{}, fmt.Errorf("line %q: %w", line, err)
		}
		*to = kb << 10
		lines++
	}
	if lines != 2 {
		return Memory{}, fmt.Errorf("no Rss and Pss lines")
	}
	return m, nil
}
