package proxy

import (
	"io"
	"sync"
	"testing"
	"time"
)

// TestSlowTLS is fault 17 in the handshake of TLS: who stops there is closed at
// the deadline of the head, wherever that is.
func TestSlowTLS(t *testing.T) {
	balanced(t)
	s := newAccepter(t)
	r, config := startTLS(t, Options{Limits: Limits{HeaderTimeout: soon}}, member{address: s.address()})
	whole := hello(t)
	for _, row := range []struct{ name, say string }{
		{"nothing", ""},
		{"one byte", whole[:1]},
		{"half a record header", whole[:3]},
		{"half a hello", whole[:len(whole)/2]},
		{"hello, and no more", whole},
		{"half a request line without TLS", "GET"},
	} {
		t.Run(row.name, func(t *testing.T) {
			began := time.Now()
			c := r.ask(row.say)
			c.t = t
			if _, err := io.Copy(io.Discard, c.in); err != nil && !isEnd(err) {
				t.Error(err)
			}
			if took := time.Since(began); took < soon || took > soon+leeway {
				t.Errorf("ended after %v, the deadline is %v", took, soon)
			}
		})
	}
	t.Run("hello byte by byte", func(t *testing.T) {
		began := time.Now()
		c := r.dial()
		c.t = t
		var group sync.WaitGroup
		group.Go(func() { // each byte comes in time, the hello does not
			for i := range whole {
				if _, err := io.WriteString(c, whole[i:i+1]); err != nil {
					return
				}
				if !within(soon/8, func() bool { return false }) && time.Since(began) > patience {
					return
				}
			}
		})
		if _, err := io.Copy(io.Discard, c.in); err != nil && !isEnd(err) {
			t.Error(err)
		}
		if took := time.Since(began); took < soon || took > soon+leeway {
			t.Errorf("ended after %v, the deadline is %v", took, soon)
		}
		c.Close()
		group.Wait()
	})
	t.Run("half a head behind it", func(t *testing.T) {
		c := r.dialTLS(config)
		if status := c.asks(t, goodHead[:50]); status != 408 {
			t.Errorf("got %d", status)
		}
	})
	r.stop()
	if n := s.conns.Load(); n != 0 {
		t.Errorf("%d connections came to the upstream", n)
	}
}

// TestManySlowTLS: clients that stop in the handshake of TLS, many more than may
// compute at once, keep nobody out although their deadline is far away, and they
// are no burden on those who are inside.
func TestManySlowTLS(t *testing.T) {
	balanced(t)
	r, config := startTLS(t, Options{}, member{address: newEchoer(t, "east").address()})
	whole := hello(t)
	inside := r.dialTLS(config)
	if status := inside.asks(t, goodHead); status != 101 {
		t.Fatalf("got %d", status)
	}
	slow := make([]*peer, 256)
	for i := range slow {
		say := whole
		if i%4 == 0 {
			say = whole[:i%len(whole)]
		}
		slow[i] = r.ask(say)
	}
	until(t, "them to be at the gate", func() bool { return r.counters.atGate.Load() == int64(len(slow)) })
	for range 3 {
		inside.greets(t)
		c := r.dialTLS(config)
		if status := c.asks(t, goodHead); status != 101 {
			t.Fatalf("got %d", status)
		}
		c.greets(t)
		c.Close()
	}
	if n := r.counters.atGate.Load(); n != int64(len(slow)) {
		t.Errorf("%d are at the gate: the others were not slow any more", n)
	}
	for _, c := range slow {
		c.Close()
	}
	inside.greets(t)
	inside.Close()
}
