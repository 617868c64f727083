package trial

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/operator"
)

// Leaving describes a shutdown.
type Leaving struct {
	Sessions int
	Active   int
	Rate     int
	Deadline time.Duration
}

func (l Leaving) config(u *upstream) string {
	return everywhere + asUsual.String() + "upstreams:\n" + u.entry("") + fmt.Sprintf("shutdown: {drain_rate: %d, deadline: %v}\n", l.Rate, l.Deadline)
}

// full lets script begin when all sessions are open.
func (l Leaving) full(ctx context.Context, o Options, name string, script func(*stage, *crowd.Crowd, *upstream) error) error {
	return onStage(o, name, func(s *stage) error {
		u, err := s.upstream(ctx, "primary")
		if err != nil {
			return err
		}
		if err := s.serve(ctx, l.config(u), 1, "primary"); err != nil {
			return err
		}
		c, err := s.gather(ctx, crowd.Options{Clients: l.Sessions, Active: l.Active}, "primary")
		if err != nil {
			return err
		}
		return script(s, c, u)
	})
}

// RunShutdown sends SIGTERM to a router with open sessions, whose clients do not come back.
func RunShutdown(ctx context.Context, o Options, l Leaving) (Shutdown, error) {
	res := Shutdown{Sessions: l.Sessions, Rate: l.Rate, Deadline: l.Deadline.Seconds()}
	err := l.full(ctx, o, "shutdown", func(s *stage, c *crowd.Crowd, _ *upstream) error {
		s.progress("  SIGTERM")
		signalled := c.Now()
		if err := s.router.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		status, err := s.door.Await(ctx, "the shutdown has begun", func(t operator.Status) bool { return len(t.Drains) > 0 })
		if err != nil {
			return err
		}
		for _, d := range status.Drains {
			if d.Cause == "shutdown" {
				res.Announced = d.Rate
			}
		}
		select {
		case <-s.router.Ended():
		case <-time.After(2*l.Deadline + stragglers):
			return fmt.Errorf("the router has not ended %v after its deadline", l.Deadline+stragglers)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		res.Gone = (c.Now() - signalled).Seconds()
		res.Exit = s.router.Exit()
		// What was sent to the clients last may still be on its way through their loops.
		ctx, cancel := context.WithTimeout(ctx, stragglers)
		defer cancel()
		if err := c.Await(ctx, func(t *crowd.Tally) bool { return t.Open == 0 }); err != nil {
			return fmt.Errorf("wait until no session is open: %w", err)
		}
		c.Disperse()
		res.sumUp(history(c.Events()), c.Begun(), signalled)
		return nil
	})
	return res, err
}

// countEvery is how often the upstream is asked for its sessions: as exact as the figure is.
const countEvery = 5 * time.Millisecond

// RunSudden sends SIGKILL to a router with open sessions.
func RunSudden(ctx context.Context, o Options, l Leaving) (Sudden, error) {
	res := Sudden{Sessions: l.Sessions, Upstream: -1, Clients: -1}
	err := l.full(ctx, o, "sudden", func(s *stage, c *crowd.Crowd, u *upstream) error {
		s.progress("  SIGKILL")
		killed := c.Now()
		if err := s.router.Kill(); err != nil {
			return err
		}
		for c.Now()-killed < stragglers {
			n, err := u.sessions(ctx)
			if err != nil {
				return err
			}
			if n == 0 {
				res.Upstream = milliseconds(c.Now() - killed)
				break
			}
			if err := pause(ctx, countEvery); err != nil {
				return err
			}
		}
		ctx, cancel := context.WithTimeout(ctx, stragglers)
		defer cancel()
		if err := c.Await(ctx, func(t *crowd.Tally) bool { return t.Open == 0 }); err != nil {
			return fmt.Errorf("wait until every client has seen the end: %w", err)
		}
		c.Disperse()
		if ends := history(c.Events()).where(kind(crowd.Lost)); len(ends) == l.Sessions {
			res.Clients = milliseconds(ends[len(ends)-1].At - killed)
		}
		return nil
	})
	return res, err
}
