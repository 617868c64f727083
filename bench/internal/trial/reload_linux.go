package trial

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/operator"
)

// Change describes a series of reloads.
type Change struct {
	Sessions int // on two upstreams that stay; each sends a message each second
	Added    int // opened when a third upstream is there; they send, too
	Reloads  int // in all, at least 10
	Rate     int // of the drain of a removed upstream
}

// changing is what a reload trial works on.
type changing struct {
	*stage
	Change
	stays   []*upstream
	third   *upstream
	withIt  bool // the third upstream is in the file
	version int  // of the file
}

// config is another file for each version: weights, health and failback change, so that upstreams and their checkers are replaced.
func (c *changing) config() string {
	v := c.version
	list := c.stays[0].entry(fmt.Sprintf("weight: %d", 1+v%3)) + c.stays[1].entry("")
	if c.withIt {
		list += c.third.entry("")
	}
	return everywhere + "router: least-sessions\nupstreams:\n" + list +
		fmt.Sprintf("health: {interval: %dms, recheck: 100ms, timeout: 400ms}\n", 500+v%5) +
		fmt.Sprintf("failback: {drain: {rate: %d}}\nreload: {drain_rate: %d}\n", 50+v, c.Rate)
}

// RunReload reloads the configuration many times while sessions send: the file is replaced, and every second time SIGHUP is sent, too.
// On the way one file is bad, and a third upstream is added and removed again.
func RunReload(ctx context.Context, o Options, change Change) (Reload, error) {
	if change.Reloads < 10 {
		return Reload{}, fmt.Errorf("reload trial: %d reloads, want at least 10", change.Reloads)
	}
	res := Reload{Sessions: change.Sessions, Added: change.Added, Reloads: change.Reloads, Rate: change.Rate}
	err := onStage(o, "reload", func(s *stage) error {
		c := &changing{stage: s, Change: change}
		for _, name := range []string{"one", "two"} {
			u, err := s.upstream(ctx, name)
			if err != nil {
				return err
			}
			c.stays = append(c.stays, u)
		}
		third, err := s.upstream(ctx, "three")
		if err != nil {
			return err
		}
		c.third = third
		if err := s.serve(ctx, c.config(), 1, "one", "two"); err != nil {
			return err
		}
		settled, err := s.gather(ctx, crowd.Options{Clients: change.Sessions, Active: change.Sessions, Return: true}, "one", "two")
		if err != nil {
			return err
		}
		return c.run(ctx, settled, &res)
	})
	return res, err
}

func (c *changing) run(ctx context.Context, settled *crowd.Crowd, res *Reload) error {
	began := time.Now()
	var added *crowd.Crowd
	var gone time.Duration
	bad, add, remove := c.Reloads/5, c.Reloads/3, 2*c.Reloads/3
	for i := range c.Reloads {
		var err error
		switch i {
		case bad:
			err = c.refuse(ctx, res)
		case add:
			c.progress("  an upstream is added")
			c.withIt = true
			if err = c.reload(ctx, i); err == nil {
				_, err = c.door.Await(ctx, "the added upstream is healthy", func(t operator.Status) bool { return t.Healthy("three") })
			}
			if err == nil {
				added, err = c.gather(ctx, crowd.Options{Clients: c.Added, Active: c.Added, Return: true}, "one", "two", "three")
			}
			if err == nil {
				res.OnAdded = len(history(added.Events()).where(on("three")))
			}
		case remove:
			c.progress("  and removed again")
			c.withIt = false
			gone = added.Now()
			err = c.reload(ctx, i)
		default:
			err = c.reload(ctx, i)
		}
		if err != nil {
			return fmt.Errorf("reload %d: %w", i+1, err)
		}
	}
	res.Seconds = time.Since(began).Seconds()
	err := c.await(ctx, added, stragglers+2*time.Duration(c.Added)*time.Second/time.Duration(c.Rate), "nobody is on the removed upstream",
		func(t *crowd.Tally) bool { return t.At["three"] == 0 && t.Open == c.Added })
	if err != nil {
		return err
	}
	settled.Disperse()
	added.Disperse()
	res.Echoes = settled.Echoes() + added.Echoes()
	res.sumUp(history(settled.Events()), history(added.Events()), added.Begun(), gone)
	return nil
}

func on(where string) func(crowd.Event) bool {
	return func(e crowd.Event) bool { return e.Kind == crowd.Opened && e.Where == where }
}

// reload replaces the file, in every second case sends SIGHUP, too, and waits until the router has taken it on.
func (c *changing) reload(ctx context.Context, i int) error {
	before, err := c.door.Status(ctx)
	if err != nil {
		return err
	}
	c.version++
	if err := c.write(c.config()); err != nil {
		return err
	}
	if i%2 == 1 {
		if err := c.router.Signal(syscall.SIGHUP); err != nil {
			return err
		}
	}
	_, err = c.door.Await(ctx, "the reload has worked", func(t operator.Status) bool {
		return t.Reload.Generation > before.Reload.Generation && t.Reload.OK
	})
	return err
}

// refuse replaces the file by one with a mistake, and notes what became of it.
func (c *changing) refuse(ctx context.Context, res *Reload) error {
	before, err := c.door.Status(ctx)
	if err != nil {
		return err
	}
	if err := c.write(c.config() + "faillback: {hold: 1s}\n"); err != nil {
		return err
	}
	if err := c.router.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	after, err := c.door.Await(ctx, "the bad file was looked at", func(t operator.Status) bool {
		return t.Reload.Attempts > before.Reload.Attempts && !t.Reload.OK
	})
	if err != nil {
		return err
	}
	res.Refusal = after.Reload.Error
	res.Unmoved = after.Reload.Generation == before.Reload.Generation && len(after.Upstreams) == len(before.Upstreams) && after.Healthy("one", "two")
	return nil
}
