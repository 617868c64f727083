package trial

import (
	"context"
	"fmt"
	"time"

	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/operator"
)

// Return describes a homecoming or a relapse.
type Return struct {
	Sessions int
	Active   int           // of these send messages
	Period   time.Duration // between two of them
	Rate     int           // of the drain
	Hold     time.Duration
	// Quick probes the upstreams more often than usual.
	Quick bool
}

func (r Return) probing() probing {
	if r.Quick {
		return sooner
	}
	return asUsual
}

// stragglers bounds how long the last sessions may take beyond what the rate says.
const stragglers = 30 * time.Second

func (r Return) config(primary, secondary *upstream) string {
	return everywhere + r.probing().String() + "upstreams:\n" + primary.entry("role: primary") + secondary.entry("role: secondary") +
		fmt.Sprintf("failback: {hold: %v, max_hold: %v, drain: {rate: %d, reason: %q}}\n", r.Hold, 2*r.Hold, r.Rate, moved)
}

// longest is how long all of it may take: detection, hold, and twice what the rate says.
func (r Return) longest() time.Duration {
	return stragglers + 3*r.Hold + 2*time.Duration(r.Sessions)*time.Second/time.Duration(r.Rate)
}

// onSecondary lets script begin when all sessions are on the secondary; the primary is not there yet.
func (r Return) onSecondary(ctx context.Context, o Options, name string, script func(s *stage, c *crowd.Crowd, primary *upstream) error) error {
	return onStage(o, name, func(s *stage) error {
		primary, err := s.place("primary")
		if err != nil {
			return err
		}
		secondary, err := s.upstream(ctx, "secondary")
		if err != nil {
			return err
		}
		if err := s.serve(ctx, r.config(primary, secondary), 1, "secondary"); err != nil {
			return err
		}
		c, err := s.gather(ctx, crowd.Options{Clients: r.Sessions, Active: r.Active, Period: r.Period, Return: true}, "secondary")
		if err != nil {
			return err
		}
		return script(s, c, primary)
	})
}

// allHome waits until every session is on the primary and the drain has ended.
func (r Return) allHome(ctx context.Context, s *stage, c *crowd.Crowd) error {
	err := s.await(ctx, c, r.longest(), "all are home", func(t *crowd.Tally) bool { return t.At["primary"] == r.Sessions })
	if err != nil {
		return err
	}
	_, err = s.door.Await(ctx, "the drain has ended", func(t operator.Status) bool { return len(t.Drains) == 0 })
	return err
}

// RunHomecoming lets the primary come up when all sessions are on the secondary, and waits until they are home.
func RunHomecoming(ctx context.Context, o Options, r Return) (Homecoming, error) {
	res := Homecoming{Sessions: r.Sessions, Active: r.Active, Rate: r.Rate, Hold: milliseconds(r.Hold)}
	err := r.onSecondary(ctx, o, "homecoming", func(s *stage, c *crowd.Crowd, primary *upstream) error {
		s.progress("  primary comes up; %d sessions at %d/s go home", r.Sessions, r.Rate)
		began := c.Now()
		if err := s.start(ctx, primary); err != nil {
			return err
		}
		if err := r.allHome(ctx, s, c); err != nil {
			return err
		}
		c.Disperse()
		res.sumUp(history(c.Events()), c.Begun(), began)
		res.Echoes = c.Echoes()
		return nil
	})
	return res, err
}

// RunRelapse kills the primary when a share of the sessions is home, and lets it come back when the drain has stopped.
func RunRelapse(ctx context.Context, o Options, r Return, share float64) (Relapse, error) {
	res := Relapse{Sessions: r.Sessions, Rate: r.Rate, Timeout: milliseconds(r.probing().timeout)}
	err := r.onSecondary(ctx, o, "relapse", func(s *stage, c *crowd.Crowd, primary *upstream) error {
		s.progress("  primary comes up, and is killed when %.0f %% are home", share*100)
		if err := s.start(ctx, primary); err != nil {
			return err
		}
		err := s.await(ctx, c, r.longest(), "some are home", func(t *crowd.Tally) bool {
			return float64(t.At["primary"]) >= share*float64(r.Sessions)
		})
		if err != nil {
			return err
		}
		killed := c.Now()
		if err := primary.kill(); err != nil {
			return err
		}
		err = s.await(ctx, c, r.longest(), "all are on the secondary", func(t *crowd.Tally) bool { return t.At["secondary"] == r.Sessions })
		if err != nil {
			return err
		}
		if _, err := s.door.Await(ctx, "the drain waits", func(t operator.Status) bool {
			for _, d := range t.Drains {
				if d.Cause == "failback" && d.State != "waiting" {
					return false
				}
			}
			return !t.Healthy("primary")
		}); err != nil {
			return err
		}
		// A close that is still to come is seen all the same: before the drain goes on, the primary needs good probes and its hold.
		s.progress("  primary comes back for good")
		back := c.Now()
		if err := s.start(ctx, primary); err != nil {
			return err
		}
		if err := r.allHome(ctx, s, c); err != nil {
			return err
		}
		c.Disperse()
		res.sumUp(history(c.Events()), c.Begun(), killed, back)
		return nil
	})
	return res, err
}
