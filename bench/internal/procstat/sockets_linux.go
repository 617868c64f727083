package procstat

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// States of a TCP socket, as /proc/net/tcp numbers them, that are no connection, or none any more.
const (
	synReceived = 0x03
	timeWait    = 0x06
	listening   = 0x0A
)

// Socket is one end of a TCP connection.
type Socket struct {
	// Peer is the port of the other end.
	Peer int
	// Owned is whether a process has it. If not, it is only the kernel that still has something to do for it.
	Owned bool
}

// Sockets lists the connections over IPv4 whose end here has that port. Those that are not established yet, and those in TIME_WAIT, are not
// among them.
func Sockets(port int) ([]Socket, error) {
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return nil, fmt.Errorf("list connections of port %d: %w", port, err)
	}
	found, err := parseSockets(b, port)
	if err != nil {
		return nil, fmt.Errorf("list connections of port %d: %w", port, err)
	}
	return found, nil
}

// parseSockets reads the table of proc_net_tcp(5): number, local address, remote address, state, queues, timer, retransmissions, user,
// timeout, inode.
func parseSockets(b []byte, port int) ([]Socket, error) {
	local := fmt.Appendf(nil, ":%04X", port)
	var found []Socket
	_, rows, _ := bytes.Cut(b, []byte("\n")) // the first one is the heading
	for row := range bytes.Lines(rows) {
		at := bytes.IndexByte(row, ':') + 1 // behind the number
		if at == 0 || len(row) < at+14 || !bytes.Equal(row[at+9:at+14], local) {
			continue // most of them, so this is cheap
		}
		f := bytes.Fields(row)
		if len(f) < 10 {
			return nil, fmt.Errorf("%d fields in %q", len(f), row)
		}
		state, err := strconv.ParseUint(string(f[3]), 16, 8)
		if err != nil {
			return nil, fmt.Errorf("state %q: %w", f[3], err)
		}
		if state == listening || state == synReceived || state == timeWait {
			continue
		}
		_, remote, _ := bytes.Cut(f[2], []byte(":"))
		peer, err := strconv.ParseUint(string(remote), 16, 16)
		if err != nil {
			return nil, fmt.Errorf("remote port %q: %w", remote, err)
		}
		found = append(found, Socket{Peer: int(peer), Owned: string(f[9]) != "0"})
	}
	return found, nil
}

// Descriptors is how many files the process has open.
func Descriptors(pid int) (int, error) {
	d, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return 0, fmt.Errorf("count descriptors of process %d: %w", pid, err)
	}
	defer func() { _ = d.Close() }()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return 0, fmt.Errorf("count descriptors of process %d: %w", pid, err)
	}
	return len(names), nil
}

// ResetPeak makes ReadPeak begin anew with what the process has now.
func ResetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset peak memory of process %d: %w", pid, err)
	}
	return nil
}
