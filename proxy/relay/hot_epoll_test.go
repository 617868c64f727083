//go:build linux && !portable

package relay

import (
	"io"
	"runtime"
	"testing"
	"time"
)

// mallocs is how often f allocates, the relay's goroutines included.
func mallocs(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.Mallocs - before.Mallocs
}

// joinForLong makes a session whose far ends have all the time of the test.
func (r *rig) joinForLong(t testing.TB) *link {
	t.Helper()
	l := r.join(t)
	_ = l.client.conn.SetDeadline(time.Time{})
	_ = l.upstream.conn.SetDeadline(time.Time{})
	return l
}

// testAllocations checks that trips round trips of a frame of the given size
// allocate no more than most times each, but for what the runtime does now and
// then. Far ends with TLS are made by hand: those allocate nothing.
func testAllocations(t *testing.T, o Options, over scheme, size, trips, most int) {
	r := prepare(t, o, listen(t), listen(t), over)
	r.secure = [2]secureFunc{byHand, byHand}
	r.run()
	l := r.joinForLong(t)
	there, back := masked(binaryFrame, payload(randomness(t), size)), unmasked(binaryFrame, payload(randomness(t), size))
	buffer := make([]byte, len(there))
	trip := func() {
		for _, d := range [...]struct {
			from, to *peer
			frame    []byte
		}{{l.client, l.upstream, there}, {l.upstream, l.client, back}} {
			if _, err := d.from.conn.Write(d.frame); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(d.to.conn, buffer[:len(d.frame)]); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 200 { // at first TLS makes shorter records
		trip()
	}
	if n := mallocs(func() {
		for range trips {
			trip()
		}
	}); n > uint64(trips*most+trips/50) {
		t.Errorf("%d allocations in %d round trips, %d in each are allowed", n, trips, most)
	}
	l.hangUp()
}

func TestRelayingAllocatesNothing(t *testing.T) {
	testAllocations(t, Options{}, plain, 125, 10_000, 0)
}

// With all time-outs at work the sweeps do not allocate either.
func TestSweepingAllocatesNothing(t *testing.T) {
	testAllocations(t, Options{IdleTimeout: time.Minute, PingInterval: time.Minute, WriteTimeout: 100 * time.Millisecond}, plain, 125, 10_000, 0)
}

func TestRelayingLargeMessagesAllocatesNothing(t *testing.T) {
	testAllocations(t, Options{}, plain, 60_000, 2000, 0)
}

// Chunks of stuck sockets come from the pool of the loop.
func TestBackPressureAllocatesNothing(t *testing.T) {
	r := startSmall(t, Options{Loops: 1})
	l := r.joinSmall(t)
	frame := unmasked(binaryFrame, payload(randomness(t), 60_000))
	buffer := make([]byte, 16<<10)
	written := make(chan error, 1)
	rounds := func(n int) {
		go func() {
			var err error
			for range n {
				if _, err = l.upstream.conn.Write(frame); err != nil {
					break
				}
			}
			written <- err
		}()
		for left := n * len(frame); left > 0; {
			n, err := l.client.conn.Read(buffer)
			if err != nil {
				t.Fatal(err)
			}
			left -= n
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
	}
	rounds(20)
	if n := mallocs(func() { rounds(200) }); n > 100 {
		t.Errorf("%d allocations in 200 messages through small sockets", n)
	}
	l.hangUp()
}
