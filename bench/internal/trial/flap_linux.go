package trial

import (
	"context"
	"fmt"
	"time"

	"github.com/pointsman/pointsman/bench/internal/crowd"
)

// Unrest describes a primary that flaps.
type Unrest struct {
	Sessions int
	Hold     time.Duration // 0 for none
	Up, Down time.Duration // how long it is there and gone each time
	Lasting  time.Duration // all of it
	Rate     int           // of the drain that leads sessions home
}

// RunFlap kills the primary, on which all sessions are, and lets it come back, again and again.
func RunFlap(ctx context.Context, o Options, f Unrest) (Flap, error) {
	res := Flap{Sessions: f.Sessions, Hold: milliseconds(f.Hold), Up: milliseconds(f.Up), Down: milliseconds(f.Down)}
	err := onStage(o, "flap", func(s *stage) error {
		primary, err := s.upstream(ctx, "primary")
		if err != nil {
			return err
		}
		secondary, err := s.upstream(ctx, "secondary")
		if err != nil {
			return err
		}
		config := everywhere + sooner.String() + "upstreams:\n" + primary.entry("role: primary") + secondary.entry("role: secondary") +
			fmt.Sprintf("failback: {hold: %v, drain: {rate: %d, reason: %q}}\n", f.Hold, f.Rate, moved)
		if err := s.serve(ctx, config, 1, "primary", "secondary"); err != nil {
			return err
		}
		c, err := s.gather(ctx, crowd.Options{Clients: f.Sessions, Return: true}, "primary")
		if err != nil {
			return err
		}
		s.progress("  primary down %v, up %v, for %v; hold %v", f.Down, f.Up, f.Lasting, f.Hold)
		began := c.Now()
		for range f.Lasting / (f.Down + f.Up) {
			if err := primary.kill(); err != nil {
				return err
			}
			res.Kills++
			if err := pause(ctx, f.Down); err != nil {
				return err
			}
			if err := s.start(ctx, primary); err != nil {
				return err
			}
			if err := pause(ctx, f.Up); err != nil {
				return err
			}
		}
		res.Seconds = (c.Now() - began).Seconds()
		c.Disperse() // what the drain does when the primary has become steady is another matter
		status, err := s.door.Status(ctx)
		if err != nil {
			return err
		}
		if u, ok := status.Upstream("primary"); ok {
			res.Trips = u.Trips
		}
		res.sumUp(history(c.Events()))
		return s.alive()
	})
	return res, err
}
