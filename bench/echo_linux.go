package main

import (
	"crypto/tls"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/bench/internal/authority"
	"github.com/pointsman/pointsman/bench/internal/echo"
	"github.com/pointsman/pointsman/bench/internal/peer"
)

func echoCommand() *cobra.Command {
	var listen, name, cert, key string
	var loops int
	var yields bool
	cmd := &cobra.Command{
		Use:   "echo",
		Short: "Serve a WebSocket echo that is leaner than any proxy in front of it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := peer.RaiseDescriptors(); err != nil {
				return err
			}
			var secure *tls.Config
			if cert != "" {
				var err error
				if secure, err = authority.Server(cert, key); err != nil {
					return err
				}
			}
			s, err := echo.Listen(listen, loops, name, secure)
			if err != nil {
				return err
			}
			s.Yields = yields
			fmt.Fprintln(cmd.OutOrStdout(), peer.EchoPrefix+s.Addr())
			return s.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "IPv4 address and port")
	cmd.Flags().StringVar(&name, "name", "", "told to each client in the field "+echo.NameHeader)
	cmd.Flags().StringVar(&cert, "cert", "", "PEM file of a certificate, to speak TLS")
	cmd.Flags().StringVar(&key, "key", "", "PEM file of its key")
	cmd.Flags().IntVar(&loops, "loops", 1, "threads, each with a listener of its own")
	cmd.Flags().BoolVar(&yields, "yield", false, "run only when nobody else wants a processor")
	return cmd
}
