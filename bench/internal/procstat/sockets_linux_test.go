package procstat

import (
	"net"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseSockets(t *testing.T) {
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:0400 01 00000000:00000000 00:00000000 00000000     0        0 101 1 0000000000000000 100 0 0 10 0
   2: 0100007F:0400 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0000000000000000 100 0 0 10 0
  13: 0100007F:1F90 0100007F:0401 04 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000 100 0 0 10 0
14444: 0100007F:1F90 0100007F:0402 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0000000000000000
  15: 0100007F:1F90 0100007F:0403 08 00000000:00000000 00:00000000 00000000     0        0 103 1 0000000000000000
`
	got, err := parseSockets([]byte(table), 8080)
	want := []Socket{{Peer: 1024, Owned: true}, {Peer: 1025}, {Peer: 1027, Owned: true}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{
		"   1: 0100007F:1F90 0100007F:0400 01",
		"   1: 0100007F:1F90 0100007F:0400 XX 00000000:00000000 00:00000000 00000000     0        0 101",
		"   1: 0100007F:1F90 0100007F:wxyz 01 00000000:00000000 00:00000000 00000000     0        0 101",
	} {
		if s, err := parseSockets([]byte("heading\n"+bad+"\n"), 8080); err == nil {
			t.Errorf("%q: %v without an error", bad, s)
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
	want := []Socket{{Peer: c.LocalAddr().(*net.TCPAddr).Port, Owned: true}}
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
		if err != nil || len(got) == 1 && !got[0].Owned {
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
