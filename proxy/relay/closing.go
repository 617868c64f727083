package relay

import (
	"encoding/binary"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// closeSeen takes the Close frame of one side.
func (s *session) closeSeen(from side, c *wsframe.ControlFrame, frame []byte) {
	l, to := &s.legs[from], from.other()
	l.set(gotClose | muted)
	if s.cause == 0 {
		var body [wsframe.MaxControlPayload]byte
		n := c.Unmask(body[:], frame)
		code, reason := wsframe.CodeNoStatus, ""
		if n >= 2 {
			code, reason = binary.BigEndian.Uint16(body[:]), string(body[2:n])
		}
		s.because(ClientClosed+Cause(from), code, reason)
	}
	if s.offence != nil && s.offender == to {
		// The answers in flight have reached the offender; now it gets the
		// verdict rather than the other side's polite echo.
		s.sayClose(to, s.offence.Code, s.offence.Reason)
	} else if t := &s.legs[to]; !t.any(sentClose | fin | broken) {
		s.send(to, frame)
		t.set(sentClose)
	}
	s.beginClosing()
	s.settle()
}

// offend takes a breach of the protocol, or of what is allowed besides. Everything
// before it has been passed on. The other side gets a Close frame, and what it
// still has to say flows to the offender until its own Close frame or the end of
// the close wait.
func (s *session) offend(from side, cause Cause, v *wsframe.Violation) {
	s.legs[from].set(gotClose | muted)
	s.offence, s.offender = v, from
	code := v.Code
	if from == upstream {
		code = wsframe.CodeInternalError
	}
	s.because(cause, v.Code, v.Reason)
	s.sayClose(from.other(), code, v.Reason)
	if s.legs[from.other()].any(gotClose | ended) {
		s.sayClose(from, v.Code, v.Reason)
	}
	s.beginClosing()
	s.settle()
}

// endOfStream takes the end of what one side sends. Without a Close frame
// before it the side is lost.
func (s *session) endOfStream(from side, cause Cause) {
	l := &s.legs[from]
	if l.is(ended) {
		return
	}
	l.set(ended | muted)
	l.held = nil
	if s.offence != nil && s.offender == from.other() {
		// No more answers will reach the offender: the verdict, if it still
		// waits for it.
		s.sayClose(s.offender, s.offence.Code, s.offence.Reason)
	}
	if !l.is(gotClose) {
		s.because(cause, 0, "")
		if from == client {
			// No Close frame: the upstream shall see that the client is gone,
			// not that it said good-bye.
			s.finish(upstream)
		} else if !s.legs[client].is(sentClose) {
			s.asked = false
			if s.cause != cause { // we were closing already
				s.sayClose(client, s.code, s.reason)
			} else {
				s.sayClose(client, wsframe.CodeServiceRestart, "upstream lost")
			}
			if !s.legs[client].is(sentClose) {
				s.finish(client) // a frame is half written: the plain end
			}
		}
	}
	s.beginClosing()
	s.settle()
}

// lose gives up a side that does not answer or take bytes any more.
func (s *session) lose(d side, cause Cause) {
	s.legs[d].set(broken)
	s.dropOutput(d)
	s.endOfStream(d, cause)
}

// ask begins the end that someone asked for.
func (s *session) ask(cause Cause, code uint16, reason string) {
	if s.phase != open {
		return
	}
	s.because(cause, code, reason)
	s.beginClosing()
	if s.legs[upstream].scan.AtBoundary() {
		s.sayClose(client, code, reason)
	} else {
		s.asked = true
	}
	s.settle()
}

// because notes why the session ends; the first cause counts.
func (s *session) because(cause Cause, code uint16, reason string) {
	if s.cause == 0 {
		s.cause, s.code, s.reason = cause, code, reason
	}
}

// sayClose puts a Close frame of our own between two frames, if we stand
// between two frames and that side has not been told yet.
func (s *session) sayClose(to side, code uint16, reason string) {
	t := &s.legs[to]
	if t.any(sentClose|fin|broken) || !s.legs[to.other()].scan.AtBoundary() {
		return
	}
	if code != wsframe.CodeNoStatus && !wsframe.CodeAllowed(code) {
		code = wsframe.CodeGoingAway
	}
	var b [2 * wsframe.MaxControl]byte
	out := b[:0]
	if text := s.parting.text(); to == client && text != "" && s.legs[upstream].scan.BetweenMessages() {
		out = wsframe.AppendText(out, text)
	}
	s.send(to, wsframe.AppendClose(out, code, reason, to == upstream))
	t.set(sentClose)
}

// finish ends our stream to a side once all has been written.
func (s *session) finish(d side) {
	l := &s.legs[d]
	if !l.is(fin) {
		s.farewell(d)
		l.set(fin)
	}
	if !l.is(finSent) && (l.is(broken) || !l.blocked()) {
		l.set(finSent)
		s.endStream(d)
	}
}

func (s *session) beginClosing() {
	if s.phase == open {
		s.phase = closing
		s.resume() // its end shall not have to wait for a turn
		s.schedule(s.relay.options.Load().CloseWait)
	}
}

// expire takes the end of a bounded phase.
func (s *session) expire() {
	switch s.phase {
	case closing:
		s.phase = lingering
		s.asked = false
		code, reason := s.code, s.reason
		if s.offence != nil {
			code, reason = s.offence.Code, s.offence.Reason
		}
		for _, d := range [...]side{client, upstream} {
			s.sayClose(d, code, reason)
			s.legs[d].set(muted)
			s.finish(d)
		}
		s.schedule(lingerTime)
		s.settle()
	case lingering:
		s.release()
	}
}

// settle draws the conclusions from what has changed: a side that got a Close
// frame and has sent one, or can send none any more, is ended by us, and with
// both sides ended all is over.
func (s *session) settle() {
	if s.phase == open || s.phase == over {
		return
	}
	gone := 0
	for _, d := range [...]side{client, upstream} {
		l := &s.legs[d]
		if l.is(sentClose) && l.any(gotClose|ended) {
			s.finish(d)
		}
		if l.is(ended) && (l.is(broken) || !l.blocked()) {
			gone++
		}
	}
	if gone == len(s.legs) {
		s.release()
	}
}
