package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/load"
	"github.com/pointsman/pointsman/bench/internal/peer"
)

func loadCommand() *cobra.Command {
	var o load.Options
	var mode string
	var hold time.Duration
	cmd := &cobra.Command{
		Use:   "load ADDRESS",
		Short: "Put WebSocket load on an address and print the result as JSON",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := peer.RaiseDescriptors(); err != nil {
				return err
			}
			o.Target = args[0]
			res, err := runLoad(cmd.Context(), mode, o, hold)
			if err != nil {
				return err
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetIndent("", "  ")
			if err := out.Encode(res); err != nil {
				return fmt.Errorf("write result: %w", err)
			}
			if n := res.Errors.Total(); n > 0 {
				return fmt.Errorf("%d errors", n)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&mode, "mode", "relay", "relay, handshakes or idle")
	f.StringVar(&o.Path, "path", "/", "request target of the handshake")
	f.IntVar(&o.Connections, "connections", 100, "sessions (relay, idle)")
	f.IntVar(&o.Opening, "opening", 64, "handshakes under way at a time")
	f.IntVar(&o.Size, "size", 125, "payload of a message in bytes")
	f.IntVar(&o.Loops, "loops", 1, "threads")
	f.DurationVar(&o.Every, "every", 0, "between two messages of a session (relay); 0 = the next one begins with the answer")
	f.DurationVar(&o.Warmup, "warmup", 500*time.Millisecond, "before the measured interval (relay, handshakes)")
	f.DurationVar(&o.Duration, "duration", 5*time.Second, "measured interval (relay, handshakes)")
	f.IntVar(&o.Count, "count", 0, "end after this many handshakes; 0 = after the duration")
	f.DurationVar(&o.Patience, "patience", 10*time.Second, "how long an answer may take")
	f.DurationVar(&hold, "hold", 15*time.Second, "how long the sessions rest (idle)")
	return cmd
}

func runLoad(ctx context.Context, mode string, o load.Options, hold time.Duration) (load.Result, error) {
	switch mode {
	case "relay":
		return load.Relay(ctx, o)
	case "handshakes":
		return load.Handshakes(ctx, o)
	case "idle":
		return load.Idle(ctx, o, func(ctx context.Context) error { return pause(ctx, hold) })
	}
	return load.Result{}, fmt.Errorf("mode %q: want relay, handshakes or idle", mode)
}

// pause waits for d, or for the end of ctx, which is an error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
