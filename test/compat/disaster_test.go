//go:build compat && linux

package compat

import (
	"fmt"
	"testing"
	"time"
)

// back is how soon everybody has to be served again when a region has died.
const back = 10 * time.Second

// openly has the router answer negotiations of strangers.
const openly = "negotiate: {open: true}"

// TestRegionDies: the region with all clients is killed. Each vendor's client finds the other one by itself, with its default settings,
// in time; and when the first region is there again all are led home. Nobody gives up, and nobody is without service for long.
func TestRegionDies(t *testing.T) {
	const crowdSize = 200
	for _, row := range []struct {
		mode string
		join func(c *crowd, f *front)
	}{
		{"webpubsub", func(c *crowd, f *front) {
			c.do(crowdCommand{Do: "join", Count: crowdSize / 2, Prefix: "plain"})
			c.do(crowdCommand{Do: "join", Count: crowdSize / 2, Prefix: "reliable", Reliable: true})
		}},
		{"signalr", func(c *crowd, f *front) {
			c.do(crowdCommand{Do: "join", Count: crowdSize, Prefix: "user", Negotiate: f.http})
		}},
	} {
		t.Run(row.mode, func(t *testing.T) {
			g := startRegions(t, row.mode, nil, nil)
			f := g.front(t, "primary", "secondary", fmt.Sprintf("routes: [{protocol: %s, %s}]", row.mode, openly))
			c := startCrowd(t, row.mode+"_crowd.js", f.connection)
			row.join(c, f)
			c.comes(crowdSize, time.Now())
			g.east.comesTo(crowdSize)

			died := time.Now()
			g.east.kill()
			moved := c.comes(crowdSize, died)
			t.Logf("failover: %v", moved)
			if longest := moved[len(moved)-1]; longest > back {
				t.Errorf("somebody was without service for %v", longest)
			}
			g.west.comesTo(crowdSize)

			g.east = g.east.again(t)
			t.Logf("failback: %v", c.comes(crowdSize, time.Time{}))
			g.east.comesTo(crowdSize)
			g.west.comesTo(0)
			f.ends()
		})
	}
}
