package contest

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pointsman/pointsman/bench/internal/caller"
	"github.com/pointsman/pointsman/bench/internal/inbox"
	"github.com/pointsman/pointsman/bench/internal/operator"
	"github.com/pointsman/pointsman/bench/internal/peer"
)

// cluster is what stands ready for the fan-out: the upstreams, and the router in front of them.
type cluster struct {
	opts      Options
	router    *peer.Candidate
	target    caller.Target // the router
	inboxes   []*peer.Process
	upstreams []caller.Target
	series    uint32 // the first that no caller has used
}

// answerPatience is how long an answer may take.
const answerPatience = 10 * time.Second

// Fanout is the contest in getting one message to several upstreams: by one call to pointsman, or by direct calls. Connections is how
// many callers there are, each of which has one broadcast under way. The candidates do not matter but for pointsman, which must be one.
func Fanout(ctx context.Context, o Options) (Outcome, error) {
	out := Outcome{Experiment: "fanout", Setting: fanoutSetting(o.Connections, o.Size), Callers: o.Connections}
	err := withCluster(ctx, o, func(c *cluster) error {
		ways := []string{OneCall, peer.Pointsman, CallsInTurn, CallsAtOnce}
		for round := range o.Rounds {
			for _, name := range rotate(ways, round) {
				o.progress("fanout: %d at a time: round %d of %d: %s", o.Connections, round+1, o.Rounds, name)
				sample, err := c.measure(ctx, name, round)
				if err != nil {
					return c.router.Blame(err)
				}
				out.add(name, sample)
			}
		}
		return c.router.Process.Alive()
	})
	return out, err
}

// withCluster starts all, runs script and stops what was started.
func withCluster(ctx context.Context, o Options, script func(*cluster) error) error {
	if err := o.check(); err != nil {
		return fmt.Errorf("contest options: %w", err)
	}
	c := &cluster{opts: o}
	defer func() {
		if c.router != nil {
			c.router.Stop()
		}
		for _, p := range c.inboxes {
			p.Stop()
		}
	}()
	var names []string
	var list strings.Builder
	for i := range FanoutUpstreams {
		name, key := fmt.Sprintf("inbox-%d", i+1), newKey()
		p, addr, err := peer.StartInbox(ctx, name, key, o.Size)
		if err != nil {
			return err
		}
		c.inboxes, c.upstreams = append(c.inboxes, p), append(c.upstreams, caller.Target{Addr: addr, Key: key})
		names = append(names, name)
		fmt.Fprintf(&list, "  - {name: %s, connection_string: \"Endpoint=http://%s;AccessKey=%s;Version=1.0;\"}\n", name, addr, key)
	}
	key := newKey()
	file := filepath.Join(o.Dir, "fanout.yaml")
	config := fmt.Sprintf("listen: \"127.0.0.1:0\"\nadmin: \"127.0.0.1:0\"\nupstreams:\n%saccess_keys: [%s]\nroutes:\n  - protocol: webpubsub\n", &list, key)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	router, err := peer.StartPointsman(ctx, o.Pointsman, "--config", file)
	if err != nil {
		return err
	}
	c.router, c.target = router, caller.Target{Addr: router.Addr, Key: key}
	_, err = operator.Door(router.Admin).Await(ctx, "all upstreams are healthy", func(s operator.Status) bool { return s.Healthy(names...) })
	if err != nil {
		return router.Blame(err)
	}
	return script(c)
}

// newKey draws an access key, as long as HS256 wants it.
func newKey() string { return rand.Text() + rand.Text() }

// measure sends broadcasts in one of the ways, and then asks the upstreams what they got.
func (c *cluster) measure(ctx context.Context, way string, round int) (Sample, error) {
	o := caller.Options{
		Targets: c.upstreams, Callers: c.opts.Connections, Size: c.opts.Size, Series: c.series,
		Warmup: c.opts.Warmup, Duration: c.opts.Duration, Patience: answerPatience,
	}
	c.series += uint32(c.opts.Connections)
	m := &meter{ends: c.inboxes}
	reach := c.upstreams // who should get each message
	switch way {
	case OneCall:
		o.Targets, reach = c.upstreams[:1], c.upstreams[:1]
	case CallsAtOnce:
		o.AtOnce = true
	case peer.Pointsman:
		o.Targets, m.candidate = []caller.Target{c.target}, c.router.Process
	}
	o.Begin, o.End = m.begin, m.end
	before, err := c.counts(ctx)
	if err != nil {
		return Sample{}, err
	}
	res, err := caller.Run(ctx, o)
	if err != nil {
		return Sample{}, err
	}
	after, err := c.counts(ctx)
	if err != nil {
		return Sample{}, err
	}
	s := Sample{Round: round, Calls: res.Sent, Errors: res.Errors.Total(), First: res.First}
	for i := range c.upstreams {
		should := int64(0)
		if i < len(reach) {
			should = res.Sent
		}
		b, a := before[i], after[i]
		wrong := reached(a.Messages-b.Messages, a.Again-b.Again, a.Wrong-b.Wrong, should)
		if s.Errors += wrong; wrong > 0 && s.First == "" {
			s.First = fmt.Sprintf("upstream %d of %d got %d of %d messages, %d again and %d wrong ones; %s",
				i+1, len(c.upstreams), a.Messages-b.Messages, should, a.Again-b.Again, a.Wrong-b.Wrong, a.First)
		}
	}
	if res.Done == 0 {
		return s, fmt.Errorf("nothing succeeded in %v, %d errors: %s", c.opts.Duration, s.Errors, s.First)
	}
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(res.Done) }
	s.PerSecond, s.P50, s.P99 = res.PerSecond, res.Latency.P50, res.Latency.P99
	s.CPU, s.User, s.LoadCPU = each(m.proxied.Total()), each(m.proxied.User), each(m.own)
	s.Busy = m.proxied.Total().Seconds() / res.Seconds
	s.LoadBusy = m.own.Seconds() / res.Seconds
	s.EchoBusy = m.echoed.Total().Seconds() / res.Seconds
	return s, nil
}

func (c *cluster) counts(ctx context.Context) ([]inbox.Counts, error) {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	all := make([]inbox.Counts, len(c.upstreams))
	for i, u := range c.upstreams {
		var err error
		if all[i], err = inbox.Read(ctx, u.Addr); err != nil {
			return nil, err
		}
	}
	return all, nil
}
