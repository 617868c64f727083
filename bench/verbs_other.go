//go:build !linux

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// verbs are the same names as on Linux, each with an answer that says why it does not run here.
func verbs() []*cobra.Command {
	var cmds []*cobra.Command
	for _, name := range []string{"all", "relay", "bulk", "idle", "handshakes", "failover",
		"drain", "flap", "reload", "shutdown", "storm", "tls", "spares", "slow", "descriptors", "fanout", "load", "echo", "inbox"} {
		cmds = append(cmds, &cobra.Command{
			Use:                name,
			Short:              "Needs Linux",
			DisableFlagParsing: true,
			RunE: func(*cobra.Command, []string) error {
				return errors.New(name + " needs Linux: it is built on epoll and /proc")
			},
		})
	}
	return cmds
}
