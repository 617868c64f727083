package crowd

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Options describe a crowd. Target is required; zero values of the rest mean the defaults named below.
type Options struct {
	// Target is the IPv4 address and port to connect to.
	Target string
	// Path is the request target of the handshake; default "/".
	Path string
	// Clients is how many there are; default 1, at most 9,000: while they change places each may need a second descriptor.
	Clients int
	// Opening is how many handshakes are under way at a time while the crowd gathers; default 64.
	Opening int
	// Active is how many of the clients, spread evenly over all, send a message in every Period (default 1 s), each at its
	// own moment; it is left out if the one before has not come back. Default none.
	Active int
	Period time.Duration
	// Size is the payload of a message in bytes; default 125, 16 to 4,096.
	Size int
	// Loops is the number of threads; default 1.
	Loops int
	// Patience is how long an answer or an echo may take; default 10 s.
	Patience time.Duration
	// Yields lets the threads have a processor only when nobody else wants it (SCHED_IDLE): for clients that would be on other
	// machines, and shall not be what is measured.
	Yields bool
	// Return makes clients come back after any end of their session. Without it they stay away.
	Return bool
}

const (
	maxClients = 9_000
	// retryPause keeps clients that cannot connect from turning in circles.
	retryPause = 20 * time.Millisecond
)

// withDefaults returns o with its defaults filled in, or what is wrong with it.
func (o Options) withDefaults() (Options, netip.AddrPort, error) {
	fill(&o.Clients, 1)
	fill(&o.Opening, 64)
	fill(&o.Size, 125)
	fill(&o.Loops, 1)
	fill(&o.Period, time.Second)
	fill(&o.Patience, 10*time.Second)
	if o.Path == "" {
		o.Path = "/"
	}
	var errs []error
	within := func(name string, v, low, high int) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("%s is %d, want %d to %d", name, v, low, high))
		}
	}
	within("clients", o.Clients, 1, maxClients)
	within("opening", o.Opening, 1, 1024)
	within("active", o.Active, 0, o.Clients)
	within("size", o.Size, labelSize, 4096)
	within("loops", o.Loops, 1, 64)
	if o.Period < 0 || o.Patience < 0 {
		errs = append(errs, errors.New("period and patience must be positive"))
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

func fill[T int | time.Duration](value *T, unset T) {
	if *value == 0 {
		*value = unset
	}
}
