package relay

import (
	"math"
	"time"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// What is said to a client that sends more than it may.
var (
	errTooManyMessages = &wsframe.Violation{Code: wsframe.CodePolicy, Reason: "too many messages per second"}
	errTooManyBytes    = &wsframe.Violation{Code: wsframe.CodePolicy, Reason: "too many bytes per second"}
)

// quotas are the bounds of [Options.Rate], as they are reckoned with.
type quotas struct {
	messages, bytes quota
	close           bool
}

func newQuotas(r Rate) quotas {
	return quotas{
		messages: newQuota(int64(r.Messages), int64(r.MessageBurst), 1),
		bytes:    newQuota(r.Bytes, r.ByteBurst, wsframe.MaxControl),
		close:    r.Close,
	}
}

func (q *quotas) none() bool { return q.messages.rate == 0 && q.bytes.rate == 0 }

// slows reports whether clients are held up.
func (q *quotas) slows() bool { return !q.close && !q.none() }

// meter measures what the client of one session sends. A session that is not
// limited has none.
type meter struct {
	quotas          *quotas // by which it was last filled
	messages, bytes bucket
	filled          int64 // when that was, ms

	until   int64 // the client is held up until then, ms; 0: it is not
	since   int64 // and has been since then
	slowed  int64 // and was before that, ms
	counted bool  // among those that were ever held up

	verdict *wsframe.Violation // for the end of the frame under way
	stay
}

// measure begins to measure what the client sends.
func (s *session) measure(q *quotas, now int64) { s.meter = &meter{quotas: q, filled: now} }

// limited returns the meter if what this side sends is limited now.
func (s *session) limited(from side) *meter {
	if from == client && s.meter != nil && s.phase == open && !s.meter.quotas.none() {
		return s.meter
	}
	return nil
}

// condemned reports whether this side has sent too much and is in its last frame.
func (s *session) condemned(from side) bool {
	return from == client && s.meter != nil && s.meter.verdict != nil
}

// heldUp reports whether the client is not read because it has sent too much.
func (s *session) heldUp() bool { return s.meter != nil && s.meter.until > 0 }

// fill fills the buckets up.
func (m *meter) fill(q *quotas, now int64) {
	m.messages.fill(q.messages, now-m.filled)
	m.bytes.fill(q.bytes, now-m.filled)
	m.quotas, m.filled = q, max(now, m.filled)
}

// ready reports whether something may pass, behind so many bytes that are held.
func (m *meter) ready(held int) bool {
	return m.messages.left(m.quotas.messages) > 0 && m.bytes.left(m.quotas.bytes) > int64(held)
}

// room is how many messages may begin, and by how much n bytes are too many.
func (m *meter) room(n int) (messages, over int) {
	messages = int(min(m.messages.left(m.quotas.messages), math.MaxInt))
	return messages, n - int(min(m.bytes.left(m.quotas.bytes), int64(n)))
}

// take takes what has passed out of the buckets.
func (m *meter) take(messages, bytes int) {
	m.messages.take(m.quotas.messages, int64(messages))
	m.bytes.take(m.quotas.bytes, int64(bytes))
}

// wait is how long a client that has used up its tokens is held up, in ms.
func (m *meter) wait(held int) int64 {
	q := m.quotas
	return max(m.messages.wait(q.messages, q.messages.turn), m.bytes.wait(q.bytes, max(q.bytes.turn, int64(held)+1)))
}

// holdUp notes that the client is not read for so many milliseconds from now.
func (s *session) holdUp(now, wait int64) {
	m := s.meter
	m.since, m.until = now, now+wait
	if !m.counted {
		m.counted = true
		s.relay.slowed.Add(1)
	}
}

// letGo notes that the client is read again.
func (m *meter) letGo(now int64) {
	m.slowed += max(0, now-m.since)
	m.until = 0
}

// slowed is how long the client was held up in all.
func (s *session) slowed() time.Duration {
	m := s.meter
	if m == nil {
		return 0
	}
	if m.until > 0 {
		m.letGo(s.clock())
	}
	return time.Duration(m.slowed) * time.Millisecond
}

// exceed takes that the client has sent more than it may, and is to be closed for
// it. rest is what came behind the bound. A frame under way is finished first, so
// that the upstream can be told.
func (s *session) exceed(v *wsframe.Violation, rest []byte) {
	s.relay.exceeded.Add(1)
	s.meter.verdict = v
	s.because(Exceeded, v.Code, v.Reason)
	s.beginClosing()
	s.finishFrame(rest)
}

// finishFrame passes on what belongs to the last frame of a client that has sent
// too much. Then comes the verdict.
func (s *session) finishFrame(p []byte) {
	l := &s.legs[client]
	s.forward(upstream, p[:l.scan.Finish(p)])
	if l.scan.AtBoundary() {
		s.offend(client, Exceeded, s.meter.verdict)
	}
}

// follow takes the present limits for an open session. Its visits are the occasion.
func (s *session) follow(o *settings) {
	for d := range s.legs {
		s.legs[d].scan.SetLimits(&o.sizes)
	}
	switch m := s.meter; {
	case m == nil && !o.quotas.none():
		s.measure(&o.quotas, s.clock())
	case m != nil && m.until > 0 && m.quotas != &o.quotas:
		s.resume()
	}
}
