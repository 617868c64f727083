package crowd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Crowd is a number of clients. Make it with Gather or Rush. Its methods may be called concurrently.
type Crowd struct {
	opts    Options
	begun   time.Time
	loops   []*loop
	stopped atomic.Bool
	sending atomic.Bool
	echoes  atomic.Int64
	changed chan struct{} // room for one: the tally is another
	ended   chan struct{} // closed when all loops have returned
	stop    sync.Once

	mu     sync.Mutex
	events []Event
	tally  Tally
	err    error // of the first loop that could not go on
}

// Gather opens all sessions and returns when every client has one; then the active ones begin to send. An error means that a
// session was refused or did not open; nothing is left open then. The caller must call Disperse.
func Gather(ctx context.Context, o Options) (*Crowd, error) {
	c, err := begin(o)
	if err != nil {
		return nil, err
	}
	o = c.opts
	err = c.Await(ctx, func(t *Tally) bool {
		return t.Of[Opened] == o.Clients || t.Of[Opened] < sum(t.Of)
	})
	if err == nil {
		err = c.firstTrouble()
	}
	if err != nil {
		c.Disperse()
		return nil, fmt.Errorf("gather %d clients on %s: %w", o.Clients, o.Target, err)
	}
	c.send()
	return c, nil
}

// Rush lets each client try to open a session once, and returns when each has one or knows that it gets none; then the active ones begin
// to send. Options.Return is ignored. The error is that of ctx, or of the crowd itself. The caller must call Disperse.
func Rush(ctx context.Context, o Options) (*Crowd, error) {
	o.Return = false
	c, err := begin(o)
	if err != nil {
		return nil, err
	}
	err = c.Await(ctx, func(t *Tally) bool {
		return t.Of[Opened]+t.Of[Refused]+t.Of[Failed] == c.opts.Clients
	})
	if err != nil {
		c.Disperse()
		return nil, fmt.Errorf("rush of %d clients on %s: %w", o.Clients, o.Target, err)
	}
	c.send()
	return c, nil
}

// begin starts the loops, which open the sessions.
func begin(o Options) (*Crowd, error) {
	o, target, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("crowd options: %w", err)
	}
	c := &Crowd{opts: o, begun: time.Now(), changed: make(chan struct{}, 1), ended: make(chan struct{}), tally: newTally()}
	n := min(o.Loops, o.Opening, o.Clients)
	for i := range n {
		l, err := newLoop(c, target, i, n)
		if err != nil {
			for _, l := range c.loops {
				l.close()
			}
			return nil, err
		}
		c.loops = append(c.loops, l)
	}
	var group sync.WaitGroup
	for _, l := range c.loops {
		group.Go(func() {
			if err := l.run(); err != nil {
				c.fail(err)
			}
			l.close()
		})
	}
	go func() { // ends with the last loop
		group.Wait()
		close(c.ended)
	}()
	return c, nil
}

// send lets the active clients begin.
func (c *Crowd) send() {
	c.sending.Store(true)
	c.wake()
}

func sum(of map[Kind]int) int {
	n := 0
	for _, m := range of {
		n += m
	}
	return n
}

// firstTrouble is the first event that is no opening, as an error.
func (c *Crowd) firstTrouble() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.events, func(e Event) bool { return e.Kind != Opened })
	if i < 0 {
		return nil
	}
	e := c.events[i]
	return fmt.Errorf("client %d: %v %d %s", e.Client, e.Kind, e.Code, e.Reason)
}

// Begun is the moment from which the times of all events are measured.
func (c *Crowd) Begun() time.Time { return c.begun }

// Now is the time since Begun.
func (c *Crowd) Now() time.Duration { return time.Since(c.begun) }

// clockStep is how far the clock of the kernel's stamps may be from ours; beyond that it was set meanwhile.
const clockStep = 5 * time.Second

// moment is when something arrived that was stamped at that time of day; now, if it was not stamped.
func (c *Crowd) moment(at time.Time) time.Duration {
	now := c.Now()
	// at has no monotonic reading, so this is the difference of two times of day.
	if since := at.Sub(c.begun.Round(0)); !at.IsZero() && since > 0 && since <= now && now-since < clockStep {
		return since
	}
	return now
}

// Echoes is how many messages have come back right.
func (c *Crowd) Echoes() int64 { return c.echoes.Load() }

// Events returns what has happened so far, in the order in which it happened. The slice is the caller's.
func (c *Crowd) Events() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := slices.Clone(c.events)
	// Loops may come to the lock in another order than to the clock.
	slices.SortStableFunc(events, func(a, b Event) int { return int(a.At - b.At) })
	return events
}

// Await returns when met says that the tally is as wanted. The error is that of ctx, or why the crowd could not go on. met is called
// under a lock: it must not call the crowd.
func (c *Crowd) Await(ctx context.Context, met func(*Tally) bool) error {
	for {
		c.mu.Lock()
		ok, err := met(&c.tally), c.err
		c.mu.Unlock()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		}
		select {
		case <-c.changed:
		case <-c.ended:
			c.mu.Lock()
			ok, err := met(&c.tally), c.err
			c.mu.Unlock()
			if err != nil || ok {
				return err
			}
			return errors.New("the crowd has been dispersed")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Disperse ends all connections with a RST and returns when everything that Gather started has ended. Calling it twice is fine.
func (c *Crowd) Disperse() {
	c.stop.Do(func() {
		c.stopped.Store(true)
		c.wake()
	})
	<-c.ended
}

func (c *Crowd) wake() {
	for _, l := range c.loops {
		l.poller.Wake()
	}
}

// record notes an event. open says whether the client had a session.
func (c *Crowd) record(e Event, open bool) {
	c.mu.Lock()
	c.events = append(c.events, e)
	c.tally.add(e, open)
	c.mu.Unlock()
	c.tell()
}

func (c *Crowd) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.tell()
}

// tell makes whoever awaits something look again.
func (c *Crowd) tell() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}
