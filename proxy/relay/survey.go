package relay

import (
	"context"
	"time"
)

// Sight is one open session as [Relay.Survey] saw it.
type Sight struct {
	Session Session
	Tag     any // of its Pair
	// Age is the time since Join, Idle that since a frame last passed, and Silent
	// that since the upstream last sent a byte.
	Age, Idle, Silent time.Duration
}

// Survey returns the sessions that are open, not yet on their way to their end,
// and that keep selects by their tag, in no order. It takes turns with the
// relaying of frames, so a session may begin or end while it is under way. keep
// is called by the loops and must be quick; it may be called concurrently. The
// error is that of ctx.
func (r *Relay) Survey(ctx context.Context, keep func(tag any) bool) ([]Sight, error) {
	return r.look(ctx, keep)
}

// sight describes s.
func (s *session) sight(now int64) Sight {
	since := func(t int64) time.Duration { return time.Duration(max(0, now-t)) * time.Millisecond }
	return Sight{
		Session: Session{s}, Tag: s.tag,
		Age: since(s.began), Idle: since(s.active), Silent: since(s.legs[upstream].heard),
	}
}
