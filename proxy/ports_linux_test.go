package proxy

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/pointsman/pointsman/health"
	"golang.org/x/sys/unix"
)

// TestFewPorts is fault 14: a router that has no local port left for one more
// connection turns its client away and does not blame the upstream. It takes a
// network of its own, in which there are few.
func TestFewPorts(t *testing.T) {
	const inChild = "POINTSMAN_TEST_FEW_PORTS"
	if os.Getenv(inChild) == "" {
		t.Setenv(inChild, "1")
		attributes := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		if uid := os.Getuid(); uid != 0 {
			attributes.Cloneflags |= syscall.CLONE_NEWUSER
			attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		}
		runChild(t, attributes)
		return
	}
	fewPorts(t, "40000 40019")
	balanced(t)
	east := newEchoer(t, "east")
	m := new(mood)
	judged := m.judged()
	judged.Fall = 1
	r := prepare(t, Options{Relay: quickClose}, member{address: east.address(), health: judged})
	ln, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.done)
		r.err = r.Run(ctx, ln)
	}()
	t.Cleanup(r.stop)

	// Clients need ports as well, but one may be used with each address once.
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	var open []*visitor
	refused := 0
	for i := 0; refused < 10; i++ {
		if i == 100 {
			t.Fatalf("%d sessions through 20 ports", len(open))
		}
		r.address = net.JoinHostPort([]string{"127.0.0.2", "127.0.0.3", "127.0.0.4"}[i%3], port)
		v, err := r.visit(goodHead)
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		a, err := v.head()
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		if a.StatusCode == 101 {
			open = append(open, v)
			continue
		}
		checkTurn(t, a, retryAfterMost)
		refused++
		v.Close()
	}
	if n := len(open); n < 5 || n > 20 {
		t.Errorf("%d sessions", n)
	}
	if s := r.upstream("east").Checker().Status(); !s.Healthy || s.Trips != 0 || s.State != health.Closed {
		t.Errorf("status %+v", s)
	}
	for n, v := range open {
		_, err := v.Write(masked(textFrame, "well?"))
		if err == nil {
			err = v.frame(textFrame)
		}
		if err != nil {
			t.Errorf("session %d: %v", n, err)
		}
		v.Close()
	}
}

// fewPorts brings up the network of a child and takes most of its ports away.
func fewPorts(t *testing.T, ports string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		t.Skipf("the network of a child cannot be set up here: %v", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte(ports), 0); err != nil {
		t.Skipf("the ports of a child cannot be limited here: %v", err)
	}
}
