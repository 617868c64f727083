//go:build linux && !portable

package relay

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resting is a rest with an epoll set of bells.
type resting struct {
	*rest
	t      testing.TB
	begun  time.Time
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
	r := &resting{t: t, begun: time.Now(), events: make([]unix.EpollEvent, eventBatch)}
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
	n, err := r.wait(r.events, due, time.Since(r.begun).Milliseconds())
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

// hears waits for an event, in however many waits.
func (r *resting) hears() int {
	r.t.Helper()
	for {
		if n := r.await(-1); n > 0 {
			return n
		}
	}
}

// A loop whose events come one after the other becomes busy, and one for which none
// come goes to rest.
func TestRestAndBusy(t *testing.T) {
	r := newResting(t, 1)
	for range 1000 { // a machine that is slow now and then makes a near event a far one
		if r.busy {
			break
		}
		r.ring(0)
		if n := r.hears(); n != 1 {
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
	if n := r.hears(); n != 1 {
		t.Fatalf("%d events, want 1", n)
	}
	if !within(patience, func() bool { return r.await(shortWait+1) == 0 && !r.busy }) { // it may be interrupted
		t.Fatal("busy, and nothing comes")
	}
}

// A turn with much work makes the loop busy, and so does work that is left.
func TestRestEndsWithWork(t *testing.T) {
	r := newResting(t, 1)
	for range manyPieces - 1 {
		r.did()
	}
	if r.busy {
		t.Error("busy with a little work")
	}
	r.await(1)
	for range manyPieces - 1 {
		r.did()
	}
	if r.busy {
		t.Error("busy with a little work in each of two turns")
	}
	r.did()
	if !r.busy || r.told {
		t.Errorf("busy %t, told %t after %d pieces of work", r.busy, r.told, manyPieces)
	}
	for range longTurn {
		r.did()
	}
	if !r.told {
		t.Error("the monitor has not been told of a long turn")
	}
	r.retire()
	if n, err := r.poll(r.events, 1); n != 0 || err != nil || !r.busy || r.told {
		t.Errorf("busy %t, told %t with work that is left; %d events, %v", r.busy, r.told, n, err)
	}
	if n, err := r.poll(r.events, 2+longBusy); n != 0 || err != nil || !r.told {
		t.Errorf("told %t when the loop was busy for long; %d events, %v", r.told, n, err)
	}
}

// Far events keep nobody awake.
func TestRestWithFarEvents(t *testing.T) {
	r := newResting(t, 1)
	far := 0
	for range 3 * nearWaits {
		go func() {
			time.Sleep(5 * nearWait)
			r.ring(0)
		}()
		begun := time.Now()
		if n := r.hears(); n != 1 {
			t.Fatalf("%d events, want 1", n)
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
		const due = 10
		begun := time.Now()
		for {
			if busy {
				r.rouse()
			}
			if r.await(due) != 0 {
				t.Error("an event that nobody has made")
			}
			if !r.busy { // else the wait was interrupted
				break
			}
		}
		if took := time.Since(begun); took < due*time.Millisecond {
			t.Errorf("busy %t: due after %v", busy, took)
		}
	}
	// What was due once is not any more.
	go func() {
		time.Sleep(20 * time.Millisecond)
		r.ring(0)
	}()
	if n := r.hears(); n != 1 {
		t.Errorf("%d events without a time, want 1", n)
	}
	// What is there is seen, though it is time for something else.
	r.ring(0)
	if n := r.await(0); n != 1 {
		t.Errorf("%d events at once, want 1", n)
	}
	r.retire()
	r.ring(0)
	if n, err := r.doze(r.events, 0); n != 1 || err != nil { // the time has passed when the wait begins
		t.Errorf("%d events too late, %v, want 1", n, err)
	}
}

// No event is lost, whether it comes at rest, while the loop is busy, or just when
// it becomes one or the other.
func TestRestLosesNoEvent(t *testing.T) {
	const bells, rings = 3, 3000
	r := newResting(t, bells)
	var rung atomic.Int64
	var ringers sync.WaitGroup
	for bell := range bells {
		ringers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(bell)))
			for range rings {
				switch random.IntN(4) {
				case 0: // about when a busy loop goes to rest
					time.Sleep(shortWait*time.Millisecond - 50*time.Microsecond + time.Duration(random.IntN(int(100*time.Microsecond))))
				case 1:
					runtime.Gosched()
				}
				r.ring(bell)
				rung.Add(1)
			}
		})
	}
	defer ringers.Wait()
	random := rand.New(rand.NewPCG(2, 3))
	heard, busy, changes := int64(0), false, 0
	for heard < bells*rings {
		begun := time.Now()
		n := r.await(int(patience.Milliseconds()))
		if n == 0 && time.Since(begun) > patience/2 {
			t.Fatalf("heard %d of %d rings", heard, rung.Load())
		}
		for i := range r.events[:n] {
			var count [8]byte
			if _, err := unix.Read(int(r.events[i].Fd), count[:]); err == nil {
				heard += int64(binary.NativeEndian.Uint64(count[:]))
			}
		}
		switch random.IntN(8) {
		case 0:
			r.rouse()
		case 1:
			if r.busy {
				r.retire()
			}
		}
		if r.busy != busy {
			busy = r.busy
			changes++
		}
	}
	if changes < 10 {
		t.Errorf("only %d changes between rest and busy", changes)
	}
}

// While a loop is busy, others who wait for the network do not wait for its end,
// though there is one processor only, and the monitor sleeps.
func TestBusyLoopLeavesRoom(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	r := newResting(t, 1)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	raw, err := out.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var told atomic.Bool
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = in.Read(make([]byte, 1))
		told.Store(true)
	}()
	// The kernel ends the rest. A timer of the runtime would wake the monitor.
	alarm, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(alarm)
	if err := rawWatch(r.epoll, unix.EPOLL_CTL_ADD, int32(alarm), interest); err != nil {
		t.Fatal(err)
	}
	if err := unix.TimerfdSettime(alarm, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(100 * time.Millisecond))}, nil); err != nil {
		t.Fatal(err)
	}
	r.hears()
	r.rouse()
	if err := raw.Control(func(fd uintptr) { // the scheduler is not told: that would wake the monitor
		_, _, _ = unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&[1]byte{1})), 1)
	}); err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); !told.Load(); {
		if time.Since(begun) > patience/2 { // the monitor wakes up by itself once in a minute
			t.Fatal("a goroutine whose byte is there waits for a busy loop without end")
		}
		r.ring(0) // the loop never goes to rest
		r.await(-1)
	}
	<-over
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
	const loops, looks = 8, 20
	g := start(t, Options{Loops: loops})
	if _, err := g.relay.Survey(context.Background(), func(any) bool { return true }); err != nil { // all of them have begun
		t.Fatal(err)
	}
	low := 0
	if !within(patience, func() bool {
		if low++; count() > before {
			low = 0
		}
		return low == looks
	}) {
		t.Errorf("%d goroutines run or are in a system call, %d before there were %d loops", count(), before, loops)
	}
}
