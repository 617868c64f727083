package procstat

import (
	"encoding/binary"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// message is one message of netlink.
func message(kind uint16, body ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, make([]byte, unix.SizeofNlMsghdr-len(b))...)
	b = append(b, body...)
	return append(b, make([]byte, -len(b)&(unix.NLMSG_ALIGNTO-1))...)
}

// socket is what the kernel says of one.
func socket(inode uint32) []byte {
	var body [answerSize]byte
	binary.NativeEndian.PutUint32(body[inodeAt:], inode)
	return message(unix.SOCK_DIAG_BY_FAMILY, body[:]...)
}

func TestParseSockets(t *testing.T) {
	fault := -int32(unix.ENOENT)
	for _, row := range []struct {
		name string
		in   []byte
		want []Socket
		more bool
		err  bool
	}{
		{"several", slices.Concat(socket(100), socket(0)), []Socket{{Inode: 100}, {}}, true, false},
		{"the end", slices.Concat(socket(100), message(unix.NLMSG_DONE, 0, 0, 0, 0)), []Socket{{Inode: 100}}, false, false},
		{"an odd size", slices.Concat(message(unix.NLMSG_NOOP, 1), socket(0)), []Socket{{}}, true, false},
		{"an error", message(unix.NLMSG_ERROR, binary.NativeEndian.AppendUint32(nil, uint32(fault))...), nil, false, true},
		{"a short error", message(unix.NLMSG_ERROR), nil, false, true},
		{"half a head", socket(0)[:8], nil, false, true},
		{"half a socket", message(unix.SOCK_DIAG_BY_FAMILY, 1, 2, 3), nil, false, true},
		{"more than there is", socket(0)[:60], nil, false, true},
		{"less than a head", make([]byte, unix.SizeofNlMsghdr), nil, false, true},
	} {
		var got []Socket
		more, err := parseSockets(row.in, &got)
		if diff := cmp.Diff(row.want, got); diff != "" || more != row.more || (err != nil) != row.err {
			t.Errorf("%s: more %t, %v (-want +got):\n%s", row.name, more, err, diff)
		}
	}
}

// What the kernel says of a connection and of this process's files.
func TestSockets(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	before, err := Descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	port := ln.Addr().(*net.TCPAddr).Port
	var file unix.Stat_t
	if raw, err := s.(*net.TCPConn).SyscallConn(); err != nil {
		t.Fatal(err)
	} else if err := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &file) }); err != nil {
		t.Fatal(err)
	}
	want := []Socket{{Inode: uint32(file.Ino)}}
	got, err := Sockets(port)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if n, err := Descriptors(os.Getpid()); err != nil || n < before+2 {
		t.Errorf("%d descriptors, %d before, %v", n, before, err)
	}
	_ = s.Close()
	for deadline := time.Now().Add(time.Minute); ; {
		// The other side does not close: the kernel has something to do for it still.
		got, err := Sockets(port)
		if err != nil || len(got) == 1 && got[0].Inode == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, want one without an owner", got)
		}
	}
	if _, err := Descriptors(-1); err == nil {
		t.Error("the descriptors of no process have no error")
	}
}

func TestResetPeak(t *testing.T) {
	ballast := make([]byte, 64<<20)
	for i := range ballast {
		ballast[i] = 1
	}
	high, err := ReadPeak(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := ResetPeak(os.Getpid()); err != nil {
		t.Skipf("not allowed here: %v", err)
	}
	// What is in use now is still there; what was before is not counted any more.
	now, err := ReadPeak(os.Getpid())
	if err != nil || now > high+16<<20 || ballast[5] != 1 {
		t.Errorf("%d after %d, %v", now, high, err)
	}
	if err := ResetPeak(-1); err == nil {
		t.Error("no process, and no error")
	}
}
