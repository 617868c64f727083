//go:build !linux || portable

package relay

import "time"

// stay is what ends the wait of a client that is held up. The goroutine that reads
// it keeps what may not pass yet.
type stay struct{ turn *time.Timer }

// pass passes on the last n bytes of buffer, as fast as may be. In front of them
// there is room for what is held.
func (s *session) pass(from side, buffer []byte, n int) {
	l := &s.legs[from]
	for n > 0 {
		if from == client {
			s.waitForTurn()
		}
		if s.phase == over {
			return
		}
		start := len(buffer) - n
		held := copy(buffer[start-len(l.held):], l.held)
		l.held = nil
		n = s.data(from, buffer[start-held:])
		s.waitForRoom(from)
	}
}

// waitForRoom waits until the other side has taken what it was sent.
func (s *session) waitForRoom(from side) {
	l, to := &s.legs[from], &s.legs[from.other()]
	s.startWriter(from.other())
	for to.blocked() && !to.is(broken) && !l.is(muted) && s.phase != over {
		s.changed.Wait()
	}
}

// waitForTurn waits until a client may send something.
func (s *session) waitForTurn() {
	for s.meter != nil && s.phase == open {
		m, now, held := s.meter, s.clock(), len(s.legs[client].held)
		m.fill(&s.relay.options.Load().quotas, now)
		if !m.quotas.slows() || m.ready(held) {
			return
		}
		wait := m.wait(held)
		s.holdUp(now, wait)
		s.startWriter(client)
		s.startWriter(upstream)
		m.turn = time.AfterFunc(time.Duration(wait)*time.Millisecond, func() { s.do(s.resume) })
		for m.until > 0 && s.phase != over {
			s.changed.Wait()
		}
		m.turn.Stop()
	}
}

// resume lets a client be read that was held up.
func (s *session) resume() {
	if s.heldUp() {
		s.meter.letGo(s.clock())
		s.changed.Broadcast()
	}
}
