package proxy

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	// tidyEvery is how often tidy looks, and how long it has to be quiet before.
	tidyEvery = 5 * time.Second
	// tidyAfter is how many sessions, begun or ended, leave enough behind to be
	// worth it.
	tidyAfter = 512
	// tidyQuiet is how many in tidyEvery still count as quiet.
	tidyQuiet = 8
)

// tidy gives memory back after a rush. Idle sessions allocate nothing, so no
// collection would come by itself for a long time, and what thousands of
// handshakes left behind would stay. It costs one collection after each rush.
func (p *Proxy) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	var tidied, last uint64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := p.counters.handshakes.Load() + p.counters.ended.Load()
		if now-last <= tidyQuiet && now-tidied >= tidyAfter {
			tidied = now
			debug.FreeOSMemory()
		}
		last = now
	}
}
