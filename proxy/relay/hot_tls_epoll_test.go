//go:build linux && !portable && !race

package relay

import "testing"

// crypto/tls allocates once when it asks for more to read. In a loop it asks once
// for all that was read of a small message, and a few times for a large one. Under
// the race detector pools lose what they hold, so that there is nothing to count.
func TestRelayingOverTLSAllocatesWhatTLSDoes(t *testing.T) {
	for _, over := range everywhere[1:] {
		asks := 0
		for _, version := range over {
			if version > 0 {
				asks++
			}
		}
		t.Run(over.String(), func(t *testing.T) {
			testAllocations(t, Options{}, over, 125, 4000, asks)
			testAllocations(t, Options{}, over, 60_000, 500, 4*asks)
		})
	}
}
