package contest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/load"
	"github.com/pointsman/pointsman/bench/internal/peer"
)

// Relay is the contest with small messages, one in flight on each connection.
func Relay(ctx context.Context, o Options) (Outcome, error) {
	return traffic(ctx, o, "relay", messages(o), load.Relay)
}

// Trickle is the contest with small messages at a pace, each session in turn.
func Trickle(ctx context.Context, o Options) (Outcome, error) {
	setting := fmt.Sprintf("%d sessions, a message of %d bytes from each every %v, %.0f/s together",
		o.Connections, o.Size, o.Every, float64(o.Connections)/o.Every.Seconds())
	return traffic(ctx, o, "trickle", setting, load.Relay)
}

// Bulk is the contest with large messages, one in flight on each connection.
func Bulk(ctx context.Context, o Options) (Outcome, error) {
	return traffic(ctx, o, "bulk", messages(o), load.Relay)
}

// Handshakes is the contest in opening sessions. With TLS and full handshakes, pointsman takes part a second time with the hybrid key
// exchange, which the peers' OpenSSL may not know.
func Handshakes(ctx context.Context, o Options) (Outcome, error) {
	setting := fmt.Sprintf("%d handshakes under way at a time, each session reset after its 101", o.Opening)
	var beside []entrant
	if o.TLS.Clients && o.TLS.Manner == authority.Full && slices.Contains(o.Candidates, peer.Pointsman) {
		hybrid := o.TLS
		hybrid.Manner = authority.Hybrid
		beside = append(beside, entrant{HybridName, peer.Pointsman, hybrid.secured(handshakes)})
	}
	return traffic(ctx, o, "handshakes", setting, handshakes, beside...)
}

// handshakes measures the rate, and whether the sessions are good for something.
func handshakes(ctx context.Context, o load.Options) (load.Result, error) {
	res, err := load.Handshakes(ctx, o)
	if err != nil {
		return res, err
	}
	broken, err := stillCarries(ctx, o)
	res.Errors.Stalled += broken
	return res, err
}

// stillCarries opens a few sessions, sends one message over each, and counts those that fail. A proxy that answers 101
// and then carries nothing would look fast. The error is that of ctx.
func stillCarries(ctx context.Context, o load.Options) (broken int64, err error) {
	o.Connections, o.Opening, o.Patience = 16, 16, 2*time.Second
	res, err := load.Idle(ctx, o, func(context.Context) error { return nil })
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err != nil: // not even opened
		return int64(o.Connections), nil
	}
	return res.Errors.Total(), nil
}

func messages(o Options) string {
	return fmt.Sprintf("%d connections, one message of %d bytes in flight on each", o.Connections, o.Size)
}

// entrant is a candidate in one of the ways in which it takes part.
type entrant struct {
	name string // in the outcome
	of   string // the candidate's
	work work
}

// traffic measures once without a proxy, to show what the two ends can do, and then each candidate in each round, and beside them those
// that take part in another way.
func traffic(ctx context.Context, o Options, experiment, setting string, do work, beside ...entrant) (Outcome, error) {
	out := Outcome{Experiment: o.TLS.experiment(experiment), Setting: o.TLS.setting(setting)}
	var names []string
	all := map[string]entrant{peer.Direct: {peer.Direct, peer.Direct, do}}
	for _, name := range o.Candidates {
		all[name] = entrant{name, name, do}
		names = append(names, name)
	}
	for _, e := range beside {
		all[e.name] = e
		names = append(names, e.name)
	}
	err := withStage(ctx, o, func(s *stage) error {
		if err := s.startAll(ctx); err != nil {
			return err
		}
		measure := func(name string, round int) error {
			sample, err := s.measure(ctx, all[name].of, round, all[name].work)
			if err != nil {
				return err
			}
			out.add(name, sample)
			return nil
		}
		o.progress("%s: direct", out.Experiment)
		if err := measure(peer.Direct, 0); err != nil {
			return err
		}
		for round := range o.Rounds {
			for _, name := range rotate(names, round) {
				o.progress("%s: round %d of %d: %s", out.Experiment, round+1, o.Rounds, name)
				if err := measure(name, round); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return out, err
}
