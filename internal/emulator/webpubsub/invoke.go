package webpubsub

import (
	"context"
	"sync"
)

// maxInvocations is how many invocations of one client may wait for their
// answers at the same time.
const maxInvocations = 16

// invocations are those of one client that wait for their answers. The zero
// value is ready.
type invocations struct {
	mu      sync.Mutex
	waiting map[string]context.CancelFunc
}

// begin books an invocation, and returns false if there is one with this id or
// there are too many.
func (i *invocations) begin(id string, cancel context.CancelFunc) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.waiting == nil {
		i.waiting = make(map[string]context.CancelFunc)
	}
	if _, taken := i.waiting[id]; taken || len(i.waiting) >= maxInvocations {
		return false
	}
	i.waiting[id] = cancel
	return true
}

// done takes an invocation out of the books, and reports whether it was still
// wanted.
func (i *invocations) done(id string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, wanted := i.waiting[id]
	delete(i.waiting, id)
	return wanted
}

// cancel gives up an invocation: its answer is not sent.
func (i *invocations) cancel(id string) {
	i.mu.Lock()
	cancel := i.waiting[id]
	delete(i.waiting, id)
	i.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (i *invocations) cancelAll() {
	i.mu.Lock()
	waiting := i.waiting
	i.waiting = nil
	i.mu.Unlock()
	for _, cancel := range waiting {
		cancel()
	}
}

// invoke executes an invocation: a user event whose answer goes to the client
// under its id. The client may send on meanwhile. Of the targets only "event" is
// published.
func (c *client) invoke(ctx context.Context, r request) {
	fail := func(f *fault) {
		c.reply(textFrame(invokeResponseFrame{Type: "invokeResponse", InvocationID: r.InvocationID, Error: f}))
	}
	p, err := readPayload(r.DataType, r.Data)
	switch {
	case r.InvocationID == "" || err != nil:
		c.malformed("invoke needs an invocationId and data that fit their dataType.")
		return
	case r.Target != "event":
		fail(&fault{faultBad, `The only target is "event".`})
		return
	case !isEventName(r.Event):
		fail(badEvent())
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	if !c.invocations.begin(r.InvocationID, cancel) {
		cancel()
		fail(&fault{faultBad, "The invocationId is in use, or too many invocations wait."})
		return
	}
	began := c.service.crew.Go(func() {
		defer cancel()
		answer, err := c.service.events.user(ctx, c, r.Event, p)
		if !c.invocations.done(r.InvocationID) {
			return
		}
		if err != nil {
			c.service.log.Debug("invocation", "connection", c.id, "error", err)
			fail(&fault{faultInternal, "The event handler did not handle the event."})
			return
		}
		f := invokeResponseFrame{Type: "invokeResponse", InvocationID: r.InvocationID, Success: true}
		if answer != nil {
			f.DataType, f.Data = answer.kind, answer.value()
		}
		c.reply(textFrame(f))
	})
	if !began {
		cancel()
	}
}
