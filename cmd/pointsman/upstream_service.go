package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pointsman/pointsman/internal/azure"
	"github.com/pointsman/pointsman/internal/emulator"
	"github.com/pointsman/pointsman/internal/emulator/signalr"
	"github.com/pointsman/pointsman/internal/emulator/webpubsub"
)

// emulatorKey is the access key where none is given. It is the one that
// Microsoft's own emulators are documented with, and no secret.
const emulatorKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"

// upstreamService is what the command line says about an emulated Azure service.
type upstreamService struct {
	keys         []string
	endpoint     string
	eventHandler string
	events       []string
	anonymous    bool
	connections  int
}

func (u *upstreamService) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&u.keys, "access-key", []string{emulatorKey}, "access `key` that tokens are signed with; twice for a secondary one (webpubsub, signalr)")
	f.StringVar(&u.endpoint, "endpoint", "", "`URL` under which it is known, for the connection string (default: the listening address)")
	f.StringVar(&u.eventHandler, "event-handler", "", "`URL` of the app server that is told what clients do")
	f.StringSliceVar(&u.events, "events", webpubsub.SystemEvents, "system `events` that the app server gets besides user events (webpubsub)")
	f.BoolVar(&u.anonymous, "allow-anonymous", false, "let clients without a token in")
	f.IntVar(&u.connections, "max-connections", 10_000, "most clients at the same time; more get 429")
}

// misplaced returns the error for a flag that has no meaning in a mode.
func (u *upstreamService) misplaced(cmd *cobra.Command, mode string) error {
	only := map[string]string{"events": upstreamModeWebPubSub}
	for _, flag := range []string{"access-key", "endpoint", "event-handler", "events", "allow-anonymous", "max-connections"} {
		if want := only[flag]; cmd.Flags().Changed(flag) && (mode == upstreamModeEcho || want != "" && mode != want) {
			if want == "" {
				want = upstreamModeWebPubSub + " and " + upstreamModeSignalR
			}
			return usageErrorf("--%s has no meaning for --mode %s; it is for %s", flag, mode, want)
		}
	}
	return nil
}

// put makes the service and puts it behind the emulator's door. Its errors are
// about the command line.
func (u *upstreamService) put(opts *emulator.Options, mode string) error {
	var keys []azure.Key
	if len(u.keys) > 2 {
		return fmt.Errorf("--access-key is given %d times; a service has one or two", len(u.keys))
	}
	for _, text := range u.keys {
		key, err := azure.ParseKey(text)
		if err != nil {
			return fmt.Errorf("--access-key: %w", err)
		}
		if strings.Contains(text, ";") {
			return fmt.Errorf("--access-key: a semicolon cannot stand in a connection string")
		}
		keys = append(keys, key)
	}
	var endpoint azure.Base
	if u.endpoint != "" {
		var err error
		if endpoint, err = azure.ParseBase(u.endpoint); err != nil {
			return fmt.Errorf("--endpoint: %w", err)
		}
		if endpoint.Path() != "" {
			return fmt.Errorf("--endpoint: a service has no path")
		}
	}
	if u.connections < 1 {
		return fmt.Errorf("--max-connections %d: must be above zero", u.connections)
	}
	if mode == upstreamModeWebPubSub {
		s, err := webpubsub.New(webpubsub.Options{
			Keys: keys, Endpoint: endpoint, EventHandler: u.eventHandler, Events: append([]string{}, u.events...), Anonymous: u.anonymous,
			Limits: webpubsub.Limits{Connections: u.connections}, Logger: opts.Logger,
		})
		if err != nil {
			return err
		}
		opts.Service = s
		return nil
	}
	s, err := signalr.New(signalr.Options{
		Keys: keys, Endpoint: endpoint, Upstream: u.eventHandler, Anonymous: u.anonymous,
		Limits: signalr.Limits{Connections: u.connections}, Logger: opts.Logger,
	})
	if err != nil {
		return err
	}
	opts.Service, opts.HealthPaths = s, signalr.HealthPaths
	return nil
}

// connectionString is what an SDK needs. listening is the ws:// URL.
func (u *upstreamService) connectionString(listening string) string {
	endpoint := u.endpoint
	if endpoint == "" {
		endpoint = "http" + strings.TrimPrefix(listening, "ws")
	}
	return "Endpoint=" + strings.TrimSuffix(endpoint, "/") + ";AccessKey=" + strings.TrimSpace(u.keys[0]) + ";Version=1.0;"
}
