package epoll

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pair(t *testing.T) (near, far int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds[0], fds[1]
}

func TestReadWrite(t *testing.T) {
	p, err := New(4)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	near, far := pair(t)
	defer func() { _ = unix.Close(near) }()
	if err := p.Add(near, 7); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Wait(time.Minute); err != nil || len(got) != 1 || got[0].Slot != 7 || got[0].Flags&Writable == 0 {
		t.Errorf("fresh socket: %+v, %v; want slot 7 writable", got, err)
	}
	var b [16]byte
	if _, errno := Read(near, b[:]); errno != unix.EAGAIN {
		t.Errorf("read of an empty socket: %v, want EAGAIN", errno)
	}
	if n, errno := Write(far, []byte("points")); n != 6 || errno != 0 {
		t.Errorf("write: %d, %v", n, errno)
	}
	if got, err := p.Wait(time.Minute); err != nil || len(got) != 1 || got[0].Flags&Readable == 0 {
		t.Errorf("after a write: %+v, %v; want readable", got, err)
	}
	if n, errno := Read(near, b[:]); string(b[:n]) != "points" || errno != 0 {
		t.Errorf("read %q, %v", b[:n], errno)
	}
	_ = unix.Close(far)
	if got, err := p.Wait(time.Minute); err != nil || len(got) != 1 || got[0].Flags&Ended == 0 {
		t.Errorf("after the peer's end: %+v, %v; want ended", got, err)
	}
	if n, errno := Read(near, b[:]); n != 0 || errno != 0 {
		t.Errorf("read at the end: %d, %v", n, errno)
	}
}

// Each Wake ends one Wait, however often it has been called before.
func TestWake(t *testing.T) {
	p, err := New(4)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 1000 {
		var wg sync.WaitGroup
		wg.Go(p.Wake)
		if got, err := p.Wait(time.Hour); err != nil || len(got) != 0 {
			t.Fatalf("woken: %+v, %v", got, err)
		}
		wg.Wait()
	}
	if got, err := p.Wait(0); err != nil || len(got) != 0 {
		t.Errorf("nothing ready: %+v, %v", got, err)
	}
}
