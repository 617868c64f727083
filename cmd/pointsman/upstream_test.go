package main

import (
	"strings"
	"testing"

	"github.com/pointsman/pointsman/internal/azure"
)

// TestUpstreamServices: what is printed is what an SDK needs.
func TestUpstreamServices(t *testing.T) {
	for _, mode := range []string{upstreamModeWebPubSub, upstreamModeSignalR} {
		for name, tt := range map[string]struct {
			args     []string
			key      string
			endpoint string // "" is the listening address
		}{
			"defaults": {nil, emulatorKey, ""},
			"own key":  {[]string{"--access-key", "first=+/", "--access-key", "second"}, "first=+/", ""},
			"endpoint": {[]string{"--endpoint", "https://emulator.example/"}, emulatorKey, "https://emulator.example"},
		} {
			t.Run(mode+", "+name, func(t *testing.T) {
				code, stdout, stderr := try(t, append([]string{"upstream", "--listen", "127.0.0.1:0", "--mode", mode}, tt.args...)...)
				lines := strings.Split(strings.TrimSpace(stdout), "\n")
				if code != exitOK || len(lines) != 2 {
					t.Fatalf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
				}
				url, ok := strings.CutPrefix(lines[0], upstreamListeningLine+"ws://")
				text, also := strings.CutPrefix(lines[1], upstreamConnectionLine)
				if !ok || !also {
					t.Fatalf("stdout %q", stdout)
				}
				c, err := azure.ParseConnectionString(text)
				if err != nil {
					t.Fatal(err)
				}
				endpoint := tt.endpoint
				if endpoint == "" {
					endpoint = "http://" + url
				}
				if c.Endpoint.String() != endpoint || c.Key.Reveal() != tt.key {
					t.Errorf("connection string %q, want %s and %s", text, endpoint, tt.key)
				}
				if strings.Contains(stderr, tt.key) {
					t.Error("the key is in the log")
				}
			})
		}
	}
}

func TestUpstreamUsage(t *testing.T) {
	for name, tt := range map[string]struct{ args, says string }{
		"key for echo":     {"--access-key secret-key", "--access-key has no meaning for --mode echo; it is for webpubsub and signalr"},
		"events, signalr":  {"--mode signalr --events connect", "--events has no meaning for --mode signalr; it is for webpubsub"},
		"three keys":       {"--mode signalr --access-key a --access-key b --access-key secret-key", "--access-key is given 3 times"},
		"empty key":        {"--mode signalr --access-key=", "--access-key: access key is empty"},
		"semicolon":        {"--mode webpubsub --access-key secret-key;", "semicolon"},
		"bad endpoint":     {"--mode webpubsub --endpoint example", "--endpoint: "},
		"path of endpoint": {"--mode webpubsub --endpoint http://example/path", "--endpoint: a service has no path"},
		"event handler":    {"--mode webpubsub --event-handler ftp://secret-key.example", "event handler: not an absolute http or https URL"},
		"upstream":         {"--mode signalr --event-handler http://{hub}.example?code=secret-key", "path and the query only"},
		"unknown event":    {"--mode webpubsub --events reconnected", `system event "reconnected"`},
		"no connections":   {"--mode signalr --max-connections 0", "--max-connections 0: must be above zero"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := try(t, append([]string{"upstream", "--listen", "127.0.0.1:0"}, strings.Fields(tt.args)...)...)
			if code != exitUsage || !strings.Contains(stderr, tt.says) || stdout != "" {
				t.Errorf("exit code %d, stdout %q, stderr %q, want %q", code, stdout, stderr, tt.says)
			}
			if strings.Contains(stderr, "secret-key") {
				t.Errorf("a secret is told: %q", stderr)
			}
		})
	}
}

// TestUpstreamHelp: what a mode does not do is said where people look first.
func TestUpstreamHelp(t *testing.T) {
	_, help, _ := try(t, "upstream", "--help")
	for _, want := range []string{
		"webpubsub", "signalr", "What webpubsub does not do", "What signalr does not do", "protobuf", "MQTT", "MessagePack", "stateful reconnect", "--event-handler", "/control/hang",
	} {
		if !strings.Contains(help, want) {
			t.Errorf("the help does not mention %q", want)
		}
	}
}
