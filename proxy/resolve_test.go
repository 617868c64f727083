package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pointsman/pointsman/health"
)

// zone stands in for the resolver. It knows one name.
type zone struct {
	mu     sync.Mutex
	answer []netip.Addr // none means that the name does not exist
	silent bool
	asked  int
}

// set changes what the zone says.
func (z *zone) set(silent bool, answer ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.silent, z.answer = silent, nil
	for _, a := range answer {
		z.answer = append(z.answer, netip.MustParseAddr(a))
	}
}

func (z *zone) questions() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked
}

func (z *zone) lookup(ctx context.Context, _, host string) ([]netip.Addr, error) {
	z.mu.Lock()
	z.asked++
	silent, answer := z.silent, z.answer
	z.mu.Unlock()
	switch {
	case silent:
		<-ctx.Done()
		return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
	case len(answer) == 0:
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return answer, nil
}

func in(d time.Duration) time.Time { return time.Now().Add(d) }

// wants asks for the addresses, which must be these.
func (a *addresses) wants(t *testing.T, want ...string) {
	t.Helper()
	got, err := a.get(t.Context(), in(patience))
	if err != nil {
		t.Fatal(err)
	}
	if !a.are(got, want...) {
		t.Errorf("addresses %v, want %v", got, want)
	}
}

func (a *addresses) are(got []netip.AddrPort, want ...string) bool {
	return slices.EqualFunc(got, want, func(a netip.AddrPort, b string) bool { return a.String() == b })
}

// age makes the answer stale.
func (a *addresses) age() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.askedAt = a.askedAt.Add(-addressesFresh)
}

// TestAddresses is fault 23: the last good answer is kept, a new one is used,
// and no answer is not an empty one.
func TestAddresses(t *testing.T) {
	balanced(t)
	var z zone
	a := newAddresses("east.test", 9001)
	a.lookup = z.lookup
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { a.run(ctx) })

	if _, err := a.get(t.Context(), in(patience)); err == nil || health.IsLocal(err) || !strings.Contains(err.Error(), "east.test") {
		t.Errorf("a name that does not exist: %v", err)
	}
	z.set(true)
	if _, err := a.get(t.Context(), in(soon)); !timedOut(err) {
		t.Errorf("a resolver that does not answer: %v", err)
	}
	z.set(false, "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.9")
	first := []string{"192.0.2.1:9001", "[2001:db8::1]:9001", "192.0.2.9:9001"}
	a.wants(t, first...)
	asked := z.questions()
	z.set(false, "192.0.2.2")
	a.wants(t, first...)
	if z.questions() != asked {
		t.Error("asked again for a fresh answer")
	}
	a.age()
	a.wants(t, first...) // without waiting
	until(t, "the new answer", func() bool {
		got, err := a.get(t.Context(), in(patience))
		return err == nil && a.are(got, "192.0.2.2:9001")
	})
	for _, silent := range []bool{false, true} { // no such name any more; no resolver
		z.set(silent)
		asked := z.questions()
		a.age()
		a.wants(t, "192.0.2.2:9001")
		until(t, "the question", func() bool { return z.questions() == asked+1 })
		a.wants(t, "192.0.2.2:9001")
		if n := z.questions(); n != asked+1 {
			t.Errorf("%d questions at a time", n-asked)
		}
	}
}

// TestFixedAddress: an address needs no resolver.
func TestFixedAddress(t *testing.T) {
	var z zone
	for host, want := range map[string]string{"192.0.2.1": "192.0.2.1:80", "2001:db8::1": "[2001:db8::1]:80"} {
		a := newAddresses(host, 80)
		a.lookup = z.lookup
		if got, err := a.get(t.Context(), in(-time.Hour)); err != nil || !a.are(got, want) {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	if n := z.questions(); n != 0 {
		t.Errorf("%d questions", n)
	}
}

// TestNamedUpstream: the addresses of a name are tried in turn.
func TestNamedUpstream(t *testing.T) {
	balanced(t)
	var z zone
	s := newAccepter(t)
	_, port, err := net.SplitHostPort(s.address())
	if err != nil {
		t.Fatal(err)
	}
	// The addresses share this time, should the first be a black hole.
	r := prepare(t, Options{Failover: Failover{ConnectTimeout: leeway}}, member{address: "east.test:" + port})
	r.world.Load().targets[r.upstream("east")].addresses.lookup = z.lookup
	r.begin()
	r.ask(goodHead).refusedBy(t, 503) // no such name yet
	z.set(false, "127.0.0.2", "127.0.0.1")
	c := r.ask(goodHead)
	c.upgraded()
	u := s.session()
	echoes(t, c, u, 1)
	c.Close()
	u.Close()
	if n := r.upstream("east").Totals().HandshakeFailures; n != 1 {
		t.Errorf("%d failures", n)
	}
}
