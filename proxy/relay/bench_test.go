package relay

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"
)

// benchmarkEcho sends messages of size bytes around sessions sessions, one in
// each at a time: client, relay, upstream, relay, client. One operation is one
// round trip.
func benchmarkEcho(b *testing.B, o Options, over scheme, sessions, size int) {
	r := start(b, o, over)
	there, back := masked(binaryFrame, payload(randomness(b), size)), unmasked(binaryFrame, payload(randomness(b), size))
	links := make([]*link, sessions)
	for i := range links {
		links[i] = r.join(b)
		_ = links[i].client.conn.SetDeadline(time.Time{})
		_ = links[i].upstream.conn.SetDeadline(time.Time{})
	}
	var echoing sync.WaitGroup
	for _, l := range links {
		echoing.Go(func() {
			buffer := make([]byte, len(there))
			for {
				if _, err := io.ReadFull(l.upstream.conn, buffer); err != nil {
					return
				}
				if _, err := l.upstream.conn.Write(back); err != nil {
					return
				}
			}
		})
	}
	b.SetBytes(int64(2 * size))
	b.ReportAllocs()
	b.ResetTimer()
	var group sync.WaitGroup
	for i, l := range links {
		trips := b.N / sessions
		if i < b.N%sessions {
			trips++
		}
		group.Go(func() {
			buffer := make([]byte, len(back))
			for range trips {
				if _, err := l.client.conn.Write(there); err != nil {
					b.Error(err)
					return
				}
				if _, err := io.ReadFull(l.client.conn, buffer); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	for _, l := range links {
		l.hangUp()
	}
	echoing.Wait()
}

func BenchmarkRelay(b *testing.B) {
	for _, sessions := range []int{1, 100} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) { benchmarkEcho(b, Options{}, plain, sessions, 125) })
	}
}

func BenchmarkBulk(b *testing.B) {
	for _, sessions := range []int{1, 20} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) { benchmarkEcho(b, Options{}, plain, sessions, 60<<10) })
	}
}

// BenchmarkTLS shows what TLS costs on either side. The far ends pay for it too:
// see the difference between versions of the relay, not the share of TLS in it.
func BenchmarkTLS(b *testing.B) {
	for _, size := range []int{125, 64 << 10} {
		for _, over := range eitherSide {
			b.Run(fmt.Sprintf("size=%d/%s", size, over), func(b *testing.B) { benchmarkEcho(b, Options{}, over, 20, size) })
		}
	}
}

// BenchmarkLimits shows what limits cost that nobody comes near to, beside none.
func BenchmarkLimits(b *testing.B) {
	far := Options{MaxMessage: 1 << 40, Rate: Rate{Messages: 1 << 30, Bytes: 1 << 40}}
	for _, size := range []int{125, 60 << 10} {
		b.Run(fmt.Sprintf("size=%d/none", size), func(b *testing.B) { benchmarkEcho(b, Options{}, plain, 1, size) })
		b.Run(fmt.Sprintf("size=%d/far", size), func(b *testing.B) { benchmarkEcho(b, far, plain, 1, size) })
	}
}
