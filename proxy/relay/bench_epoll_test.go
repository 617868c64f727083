//go:build linux && !portable

package relay

import (
	"bytes"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkScanning is the way of small messages through a session without the
// sockets: an upstream that takes nothing more.
func BenchmarkScanning(b *testing.B) {
	for name, o := range map[string]Options{"none": {}, "far": {Rate: Rate{Messages: 1 << 30, Bytes: 1 << 40}}} {
		b.Run(name, func(b *testing.B) {
			o.Loops = 1
			relay, err := New(o)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(relay.loops[0].closeFiles)
			s := newSession(relay, Pair{})
			s.loop = relay.loops[0]
			s.legs[upstream].set(broken)
			const messages = 64
			p := bytes.Repeat(masked(binaryFrame, payload(randomness(b), 125)), messages)
			b.ReportAllocs()
			for now := int64(0); b.Loop(); now++ {
				if s.meter != nil {
					s.meter.fill(s.meter.quotas, now)
				}
				s.data(client, p)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/messages, "ns/message")
		})
	}
}

// BenchmarkRest is what a loop costs to which something comes now and then: the
// processor time of the process for each event, when it waits with the runtime's
// poller, and when it waits by a system call.
func BenchmarkRest(b *testing.B) {
	for name, wait := range map[string]func(*resting) (int, error){
		"poller":      func(r *resting) (int, error) { return r.wait(r.events, 1000, 0) },
		"system_call": func(r *resting) (int, error) { return unix.EpollWait(r.epoll, r.events, 1000) },
	} {
		b.Run(name, func(b *testing.B) {
			r := newResting(b, 1)
			if name == "system_call" { // the poller would hear of each event, too
				r.listen(0)
			}
			var before, after unix.Rusage
			if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
				b.Fatal(err)
			}
			over := make(chan struct{})
			go func() {
				defer close(over)
				for range b.N {
					time.Sleep(20 * time.Millisecond)
					r.ring(0)
				}
			}()
			for range b.N {
				if n, err := wait(r); n != 1 || err != nil {
					b.Fatalf("%d events, %v", n, err)
				}
			}
			<-over
			if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
				b.Fatal(err)
			}
			used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(used)/float64(b.N)/1e3, "cpu-µs/event")
		})
	}
}
