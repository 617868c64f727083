package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/emulator"
)

// What "pointsman upstream" prints first, for people and for whoever starts it.
const (
	upstreamListeningLine  = "pointsman upstream: listening on "
	upstreamControlLine    = "pointsman upstream: control on "
	upstreamConnectionLine = "pointsman upstream: connection string "
)

// The kinds of upstream.
const (
	upstreamModeEcho      = "echo"
	upstreamModeWebPubSub = "webpubsub"
	upstreamModeSignalR   = "signalr"
)

var upstreamModes = []string{upstreamModeEcho, upstreamModeWebPubSub, upstreamModeSignalR}

func newUpstreamCommand() *cobra.Command {
	var (
		opts    emulator.Options
		service upstreamService
		mode    string
	)
	cmd := &cobra.Command{
		Use:   "upstream",
		Short: "Run a small upstream to try things with",
		Long: `upstream runs one of three upstreams, all in memory:

  echo       every text and binary message comes back, on every path
  webpubsub  emulates Azure Web PubSub
  signalr    emulates Azure SignalR Service in serverless mode

GET /api/health answers 200. The response header X-Upstream carries the name.

webpubsub and signalr print the connection string that SDKs need; no cloud
account is involved. Clients' and app servers' tokens are checked. With
--event-handler an app server is told what clients do: as CloudEvents by
webpubsub, by the serverless protocol by signalr. {hub} and {event}, with
signalr also {category}, may stand in its path and query.

What webpubsub does not do: the protobuf subprotocols, MQTT, Socket.IO, streams
and group state, event listeners, client certificates, Microsoft Entra tokens,
TLS. Its limits are its own, no tier's.

What signalr does not do: MessagePack, stateful reconnect, streams, :execute,
/api/auth/accessKey and the preview API, the default and classic modes with
connections of app servers, ASP.NET SignalR, Microsoft Entra tokens, TLS.

Neither keeps anything when it ends. docs/emulator.md says more.

Each can be told to misbehave by POST requests, with curl for example:

  /control/health?status=503               what the health check answers
  /control/handshake?status=503&share=0.3  fail that share of handshakes
  /control/slow?delay=200ms                before each answer and each echo
  /control/hang                            accept TCP, never answer HTTP
  /control/refuse?sessions=cut             close the port (sessions=stay: keep them)
  /control/reset                           reset every connection
  /control/ok                              everything normal again
  /control/state                           (GET) switches and counters

With for=10s a switch restores itself. The controls are on the listening
address; refuse and reset close that door too, unless --control gives them an
address of their own. Whoever reaches the controls may use them: stay on
loopback.`,
		Example: `  pointsman upstream --listen 127.0.0.1:9001 --mode echo --name east --control 127.0.0.1:9101
  curl -X POST 'http://127.0.0.1:9101/control/refuse?sessions=cut&for=10s'

  pointsman upstream --mode webpubsub --event-handler 'http://127.0.0.1:3000/eventhandler'
  pointsman upstream --mode signalr --listen 127.0.0.1:9002 --access-key 'a key of at least 32 characters'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(upstreamModes, mode) {
				return usageErrorf("--mode %q is not supported; supported: %s", mode, strings.Join(upstreamModes, ", "))
			}
			opts.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if err := service.misplaced(cmd, mode); err != nil {
				return err
			}
			if mode == upstreamModeEcho {
				return runUpstream(cmd, opts, nil)
			}
			if err := service.put(&opts, mode); err != nil {
				return usageError{err}
			}
			return runUpstream(cmd, opts, service.connectionString)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Listen, "listen", "127.0.0.1:9001", "`address` for clients; port 0 takes a free one")
	f.StringVar(&opts.Control, "control", "", "`address` for /control/ alone (default: on the listening address)")
	f.StringVar(&opts.Name, "name", "upstream", "`name` sent in X-Upstream")
	f.StringVar(&mode, "mode", upstreamModeEcho, "`kind` of upstream: "+strings.Join(upstreamModes, ", "))
	service.addFlags(cmd)
	return cmd
}

// runUpstream runs the upstream. connection makes the connection string of the
// URL it listens on; nil is none.
func runUpstream(cmd *cobra.Command, opts emulator.Options, connection func(url string) string) error {
	e, err := emulator.New(opts)
	if err != nil {
		return usageError{err}
	}
	if err := e.Listen(); err != nil {
		return err
	}
	lines := []string{upstreamListeningLine + e.URL()}
	if opts.Control != "" {
		lines = append(lines, upstreamControlLine+e.ControlURL())
	}
	if connection != nil {
		lines = append(lines, upstreamConnectionLine+connection(e.URL()))
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), strings.Join(lines, "\n")); err != nil {
		return err
	}
	return e.Run(cmd.Context())
}
