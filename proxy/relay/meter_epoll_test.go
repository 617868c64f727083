//go:build linux && !portable

package relay

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Clients get their turns in the order of their times.
func TestHoldups(t *testing.T) {
	t.Parallel()
	random := randomness(t)
	var h holdups
	var times []int64
	for range 20_000 {
		if random.IntN(5) < 3 {
			at := random.Int64N(1000)
			h.push(holdup{at: at})
			i, _ := slices.BinarySearch(times, at)
			times = slices.Insert(times, i, at)
		} else if len(times) > 0 {
			if x := h.pop(); x.at != times[0] {
				t.Fatalf("%d before %d", x.at, times[0])
			}
			times = times[1:]
		}
	}
	for _, at := range times {
		if x := h.pop(); x.at != at {
			t.Fatalf("%d before %d", x.at, at)
		}
	}
	if len(h) > 0 || cap(h) > holdupsKept {
		t.Errorf("%d are left, room for %d", len(h), cap(h))
	}
}

// slowLoop is a loop that does not run, with a session that is limited. The test is
// the loop.
func slowLoop(t *testing.T, rate Rate) *standing {
	t.Helper()
	r := start(t, Options{})
	st := stand(t, r, upstream, only13[0])
	st.loop.relay.Configure(Options{Rate: rate})
	st.session.measure(&st.loop.relay.options.Load().quotas, 0)
	st.loop.sessions = append(st.loop.sessions, st.session)
	return st
}

// arrive sends bytes to the client's socket and waits until all are there.
func (st *standing) arrive(t *testing.T, p []byte) {
	t.Helper()
	if _, err := st.other.Write(p); err != nil {
		t.Fatal(err)
	}
	if !within(patience, func() bool {
		n, err := unix.IoctlGetInt(int(st.session.legs[client].fd), unix.TIOCINQ)
		return err == nil && n == len(p)
	}) {
		t.Fatal("the socket has got no bytes")
	}
	st.session.legs[client].set(readable)
}

// A loop sleeps while its clients are held up, until the first one has its turn:
// there is nothing that keeps it busy, and nothing that it misses.
func TestLoopSleepsBesideHeldUp(t *testing.T) {
	t.Parallel()
	st := slowLoop(t, Rate{Messages: 2, MessageBurst: 3})
	l, s := st.loop, st.session
	l.clock = 1000
	st.arrive(t, bytes.Repeat(masked(textFrame, "hello"), 5))
	l.pump(s, client)
	if !s.heldUp() || s.meter.until != 1500 || len(l.again) > 0 || len(l.heldUp) != 1 || !s.meter.waits() {
		t.Fatalf("held up until %d, %d sockets to read again, %d clients wait", s.meter.until, len(l.again), len(l.heldUp))
	}
	l.sweepAt = 1 << 40
	l.relay.began = time.Now().Add(-1100 * time.Millisecond)
	if due := l.untilDue(); due < 1 || due > 401 {
		t.Errorf("the loop sleeps for %d ms", due)
	}
	l.pump(s, client) // whatever makes it
	for _, turn := range []struct {
		at, until int64
		messages  uint64
	}{{1499, 1500, 3}, {1500, 2000, 4}, {1501, 2000, 4}, {2000, 0, 5}, {3000, 0, 5}} {
		l.clock = turn.at
		l.takeTurns()
		if s.meter.until != turn.until || s.legs[client].scan.Messages() != turn.messages {
			t.Errorf("at %d: held up until %d, %d messages have passed; want %d, %d",
				turn.at, s.meter.until, s.legs[client].scan.Messages(), turn.until, turn.messages)
		}
	}
	if s.meter.waits() || len(l.heldUp) > 0 || s.legs[client].is(readable) || s.slowed() != time.Second {
		t.Errorf("%d bytes wait, %d clients wait, slowed for %v", len(s.meter.rest), len(l.heldUp), s.slowed())
	}
}

