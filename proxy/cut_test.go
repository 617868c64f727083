package proxy

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestCutLookup: a resolver that does not answer does not hold up the end. It
// would for longer than this test waits.
func TestCutLookup(t *testing.T) {
	balanced(t)
	r := prepare(t, Options{Shutdown: Shutdown{Deadline: soon}}, member{address: "upstream.invalid:80", spares: 1})
	asked := make(chan struct{}, 2)
	for _, target := range r.world.Load().targets {
		target.addresses.lookup = func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	r.begin()
	c := r.ask(goodHead)
	<-asked
	<-asked // one for the client, one for a spare connection
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > patience {
		t.Errorf("the end took %v", took)
	}
	if u := r.upstream("east"); !u.Healthy() {
		t.Error("the upstream was blamed for it")
	}
	c.Close()
}

// Nor does a handshake that waits for its turn.
func TestCutWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(Proxy)
		p.cut, p.cutOff = context.WithCancel(t.Context())
		began := time.Now()
		for _, turn := range []time.Duration{-1, 0, 300 * time.Millisecond} {
			if !p.await(turn) {
				t.Errorf("a wait of %v was cut", turn)
			}
		}
		if took := time.Since(began); took != 300*time.Millisecond {
			t.Errorf("waited for %v", took)
		}
		time.AfterFunc(100*time.Millisecond, p.cutOff)
		if p.await(longestQueue) {
			t.Error("the wait was not cut")
		}
		if took := time.Since(began); took != 400*time.Millisecond {
			t.Errorf("it was cut after %v", took)
		}
	})
}
