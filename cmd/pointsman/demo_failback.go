package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/pointsman/pointsman/internal/config"
)

const (
	// demoHold is short, because people watch.
	demoHold = 3 * time.Second
	// demoDrainWithin is about how long the way home takes, however many there
	// are.
	demoDrainWithin = 5 * time.Second
	// demoLeastRate is the lowest rate that the demo can judge: with a second
	// between two closes, any delay on their way would look like a fault.
	demoLeastRate = 10
	// demoMoveReason is in the Close frame of a session that is led home.
	demoMoveReason = "moved to primary"
)

// demoFailback is how the demo's router leads sessions home.
type demoFailback struct {
	hold time.Duration
	rate int // closes per second
}

// newDemoFailback returns what fits a number of clients.
func newDemoFailback(clients int) demoFailback {
	seconds := int(demoDrainWithin / time.Second)
	return demoFailback{hold: demoHold, rate: max(demoLeastRate, (clients+seconds-1)/seconds)}
}

// environ says it to the router.
func (f demoFailback) environ() []string {
	set := func(key string, value any) string {
		return fmt.Sprintf("%sFAILBACK_%s=%v", config.EnvPrefix, key, value)
	}
	return []string{
		set("HOLD", f.hold),
		set("DRAIN_RATE", f.rate),
		set("DRAIN_REASON", demoMoveReason),
	}
}

// withoutSettings returns environ without the variables that pointsman reads:
// those of the person who watches are meant for another router.
func withoutSettings(environ []string) []string {
	var rest []string
	for _, entry := range environ {
		if !strings.HasPrefix(entry, config.EnvPrefix) {
			rest = append(rest, entry)
		}
	}
	return rest
}
