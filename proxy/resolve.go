package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// addressesFresh is how long the addresses of a name are used before they are
// asked for again. The system's resolver does not tell the record's own time.
const addressesFresh = 10 * time.Second

// addresses are those of one upstream. An address in the URL is used as it is.
// Of a name the last good answer is kept: that a resolver has no answer is no
// reason to believe that the upstream has gone.
type addresses struct {
	host   string
	port   uint16
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	mu      sync.Mutex // guards what follows; not held while asking
	known   []netip.AddrPort
	askedAt time.Time // when the last question was begun; zero = never
	fixed   bool

	due chan struct{} // room for one: run shall ask
}

func newAddresses(host string, port uint16) *addresses {
	a := &addresses{host: host, port: port, lookup: net.DefaultResolver.LookupNetIP, due: make(chan struct{}, 1)}
	if ip, err := netip.ParseAddr(host); err == nil {
		a.known, a.fixed = []netip.AddrPort{netip.AddrPortFrom(ip, port)}, true
	}
	return a
}

// get returns the addresses to try, in order. The slice is shared. It waits for
// the resolver only if there is no answer yet, and not beyond the end of ctx; a
// stale answer is used once more while run asks for a new one.
func (a *addresses) get(ctx context.Context, deadline time.Time) ([]netip.AddrPort, error) {
	if known := a.now(); known != nil {
		return known, nil
	}
	return a.ask(ctx, deadline)
}

// now returns the addresses that are known, without waiting.
func (a *addresses) now() []netip.AddrPort {
	if a.fixed {
		return a.known
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known != nil && time.Since(a.askedAt) >= addressesFresh {
		a.askedAt = time.Now()
		select {
		case a.due <- struct{}{}:
		default: // run is still busy with the last question
		}
	}
	return a.known
}

// run asks for stale addresses again, until ctx is done.
func (a *addresses) run(ctx context.Context) {
	for !a.fixed {
		select {
		case <-a.due:
			// A bad answer changes nothing, and the next get asks again in time.
			_, _ = a.ask(ctx, time.Now().Add(addressesFresh))
		case <-ctx.Done():
			return
		}
	}
}

// ask asks the resolver and keeps a good answer.
func (a *addresses) ask(ctx context.Context, deadline time.Time) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	ips, err := a.lookup(ctx, "ip", a.host)
	if err == nil && len(ips) == 0 {
		err = &net.DNSError{Err: "no address", Name: a.host, IsNotFound: true}
	}
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", a.host, err)
	}
	known := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		known[i] = netip.AddrPortFrom(ip.Unmap(), a.port)
	}
	a.mu.Lock()
	a.known, a.askedAt = known, time.Now()
	a.mu.Unlock()
	return known, nil
}
