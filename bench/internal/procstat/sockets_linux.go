package procstat

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Socket is one end of a TCP connection.
type Socket struct {
	// Inode is the number of the file that a process has it as, and no other socket's. It is 0 if none has: then it is only the kernel that
	// still has something to do for it.
	Inode uint32
}

// Sizes in bytes, and places in messages, of sock_diag(7). Whatever is not a port there is in the byte order of this machine.
const (
	requestSize = unix.SizeofNlMsghdr + 56
	answerSize  = 72
	inodeAt     = 68
)

// States of a TCP socket, as the kernel numbers them, that are no connection, or none any more.
const (
	synReceived    = 0x03
	timeWait       = 0x06
	closed         = 0x07
	listening      = 0x0A
	newSynReceived = 0x0C
)

// connected is the set of all others.
const connected = ^uint32(1<<synReceived | 1<<timeWait | 1<<closed | 1<<listening | 1<<newSynReceived)

// Sockets lists the connections over IPv4 whose end here has that port. Those that are not established yet, and those in TIME_WAIT, are not
// among them. The kernel is asked for these alone: to have it print the table of all sockets, in /proc/net/tcp, takes it so long that
// whoever measures latency beside it measures that.
func Sockets(port int) ([]Socket, error) {
	found, err := askSockets(port)
	if err != nil {
		return nil, fmt.Errorf("list connections of port %d: %w", port, err)
	}
	return found, nil
}

func askSockets(port int) ([]Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer func() { _ = unix.Close(fd) }()
	var request [requestSize]byte
	native := binary.NativeEndian
	native.PutUint32(request[0:], requestSize)
	native.PutUint16(request[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := request[unix.SizeofNlMsghdr:]
	body[0], body[1] = unix.AF_INET, unix.IPPROTO_TCP
	native.PutUint32(body[4:], connected)
	binary.BigEndian.PutUint16(body[8:], uint16(port))
	if err := unix.Sendto(fd, request[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, os.NewSyscallError("sendto", err)
	}
	var found []Socket
	for b := make([]byte, 64<<10); ; {
		n, _, err := unix.Recvfrom(fd, b, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, os.NewSyscallError("recvfrom", err)
		}
		more, err := parseSockets(b[:n], &found)
		if err != nil || !more {
			return found, err
		}
	}
}

// parseSockets appends the sockets of one datagram of an answer, and reports whether another follows.
func parseSockets(b []byte, found *[]Socket) (more bool, err error) {
	native := binary.NativeEndian
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return false, fmt.Errorf("message of %d bytes", len(b))
		}
		size, kind := int(native.Uint32(b)), native.Uint16(b[4:])
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false, fmt.Errorf("message of %d bytes in %d", size, len(b))
		}
		body := b[unix.SizeofNlMsghdr:size]
		switch kind {
		case unix.NLMSG_DONE:
			return false, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return false, fmt.Errorf("error of %d bytes", len(body))
			}
			return false, unix.Errno(-int32(native.Uint32(body)))
		case unix.SOCK_DIAG_BY_FAMILY:
			if len(body) < answerSize {
				return false, fmt.Errorf("socket of %d bytes", len(body))
			}
			*found = append(*found, Socket{Inode: native.Uint32(body[inodeAt:])})
		}
		b = b[min((size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
	}
	return true, nil
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
