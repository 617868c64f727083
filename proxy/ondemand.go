package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/pointsman/pointsman/pool"
)

// longestLook bounds what a negotiation waits for probes that it has asked for. A
// probe has a deadline of its own; one that needs longer speaks against its
// upstream.
const longestLook = 3 * time.Second

// doubted asks for probes of the upstreams that were not probed of late, if the
// route wants that, and returns those that a probe speaks against though their
// breakers are closed.
func (d *desk) doubted() (doubted pool.Tried) {
	if d.Negotiate.MaxAge <= 0 {
		return doubted
	}
	ctx, cancel := context.WithTimeout(context.Background(), longestLook)
	defer cancel()
	upstreams := d.set.Upstreams()
	found := make([]error, len(upstreams))
	var all sync.WaitGroup
	for i, u := range upstreams {
		all.Go(func() { found[i] = u.Checker().Fresh(ctx, d.Negotiate.MaxAge) })
	}
	all.Wait()
	for i, u := range upstreams {
		if found[i] != nil {
			doubted = doubted.Add(u)
		}
	}
	return doubted
}
