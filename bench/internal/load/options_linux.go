package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Options describe a run. Zero values mean the defaults named below; a run copies the options before it starts.
type Options struct {
	// Target is the IPv4 address and port to connect to. Required.
	Target string
	// Path is the request target of the handshake; default "/".
	Path string
	// Connections is the number of sessions of Relay and Idle; default 1, at most 19,000.
	Connections int
	// Opening is how many handshakes are under way at a time; default 64, at most 1,024.
	Opening int
	// Size is the payload of a message in bytes; default 125, at most 16 MiB. Idle checks its sessions with one
	// message of this size each.
	Size int
	// Loops is the number of threads; default 1.
	Loops int
	// TLS, if set, is the clients' side of TLS: each session begins with a handshake of it. Its latency counts as that of
	// the session's. The loops share it.
	TLS *tls.Config
	// Every is the time between the begins of two messages of a session of Relay, so that the load is the same whatever the
	// answers take; the sessions take turns. Default none: the next message begins when the answer to the one before is there.
	Every time.Duration
	// Warmup precedes the measured interval of Relay and Handshakes; default none.
	Warmup time.Duration
	// Duration is the measured interval of Relay and Handshakes; default 1 s, at most 1 h.
	Duration time.Duration
	// Count ends Handshakes earlier, after that many in the measured interval; default no such end.
	Count int
	// Patience is how long a handshake, or the last message of a session, may take before it counts as stalled;
	// default 10 s.
	Patience time.Duration
	// Begin and End, if set, are called at the two ends of each measured interval, and there only: in the run's own
	// goroutine, while the load goes on. An error ends the run.
	Begin, End func() error
}

const maxConnections = 19_000

// withDefaults returns o with its defaults filled in, or what is wrong with it.
func (o Options) withDefaults() (Options, netip.AddrPort, error) {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Connections, 1)
	def(&o.Opening, 64)
	def(&o.Size, 125)
	def(&o.Loops, 1)
	if o.Path == "" {
		o.Path = "/"
	}
	if o.Duration == 0 {
		o.Duration = time.Second
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	nothing := func() error { return nil }
	if o.Begin == nil {
		o.Begin = nothing
	}
	if o.End == nil {
		o.End = nothing
	}

	var errs []error
	within := func(name string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s is %d, want %d to %d", name, v, low, high))
		}
	}
	within("connections", o.Connections, 1, maxConnections)
	within("opening", o.Opening, 1, 1024)
	within("size", o.Size, 0, 16<<20)
	within("loops", o.Loops, 1, 64)
	within("count", o.Count, 0, 100_000_000)
	if o.Every < 0 || o.Every > time.Hour {
		errs = append(errs, fmt.Errorf("every %v, want 0 to 1h", o.Every))
	}
	if o.Duration < 0 || o.Duration > time.Hour || o.Warmup < 0 || o.Warmup > time.Hour || o.Patience < 0 {
		errs = append(errs, errors.New("warm-up, duration and patience must be between 0 and 1h"))
	}
	if o.Path[0] != '/' {
		errs = append(errs, fmt.Errorf("path %q does not start with a slash", o.Path))
	}
	at, err := netip.ParseAddrPort(o.Target)
	if err == nil && !at.Addr().Is4() {
		err = errors.New("not an IPv4 address")
	}
	if err != nil {
		errs = append(errs, fmt.Errorf("target %q: %w", o.Target, err))
	}
	return o, at, errors.Join(errs...)
}
