package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/inbox"
	"github.com/pointsman/pointsman/bench/internal/peer"
)

func inboxCommand() *cobra.Command {
	var listen string
	var size int
	cmd := &cobra.Command{
		Use:   "inbox",
		Short: "Take broadcasts as Azure Web PubSub does and count them; the key is in " + peer.InboxKeyName,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := inbox.Listen(listen, os.Getenv(peer.InboxKeyName), size)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), peer.InboxPrefix+b.Addr())
			return b.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "IPv4 address and port")
	cmd.Flags().IntVar(&size, "size", 10_000, "length of each message in bytes; others are refused")
	return cmd
}
