package proxy

import (
	"slices"
	"testing"
	"time"
)

// TestSparesSaveRoundTrips measures the handshakes of clients with an upstream 80 ms
// away, with spare connections and without.
func TestSparesSaveRoundTrips(t *testing.T) {
	const (
		trip  = 80 * time.Millisecond // both ways
		times = 5
	)
	for _, row := range []struct {
		name    string
		secured bool
		trips   int // without a spare
	}{{"ws", false, 2}, {"wss", true, 3}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			measure := func(spares int) (best, median time.Duration) {
				u := newUpward(t, row.secured, spares, trip/2)
				r := start(t, Options{Relay: quickClose}, u.member)
				var took []time.Duration
				for range times {
					r.wantSpares("east", spares)
					c := r.dial()
					began := time.Now()
					c.say(goodHead)
					c.upgraded()
					took = append(took, time.Since(began))
					c.Close()
				}
				if got := r.upstream("east").Totals(); got.SparesUsed != uint64(min(spares, 1)*times) {
					t.Errorf("totals %+v", got)
				}
				r.stop()
				slices.Sort(took)
				return took[0], took[times/2]
			}
			without, withoutMedian := measure(0)
			with, withMedian := measure(2)
			t.Logf("%s, upstream %v away: handshake %v without spares, %v with (medians of %d)", row.name, trip, withoutMedian, withMedian, times)
			// The delays are real, so each handshake takes at least its round trips; what is
			// more is the machine's.
			if least := time.Duration(row.trips) * trip; without < least {
				t.Errorf("%v without spares: the detour is shorter than %d round trips", without, row.trips)
			}
			if with < trip {
				t.Errorf("%v with spares: less than a round trip", with)
			}
			if saved := without - with; saved < time.Duration(row.trips-1)*trip-trip/2 {
				t.Errorf("spares save %v of %d round trips of %v", saved, row.trips, trip)
			}
		})
	}
}
