package config

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Role is this router's view of an upstream.
type Role string

// Roles. Sessions go to a secondary only when no primary takes them.
const (
	RolePrimary   Role = "primary"
	RoleSecondary Role = "secondary"
)

// Router names the policy that picks an upstream for a new session.
type Router string

// Routers.
const (
	// RouterPriority prefers primaries over secondaries, then goes by weight.
	RouterPriority Router = "priority"
	// RouterLeastSessions prefers primaries over secondaries, then takes the
	// upstream with the fewest open sessions for its weight.
	RouterLeastSessions Router = "least-sessions"
	// RouterWeighted is RouterPriority by another name.
	RouterWeighted Router = "weighted"
	// RouterHash prefers primaries over secondaries, and keeps each client where
	// it is; see Hash.
	RouterHash Router = "hash"
	// RouterQuery lets clients name their upstream; see Query.
	RouterQuery Router = "query"
)

// Protocol is what is spoken on a route.
type Protocol string

// Protocols.
const (
	// ProtocolWebSocket is plain WebSocket (RFC 6455); payloads are opaque.
	ProtocolWebSocket Protocol = "websocket"
	// ProtocolWebPubSub is Azure Web PubSub: the route stands for one instance.
	ProtocolWebPubSub Protocol = "webpubsub"
	// ProtocolSignalR is Azure SignalR Service, or without connection strings
	// SignalR servers of one's own.
	ProtocolSignalR Protocol = "signalr"
)

// Probe is the kind of an active health check.
type Probe string

// Probes.
const (
	// ProbeHTTP asks for the path; 2xx is healthy.
	ProbeHTTP Probe = "http"
	// ProbeTCP connects.
	ProbeTCP Probe = "tcp"
	// ProbeWebSocket does a whole handshake, a ping and a pong.
	ProbeWebSocket Probe = "websocket"
)

// Initial is the belief about an upstream before its first probe.
type Initial string

// Initial beliefs.
const (
	InitialDown Initial = "down"
	InitialUp   Initial = "up"
)

// Format is the form of a log line.
type Format string

// Log formats.
const (
	FormatText Format = "text"
	FormatJSON Format = "json"
)

// ByteSize is a number of bytes.
type ByteSize int64

// Units of ByteSize.
const (
	KiB ByteSize = 1 << 10
	MiB ByteSize = 1 << 20
	GiB ByteSize = 1 << 30
)

// String returns the size as the file has it: in the largest unit that divides
// it ("16MiB"), or in plain bytes ("125").
func (s ByteSize) String() string {
	for _, u := range []struct {
		size ByteSize
		name string
	}{{GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

var sizeForm = regexp.MustCompile(`^([0-9]+)(KiB|MiB|GiB)?$`)

// parseSize reads plain bytes, or a whole number with KiB, MiB or GiB.
func parseSize(text string) (ByteSize, error) {
	m := sizeForm.FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New("is not a size")
	}
	unit := map[string]ByteSize{"": 1, "KiB": KiB, "MiB": MiB, "GiB": GiB}[m[2]]
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n > math.MaxInt64/int64(unit) {
		return 0, errors.New("is too large")
	}
	return ByteSize(n) * unit, nil
}

var (
	bareNumber   = regexp.MustCompile(`^[+-]?[0-9]*\.?[0-9]+$`)
	durationForm = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?(ns|us|µs|μs|ms|s|m|h))+$`)
)

// parseDuration reads a Go duration and says why something is none.
func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err == nil && d < 0:
		return 0, errors.New("is negative")
	case err == nil:
		return d, nil
	case text == "":
		return 0, errors.New("is empty")
	case bareNumber.MatchString(text):
		return 0, errors.New("has no unit")
	case durationForm.MatchString(text):
		return 0, errors.New("is too long")
	}
	return 0, errors.New("is not a duration")
}

// formatDuration is time.Duration.String without the zero parts at the end:
// "24h", not "24h0m0s".
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