// Who has used up its tokens to the last one and sends no more is not held up.
func TestNothingToHoldUp(t *testing.T) {
	t.Parallel()
	message := masked(textFrame, "0123456789")
	for _, rate := range []Rate{{Messages: 1, MessageBurst: 20}, {Bytes: 1, ByteBurst: 20 * int64(len(message))}} {
		st := slowLoop(t, rate)
		l, s := st.loop, st.session
		st.arrive(t, bytes.Repeat(message, 20))
		l.pump(s, client)
		l.pump(s, client)
		if s.heldUp() || len(l.heldUp) > 0 || s.legs[client].is(readable) || s.legs[client].scan.Messages() != 20 {
			t.Errorf("%+v: held up after %d messages", rate, s.legs[client].scan.Messages())
		}
		st.arrive(t, message[:1])
		l.pump(s, client)
		if !s.heldUp() || l.relay.Totals().Slowed != 1 {
			t.Errorf("%+v: one more byte is read", rate)
		}
		// It is let go before its time, and has to wait again: one turn, not two.
		s.resume()
		l.pump(s, client)
		l.clock = s.meter.until
		l.takeTurns()
		if s.heldUp() || len(l.heldUp) > 0 || s.slowed() != time.Second || l.relay.Totals().Slowed != 1 {
			t.Errorf("%+v: held up for %v, %v", rate, s.slowed(), l.relay.Totals())
		}
	}
}

// Who is held up has its turn at once when the session begins to end, or when the
// limits have changed.
func TestTurnAtOnce(t *testing.T) {
	t.Parallel()
	message := masked(textFrame, "0123456789")
	for name, occasion := range map[string]func(s *session){
		"asked": func(s *session) { s.ask(Asked, 1012, "moved") },
		"lost":  func(s *session) { s.endOfStream(upstream, UpstreamLost) },
		"no limit": func(s *session) {
			s.relay.Configure(Options{})
			s.visit(s.loop.clock)
		},
		"higher limit": func(s *session) {
			s.relay.Configure(Options{Rate: Rate{Messages: 10, MessageBurst: 20}})
			s.visit(s.loop.clock)
		},
	} {
		st := slowLoop(t, Rate{Messages: 10, MessageBurst: 5})
		l, s := st.loop, st.session
		st.arrive(t, bytes.Repeat(message, 15))
		l.pump(s, client)
		s.visit(l.clock)
		if !s.heldUp() || len(l.again) > 0 || s.legs[client].scan.Messages() != 5 {
			t.Fatalf("%s: %d messages have passed", name, s.legs[client].scan.Messages())
		}
		occasion(s)
		for _, r := range l.take(&l.again) {
			l.pump(r.session, r.side)
		}
		if n := s.legs[client].scan.Messages(); s.heldUp() || n != 15 {
			t.Errorf("%s: held up %v, %d messages have passed", name, s.heldUp(), n)
		}
	}
}

// Of a read that brings more messages than may pass, not much is kept.
func TestLittleIsKept(t *testing.T) {
	t.Parallel()
	st := slowLoop(t, Rate{Messages: 10, MessageBurst: 100})
	l, s := st.loop, st.session
	st.arrive(t, bytes.Repeat(masked(textFrame, ""), 8000))
	for range 3 {
		l.pump(s, client)
		if n := len(s.meter.rest) - s.meter.gone; !s.heldUp() || n > mostRest || cap(s.meter.rest) > 4*mostRest {
			t.Fatalf("held up: %v, with %d bytes of %d", s.heldUp(), n, cap(s.meter.rest))
		}
		l.clock = s.meter.until
		l.takeTurns()
	}
	s.dropRest()
}

func TestRelayingWithinRateAllocatesNothing(t *testing.T) {
	testAllocations(t, Options{Rate: Rate{Messages: 1 << 30, Bytes: 1 << 40}, MaxMessage: 1 << 20}, plain, 125, 10_000, 0)
}

// Nor does slowing down, but for the room for those that wait.
func TestSlowingAllocatesNothing(t *testing.T) {
	testAllocations(t, Options{Rate: Rate{Messages: 2000, MessageBurst: 100}}, plain, 125, 3000, 0)
	testAllocations(t, Options{Rate: Rate{Bytes: 40 << 20, ByteBurst: 2 << 20}}, plain, 60_000, 700, 0)
}
