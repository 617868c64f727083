package trial

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pointsman/pointsman/bench/internal/crowd"
	"github.com/pointsman/pointsman/bench/internal/procstat"
)

// Rush describes a storm.
type Rush struct {
	Sessions int
	Limit    int           // handshakes per second and listener
	Before   time.Duration // how long the cost of a handshake is measured before the storm
}

// sampled is how many handshakes per second measure what one costs without a queue.
const sampled = 20

// RunStorm kills the upstream on which all sessions are. Their clients come back at once, and after Retry-After when they are told to.
func RunStorm(ctx context.Context, o Options, r Rush) (Storm, error) {
	res := Storm{Sessions: r.Sessions, Limit: r.Limit}
	err := onStage(o, "storm", func(s *stage) error {
		primary, err := s.upstream(ctx, "primary")
		if err != nil {
			return err
		}
		secondary, err := s.upstream(ctx, "secondary")
		if err != nil {
			return err
		}
		config := strings.Replace(everywhere, `listen: "127.0.0.1:0"`, `listen: [{address: "127.0.0.1:0"}, {address: "127.0.0.1:0"}]`, 1) +
			asUsual.String() + "upstreams:\n" + primary.entry("role: primary") + secondary.entry("role: secondary") +
			fmt.Sprintf("limits: {handshakes_per_second: %d}\nfailback: {hold: 5m}\n", r.Limit)
		if err := s.serve(ctx, config, 2, "primary", "secondary"); err != nil {
			return err
		}
		c, err := s.gather(ctx, crowd.Options{Clients: r.Sessions, Return: true, Patience: time.Minute}, "primary")
		if err != nil {
			return err
		}
		quiet := sample(ctx, s.at[1], sampled)
		defer quiet.stop()
		if err := pause(ctx, r.Before); err != nil {
			return err
		}
		res.Before, res.Failed = quiet.stop()
		memory, err := procstat.ReadMemory(s.router.PID())
		if err != nil {
			return err
		}
		res.RSS = memory.RSS
		return r.storm(ctx, s, c, primary, &res)
	})
	return res, err
}

func (r Rush) storm(ctx context.Context, s *stage, c *crowd.Crowd, primary *upstream, res *Storm) error {
	s.progress("  the upstream is killed")
	busy := sample(ctx, s.at[1], sampled)
	defer busy.stop()
	killed := c.Now()
	if err := primary.kill(); err != nil {
		return err
	}
	most := stragglers + 4*time.Duration(r.Sessions)*time.Second/time.Duration(r.Limit)
	err := s.await(ctx, c, most, "all are back", func(t *crowd.Tally) bool { return t.At["secondary"] == r.Sessions })
	if err != nil {
		return err
	}
	during, failed := busy.stop()
	res.During = during
	res.Failed += failed
	if res.Peak, err = procstat.ReadPeak(s.router.PID()); err != nil {
		return err
	}
	c.Disperse()
	res.sumUp(history(c.Events()), killed)
	return s.alive()
}
