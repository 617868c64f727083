package proxy

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestFewDescriptors is fault 13: a router that may open few files turns clients
// away while it has some left, so that it goes on to probe, and does not hold its
// own shortage against the upstream.
func TestFewDescriptors(t *testing.T) {
	const limit = 256
	if beChild(t, func() {
		few := syscall.Rlimit{Cur: limit, Max: limit}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
			t.Fatal(err)
		}
	}) {
		return
	}
	balanced(t)
	upstream := emulate(t, "east")
	far := startChild(t, upstream.Addr())
	r := &rig{t: t, address: far.address}
	var open []*visitor
	fill := func() {
		t.Helper()
		for {
			v, err := r.visit(goodHead)
			if err != nil {
				t.Fatal(err)
			}
			a, err := v.head()
			if err != nil {
				t.Fatalf("after %d sessions: %v", len(open), err)
			}
			if a.StatusCode == 101 {
				open = append(open, v)
				continue
			}
			checkTurn(t, a, retryAfterMost)
			v.Close()
			return
		}
	}
	fill()
	if n := len(open); n < limit/4 || n > limit/2 {
		t.Errorf("%d sessions", n)
	}
	// Then some come who say nothing, and at once a crowd. Nobody is waited for.
	before := far.report()
	for range 20 {
		v, err := r.visit("")
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
	}
	var answered, lost atomic.Int64
	crowd(200, 3, func(int) {
		v, err := r.visit(goodHead)
		if v == nil {
			t.Error(err)
			return
		}
		defer v.Close()
		switch a, err := v.head(); {
		case err == nil && a.StatusCode == 503:
			answered.Add(1)
		case errors.Is(err, syscall.ECONNRESET): // it was not waited for
			lost.Add(1)
		default:
			t.Errorf("got %v, %v", a, err)
		}
	})
	t.Logf("%d were answered, %d were not", answered.Load(), lost.Load())
	var now report
	until(t, "some more probes, and those who were refused to be gone", func() bool {
		now = far.report()
		return now.Probes > before.Probes+2 && now.Descriptors <= before.Descriptors+2
	})
	if now.BadProbes != 0 || now.Trips != 0 || !now.Healthy || now.Failures != 0 || now.Totals.AcceptErrors != 0 {
		t.Errorf("report %+v", now)
	}
	if now.Sessions != len(open) {
		t.Errorf("%d sessions, want %d", now.Sessions, len(open))
	}
	for n, v := range open { // those who are in are not concerned
		_, err := v.Write(masked(textFrame, "well?"))
		if err = errors.Join(err, v.frame(textFrame)); err != nil {
			t.Fatalf("session %d: %v", n, err)
		}
	}
	// Room that becomes free is used again.
	for _, v := range open[:20] {
		v.Close()
	}
	open = open[20:]
	until(t, "their ends", func() bool { return far.report().Sessions <= len(open) })
	left := len(open)
	fill()
	if more := len(open) - left; more < 18 {
		t.Errorf("%d clients got the room of 20", more)
	}
	for _, v := range open {
		v.Close()
	}
}
