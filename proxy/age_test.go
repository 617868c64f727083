package proxy

import (
	"testing"
	"time"

	"github.com/pointsman/pointsman/proxy/relay"
)

// TestMaxAge is fault 31: sessions that have reached their age are asked to come
// again, none before nine tenths of it, and not all in one moment.
func TestMaxAge(t *testing.T) {
	t.Parallel()
	const sessions, age = 60, time.Second
	r := start(t, Options{Relay: relay.Options{MaxAge: age}}, member{address: newEchoer(t, "east").address()})
	late := watchLag(t)
	type session struct {
		*visitor
		began time.Time
		lived time.Duration
	}
	all := make([]session, sessions)
	for i := range all {
		began := time.Now()
		v, err := r.visit(goodHead)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.open(); err != nil {
			t.Fatal(err)
		}
		all[i] = session{visitor: v, began: began}
	}
	crowd(sessions, 1, func(i int) {
		s := &all[i]
		defer s.Close()
		f, err := readFrame(s.in)
		s.lived = time.Since(s.began)
		if err != nil || f.first != closeFrame || f.payload != status(1012, "session too old") {
			t.Errorf("session %d got %v, %v", i, f, err)
		}
		_, _ = s.Write(masked(closeFrame, f.payload))
	})
	shortest, longest := all[0].lived, all[0].lived
	for _, s := range all {
		shortest, longest = min(shortest, s.lived), max(longest, s.lived)
	}
	if shortest < age*9/10 {
		t.Errorf("a session was closed after %v", shortest)
	}
	// A fifth of the age lies between the first and the last; by chance it is less.
	if spread := longest - shortest; spread < age/20 && late.worst() < age/20 {
		t.Errorf("all were closed within %v", spread)
	}
	for range sessions {
		r.wantEnd("expired")
	}
	if n := r.upstream("east").Totals().Lost; n != 0 {
		t.Errorf("%d sessions count as lost", n)
	}
}
