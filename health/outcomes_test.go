package health

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLost(t *testing.T) {
	bubble("accepts and drops", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		for range 3 {
			r.want(Closed, true)
			r.handshake(nil)
			r.Lost(errDown)
		}
		r.want(Open, false)
	})
	bubble("good sessions excuse a loss", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		for range 10 {
			r.Lost(errDown)
			r.Lost(errDown)
			for range 3 {
				r.handshake(nil)
			}
		}
		r.want(Closed, true)
	})
	bubble("rare losses are no streak", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		for range 10 {
			r.Lost(errDown)
			r.pass(61 * time.Second)
		}
		r.want(Closed, true)
	})
	bubble("nothing and own faults are no loss", t, func(t *testing.T) {
		r := start(t, nil, Options{Fall: 1})
		r.Lost(nil)
		r.Lost(ErrLocal)
		r.Lost(fmt.Errorf("client: %w", context.Canceled))
		r.want(Closed, true)
	})
}

func TestLocalFaultsNeverCount(t *testing.T) {
	bubble("handshakes", t, func(t *testing.T) {
		r := start(t, nil, Options{Fall: 1})
		before := r.probeCount()
		for range 20 {
			r.handshake(fmt.Errorf("dial: %w", ErrLocal))
		}
		r.want(Closed, true)
		if n := r.probeCount(); n != before {
			t.Fatalf("own faults caused %d probes", n-before)
		}
	})
	bubble("neither end a streak", t, func(t *testing.T) {
		r := start(t, nil, Options{Fall: 2})
		r.handshake(errDown)
		r.handshake(ErrLocal)
		r.handshake(errDown)
		r.want(Open, false)
	})
	bubble("probes in closed", t, func(t *testing.T) {
		r := start(t, nil, Options{Fall: 1})
		r.say(ErrLocal)
		r.pass(time.Hour)
		r.want(Closed, true)
		if e := r.Status().LastProbe.Err; !strings.HasSuffix(e, "(not counted)") {
			t.Fatalf("last probe %q", e)
		}
	})
	bubble("probes in half-open do not use up its places", t, func(t *testing.T) {
		r := start(t, errDown, Options{})
		r.say(ErrLocal)
		r.pass(time.Hour)
		r.want(HalfOpen, false)
		r.say(nil)
		r.pass(2500 * ms)
		r.want(Closed, true)
	})
	bubble("unknown stays unknown, and asks soon", t, func(t *testing.T) {
		r := start(t, ErrLocal, Options{})
		r.want(Unknown, false)
		r.say(nil)
		r.pass(500 * ms)
		r.want(Closed, true)
	})
}

func TestOwnStallNeverCounts(t *testing.T) {
	late := func(err error) func(context.Context) error {
		return func(context.Context) error { time.Sleep(1501 * ms); return err }
	}
	bubble("failed probe", t, func(t *testing.T) {
		r := start(t, nil, Options{Fall: 1})
		r.do(late(errDown))
		r.pass(time.Minute)
		r.want(Closed, true)
		if e := r.Status().LastProbe.Err; !strings.Contains(e, "stood still") {
			t.Fatalf("last probe %q", e)
		}
	})
	bubble("good probe", t, func(t *testing.T) {
		r := start(t, errDown, Options{})
		r.do(late(nil))
		r.pass(time.Minute)
		r.want(HalfOpen, false)
	})
	bubble("handshake", t, func(t *testing.T) {
		r := start(t, nil, Options{Fall: 1, HandshakeTimeout: 200 * ms})
		a := r.Begin()
		r.pass(451 * ms)
		a.Done(context.DeadlineExceeded)
		r.want(Closed, true)
		a = r.Begin()
		r.pass(450 * ms) // the last moment that counts
		a.Done(context.DeadlineExceeded)
		r.want(Open, false)
	})
}

func TestLateOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, Options{})
		var early [6]Attempt
		for i := range early {
			early[i] = r.Begin()
		}
		for range 3 {
			r.handshake(errDown)
		}
		r.want(Open, false)
		early[0].Done(nil) // does not close it
		early[1].Done(errDown)
		r.want(Open, false)
		r.Begin().Done(nil) // nor does one that began in the meantime
		r.Lost(errDown)
		r.want(Open, false)
		r.pass(3 * time.Second)
		r.want(Closed, true)
		for _, a := range early[2:] { // what they have seen is over
			a.Done(errDown)
		}
		r.want(Closed, true)
		Attempt{}.Done(errDown)
	})
}

// Traffic while half-open must not take the places of the probes.
func TestTrafficWhileHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, errDown, Options{Interval: 2 * time.Second})
		r.say(nil)
		r.pass(2 * time.Second)
		r.want(HalfOpen, false)
		for range 10 {
			r.Begin() // never done
			r.Lost(errDown)
		}
		r.pass(500 * ms)
		r.want(Closed, true)
	})
}

// A handshake that changes nothing delivers nothing: not even what somebody else has
// changed and is about to say. It may come from where nobody may wait for a log.
func TestGoodHandshakeSaysNothing(t *testing.T) {
	bubble("", t, func(t *testing.T) {
		r := start(t, nil, Options{})
		r.wantChanges(true)
		a := r.Begin()
		r.mu.Lock()
		r.tell(change{msg: "somebody else's", flipped: true})
		r.mu.Unlock()
		a.Done(nil)
		r.wantChanges(true)
		r.deliver()
		r.wantChanges(true, false)
	})
}
