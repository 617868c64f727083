package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/contest"
)

func tlsCommand() *cobra.Command { return tlsExperiment().command() }

// loadGarbage makes the load collect its garbage seldom while it speaks TLS: each handshake leaves some, and on two processors the
// collector would take its time from the candidates.
const loadGarbage = 800

// Parts of the experiment with TLS.
const (
	secureIdle       = "idle"
	secureBoth       = "both"
	secureRelay      = "relay"
	secureHandshakes = "handshakes"
	secureResumed    = "resumed"
)

var secureParts = []string{secureIdle, secureBoth, secureRelay, secureHandshakes, secureResumed}

// tlsExperiment asks what TLS costs: at rest, for a message, and for a handshake.
func tlsExperiment() experiment {
	var sessions int
	parts := secureParts
	return experiment{
		use:   "tls",
		short: "TLS: memory at rest, processor time per round trip and per handshake",
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&sessions, "sessions", 0, "idle sessions; 0 = 4000, with --quick 300")
			cmd.Flags().StringSliceVar(&parts, "parts", secureParts, "what to measure")
		},
		run: func(ctx context.Context, m *measurement) error {
			for _, part := range parts {
				if !slices.Contains(secureParts, part) {
					return fmt.Errorf("part %q: want some of %s", part, strings.Join(secureParts, ", "))
				}
			}
			defer debug.SetGCPercent(debug.SetGCPercent(loadGarbage))
			a, err := authority.New(filepath.Join(m.dir, "authority"))
			if err != nil {
				return err
			}
			for _, part := range secureParts {
				if !slices.Contains(parts, part) {
					continue
				}
				if err := m.secure(ctx, part, contest.TLS{Authority: a, Clients: true}, sessions); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// secure measures one part; sessions are those of idle ones, 0 for the default.
func (m *measurement) secure(ctx context.Context, part string, how contest.TLS, sessions int) error {
	o := m.options(5)
	o.Connections, o.Opening, o.Size = 100, 64, 125
	if part == secureIdle || part == secureBoth {
		o = m.options(2)
		o.Connections, o.Opening, o.Settle, o.Size = 4000, 64, 15*time.Second, 125
		if m.quick {
			o.Connections, o.Settle = 300, time.Second
		}
		if sessions != 0 {
			o.Connections = sessions
		}
	}
	how.Upstream = part == secureBoth
	if part == secureResumed {
		how.Manner = authority.Resumed
	}
	o.TLS = how
	switch part {
	case secureIdle, secureBoth:
		return m.contested(contest.Idle(ctx, o))
	case secureRelay:
		return m.contested(contest.Relay(ctx, o))
	}
	return m.contested(contest.Handshakes(ctx, o))
}
