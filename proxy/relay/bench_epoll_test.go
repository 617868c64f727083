//go:build linux && !portable

package relay

import (
	"bytes"
	"testing"
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
