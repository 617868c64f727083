package trial

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/distance"
)

// Region describes an upstream far away.
type Region struct {
	RoundTrip time.Duration
	Spares    int           // where there are any
	Rate      int           // new clients per second
	Window    time.Duration // how long they come, in each case
}

// RunSpares measures handshakes to a far upstream: as the only one, and as the one that stands in for a near one that was killed; without
// TLS and with it; without spare connections and with them.
func RunSpares(ctx context.Context, o Options, r Region) (Spares, error) {
	res := Spares{RoundTrip: milliseconds(r.RoundTrip), PerSecond: r.Rate}
	a, err := authority.New(filepath.Join(o.Dir, "spares-authority"))
	if err != nil {
		return res, err
	}
	for _, failover := range []bool{false, true} {
		for _, secure := range []*authority.Authority{nil, a} {
			for _, spares := range []int{0, r.Spares} {
				c, err := r.measure(ctx, o, secure, SparesCase{Failover: failover, TLS: secure != nil, Spares: spares})
				if err != nil {
					return res, err
				}
				res.Cases = append(res.Cases, c)
			}
		}
	}
	return res, nil
}

func (r Region) measure(ctx context.Context, o Options, secure *authority.Authority, c SparesCase) (SparesCase, error) {
	name := fmt.Sprintf("spares-%t-%t-%d", c.Failover, c.TLS, c.Spares)
	err := onStage(o, name, func(s *stage) error {
		s.progress("  failover %t, TLS %t, %d spares", c.Failover, c.TLS, c.Spares)
		far, err := s.place("far")
		if err != nil {
			return err
		}
		far.secure = secure
		if err := s.start(ctx, far); err != nil {
			return err
		}
		way, err := distance.Listen(ctx, far.addr, r.RoundTrip)
		if err != nil {
			return err
		}
		defer way.Close()
		far.way = way.Addr()
		upstreams, names, role := "", []string{"far"}, "role: primary"
		var near *upstream
		if c.Failover {
			if near, err = s.upstream(ctx, "near"); err != nil {
				return err
			}
			upstreams, names, role = near.entry("role: primary"), []string{"near", "far"}, "role: secondary"
		}
		config := everywhere + asUsual.String() + "upstreams:\n" + upstreams + far.entry(role) +
			fmt.Sprintf("pool: {spares: %d, spare_age: 30s}\n", c.Spares)
		if err := s.serve(ctx, config, 1, names...); err != nil {
			return err
		}
		// The spare connections are made when the upstream is believed in: that takes some round trips.
		if err := pause(ctx, 10*r.RoundTrip); err != nil {
			return err
		}
		if near != nil {
			if err := near.kill(); err != nil {
				return err
			}
		}
		clients := sample(ctx, s.at[0], r.Rate)
		defer clients.stop()
		if err := pause(ctx, r.Window); err != nil {
			return err
		}
		c.Took, c.Failed = clients.stop()
		c.Tried = clients.tried()
		if clients.first != nil {
			c.First = clients.first.Error()
		}
		return s.alive()
	})
	return c, err
}
