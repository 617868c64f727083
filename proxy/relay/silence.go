package relay

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// visit looks for silence that has lasted too long.
func (s *session) visit(now int64) {
	if s.phase != open {
		return
	}
	o := s.relay.options.Load()
	s.follow(o)
	// A side is not read while the other one takes nothing, nor a client that has
	// sent too much: what it said may be waiting, so its silence has not begun.
	unread := [...]bool{client: s.legs[upstream].blocked() || s.heldUp(), upstream: s.legs[client].blocked()}
	for d := client; d <= upstream && s.phase == open; d++ {
		l := &s.legs[d]
		if o.WriteTimeout > 0 && l.blocked() && now-l.blockedAt >= o.WriteTimeout.Milliseconds() {
			s.lose(d, ClientStalled+Cause(d))
			return
		}
		if unread[d] {
			l.heard = now
		}
		switch {
		case o.PingInterval <= 0:
		case l.pingAt == 0 || l.heard >= l.pingAt:
			l.pingAt = 0
			if now-l.heard >= o.PingInterval.Milliseconds() && !l.blocked() && s.legs[d.other()].scan.AtBoundary() {
				l.pingAt = now
				s.sayPing(d)
			}
		case now-l.pingAt >= o.PingTimeout.Milliseconds():
			s.lose(d, ClientSilent+Cause(d))
			return
		}
	}
	if s.heldUp() {
		s.active = now // what it sent waits, and when it is let go that takes a moment to pass
	}
	if o.IdleTimeout > 0 && now-s.active >= o.IdleTimeout.Milliseconds() {
		s.ask(Idle, wsframe.CodeGoingAway, "idle")
	}
	if o.MaxAge > 0 && now-s.began >= s.lifetime(o.MaxAge) {
		s.ask(Expired, wsframe.CodeServiceRestart, "session too old")
	}
}

// lifetime is the age, in ms, at which the session ends: most, give or take a
// tenth. Sessions that began together shall not end together.
func (s *session) lifetime(most time.Duration) int64 {
	share := float64(s.nonce>>11) / (1 << 53)
	return int64(float64(most.Milliseconds()) * (0.9 + 0.2*share))
}

// newNonce returns the payload of a session's own pings.
func newNonce() uint64 { return rand.Uint64() }

// sayPing puts a Ping between two frames.
func (s *session) sayPing(to side) {
	var payload [8]byte
	binary.LittleEndian.PutUint64(payload[:], s.nonce)
	var b [wsframe.MaxControl]byte
	s.send(to, wsframe.AppendControl(b[:0], wsframe.Ping, payload[:], to == upstream))
}

// answersPing reports whether a Pong answers a Ping of our own.
func (s *session) answersPing(c *wsframe.ControlFrame, frame []byte) bool {
	var b [8]byte
	return c.Len()-c.HeaderLen() == len(b) && c.Unmask(b[:], frame) == len(b) &&
		binary.LittleEndian.Uint64(b[:]) == s.nonce
}
