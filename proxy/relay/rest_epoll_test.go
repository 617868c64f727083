//go:build linux && !portable

package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resting is a rest with an epoll set of bells.
type resting struct {
	*rest
	t      testing.TB
	bells  []int
	events []unix.EpollEvent
}

func newResting(t testing.TB, bells int) *resting {
	t.Helper()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(epoll) })
	r := &resting{t: t, events: make([]unix.EpollEvent, eventBatch)}
	if r.rest, err = newRest(epoll); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	for range bells {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := rawWatch(epoll, unix.EPOLL_CTL_ADD, int32(fd), interest); err != nil {
			t.Fatal(err)
		}
		r.bells = append(r.bells, fd)
	}
	return r
}

// ring makes an edge of a bell. Anybody may call it.
func (r *resting) ring(bell int) {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	// The scheduler is not told, or its monitor would wake up.
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(r.bells[bell]), uintptr(unsafe.Pointer(&one)), 8)
}

// await waits, and reports how many events came.
func (r *resting) await(due int) int {
	r.t.Helper()
	n, err := r.wait(r.events, due)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// A loop whose events come one after the other becomes busy, and one for which none
// come goes to rest.
func TestRestAndBusy(t *testing.T) {
	r := newResting(t, manyEvents)
	for range 1000 { // a machine that is slow now and then makes a near event a far one
		if r.busy {
			break
		}
		r.ring(0)
		if n := r.await(-1); n != 1 {
			t.Fatalf("%d events, want 1", n)
		}
	}
	if !r.busy {
		t.Fatal("not busy with an event in each wait")
	}
	r.ring(0)
	if n, errno := rawPoll(r.gate, make([]unix.EpollEvent, 1), 0); n != 0 || errno != 0 {
		t.Errorf("the runtime's poller hears of the events of a busy loop, too; %v", errno)
	}
	within(patience, func() bool { return r.await(shortWait+1) == 0 && !r.busy }) // it may have been interrupted
	if r.busy {
		t.Fatal("busy, and nothing comes")
	}
	for bell := range r.bells {
		r.ring(bell)
	}
	if n := r.await(-1); n != manyEvents || !r.busy {
		t.Errorf("busy %t with %d events at once", r.busy, n)
	}
	if err := r.retire(); err != nil {
		t.Fatal(err)
	}
	if n, err := r.poll(r.events); n != 0 || err != nil || !r.busy {
		t.Errorf("busy %t with work that is left; %d events, %v", r.busy, n, err)
	}
}

// Far events keep nobody awake.
func TestRestWithFarEvents(t *testing.T) {
	r := newResting(t, 1)
	far := 0
	for i := range 3 * nearWaits {
		go func() {
			time.Sleep(5 * nearWait)
			r.ring(0)
		}()
		begun := time.Now()
		if n := r.await(-1); n != 1 {
			t.Fatalf("wait %d: %d events, want 1", i, n)
		}
		if time.Since(begun) >= nearWait {
			far++
		}
	}
	if far > 2*nearWaits && r.busy {
		t.Errorf("busy with %d far events", far)
	}
}

func TestRestEndsWhenDue(t *testing.T) {
	r := newResting(t, 1)
	for _, busy := range []bool{false, true, false} {
		if busy {
			if err := r.rouse(); err != nil {
				t.Fatal(err)
			}
		}
		const due = 10
		begun := time.Now()
		for r.await(due) != 0 {
			t.Error("an event that nobody has made")
		}
		if took := time.Since(begun); took < shortWait*time.Millisecond || !busy && took < due*time.Millisecond {
			t.Errorf("busy %t: due after %v", busy, took)
		}
		if n := r.await(0); n != 0 {
			t.Errorf("busy %t: %d events at once", busy, n)
		}
	}
	// What was due once is not any more.
	go func() {
		time.Sleep(20 * time.Millisecond)
		r.ring(0)
	}()
	if n := r.await(-1); n != 1 {
		t.Errorf("%d events without a time, want 1", n)
	}
}

// No event is lost, whether it comes at rest, while the loop is busy, or just when
// it becomes one or the other. One that is lost would be waited for without end.
func TestRestLosesNoEvent(t *testing.T) {
	r := newResting(t, 1)
	heard, over := make(chan struct{}, 1), make(chan struct{})
	defer func() { <-over }()
	go func() {
		defer close(over)
		random := rand.New(rand.NewPCG(1, 2))
		for range 5000 {
			switch random.IntN(8) {
			case 0:
				time.Sleep(time.Duration(random.IntN(int(2 * shortWait * time.Millisecond))))
			case 1:
				time.Sleep(time.Duration(random.IntN(int(nearWait))))
			case 2:
				runtime.Gosched()
			}
			r.ring(0)
			<-heard
		}
	}()
	busy, changes := false, 0
	for range 5000 {
		for r.await(-1) == 0 { // interrupted
		}
		if r.busy != busy {
			busy = r.busy
			changes++
		}
		heard <- struct{}{}
	}
	if changes < 10 {
		t.Errorf("only %d changes between rest and busy", changes)
	}
}

// Loops at rest are in no system call and keep no processor of the scheduler. Not
// parallel: it counts what the process does.
func TestRestKeepsNothing(t *testing.T) {
	sample := []metrics.Sample{{Name: "/sched/goroutines/not-in-go:goroutines"}, {Name: "/sched/goroutines/running:goroutines"}}
	count := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64() + sample[1].Value.Uint64()
	}
	before := count()
	const loops = 8
	g := start(t, Options{Loops: loops})
	l := g.join(t)
	l.hangUp() // by now all of them have begun
	if !within(patience, func() bool { return count() <= before }) {
		t.Errorf("%d goroutines run or are in a system call, %d before there were %d loops", count(), before, loops)
	}
}
