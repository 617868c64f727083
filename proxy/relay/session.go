package relay

import (
	"math"
	"time"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// side is one end of a session.
type side uint8

const (
	client side = iota
	upstream
)

func (d side) other() side { return 1 - d }

// phase is how far a session is on its way to its end.
type phase uint8

const (
	open      phase = iota
	closing         // a Close frame or a loss was seen; bounded by CloseWait
	lingering       // both connections were ended by us; bounded by lingerTime
	over            // both are closed
)

// legState is a set of facts about one connection of a session.
type legState uint16

const (
	gotClose  legState = 1 << iota // its Close frame came, or what counts as one
	sentClose                      // a Close frame was sent to it: no more data after it
	ended                          // it sends no more: end of stream, or lost
	muted                          // what it still sends is thrown away
	fin                            // our stream to it ends when all is written
	finSent                        // and has been ended
	broken                         // nothing can be written to it
	readable                       // it may have bytes to read (event loops only)
	hungUp                         // its end of stream is on the way (event loops only)
	armed                          // room to write is watched for (event loops only)
	bulky                          // its frames are large: worth the pipe (event loops only)
	hasTLS                         // what it sends and gets goes through TLS (event loops only)
	thin                           // TLS has little for us in what it sends (event loops only)
)

// leg is one connection of a session.
type leg struct {
	transport
	scan   wsframe.Scanner // over what this side sends
	held   []byte          // start of a header or control frame, not yet whole
	heard  int64           // when this side last sent a byte, ms
	pingAt int64           // when our unanswered Ping went out, ms; 0 = none
	bytes  uint64          // sent by this side
	state  legState
}

func (l *leg) is(f legState) bool  { return l.state&f == f }
func (l *leg) any(f legState) bool { return l.state&f != 0 }
func (l *leg) set(f legState)      { l.state |= f }

// session is the state of one joined pair, driven by bytes, ends of streams,
// requests and time. All methods but post belong to its owner: the loop, or
// in the portable variant whoever holds its lock. The owner supplies send,
// endStream, schedule and release.
type session struct {
	legs  [2]leg
	owner // set by the driver before the first event

	relay *Relay
	tag   any
	ended func(End)
	meter *meter // of what the client sends; nil while it is not limited

	began  int64 // ms
	active int64 // when a frame last passed, ms
	nonce  uint64

	// How it ends. reason is that of the first Close frame or violation.
	reason   string
	offence  *wsframe.Violation // not nil: offender broke the protocol
	code     uint16
	cause    Cause
	phase    phase
	offender side
	asked    bool // the client shall get a Close frame at the next boundary
	parting  Parting
}

// data takes what from sent: the bytes held before and new ones behind them. It
// returns how many of the last ones may not pass yet, because the client is to be
// slowed down; then they come again before all others. p is only valid during the
// call.
func (s *session) data(from side, p []byte) (left int) {
	l, to := &s.legs[from], from.other()
	if l.is(muted) {
		return 0
	}
	if s.condemned(from) {
		s.finishFrame(p)
		return 0
	}
	most, over := math.MaxInt, 0
	m := s.limited(from)
	if m != nil {
		most, over = m.room(len(p))
	}
	all := p
	p = p[:len(p)-over]
	passed, seen := 0, 0 // p[passed:seen] may pass and has not been sent yet
	messages := 0        // in p[:seen]
scan:
	for {
		if s.asked && from == upstream {
			seen += l.scan.Finish(p[seen:])
			if !l.scan.AtBoundary() {
				break
			}
			s.forward(to, p[passed:seen])
			passed = seen
			s.asked = false
			s.sayClose(client, s.code, s.reason)
		}
		n, counted, result := l.scan.ScanFrames(p[seen:], most-messages)
		seen += n
		messages += counted
		switch result {
		case wsframe.More:
			break scan
		case wsframe.Enough:
			left = len(p) - seen
			break scan
		case wsframe.Incomplete:
			l.held = append(l.held[:0], p[seen:]...)
			break scan
		case wsframe.Control:
			c := l.scan.Control()
			frame := p[seen : seen+c.Len()]
			if c.Op == wsframe.Close {
				s.forward(to, p[passed:seen])
				s.closeSeen(from, c, frame)
				return 0
			}
			if messages == most {
				left = len(p) - seen
				break scan
			}
			messages++
			if c.Op == wsframe.Pong && s.answersPing(c, frame) {
				s.forward(to, p[passed:seen])
				passed = seen + c.Len()
			}
			seen += c.Len()
		case wsframe.Broken:
			s.forward(to, p[passed:seen])
			s.offend(from, ClientOffence+Cause(from), l.scan.Violation())
			return 0
		}
	}
	s.forward(to, p[passed:seen])
	if m == nil {
		return 0
	}
	m.take(messages, seen)
	v := errTooManyBytes
	if left > 0 {
		v = errTooManyMessages
	}
	if left += over; left > 0 && m.quotas.close {
		s.exceed(v, all[len(all)-left:])
		return 0
	}
	return left
}

// forward sends frames on, unless that side may get no more data.
func (s *session) forward(to side, p []byte) {
	if len(p) == 0 {
		return
	}
	s.active = s.clock()
	if !s.legs[to].any(sentClose | fin | broken) {
		s.send(to, p)
	}
}

// report is the End of a session that is over.
func (s *session) report() End {
	traffic := func(d side) Traffic {
		return Traffic{Bytes: s.legs[d].bytes, Messages: s.legs[d].scan.Messages()}
	}
	return End{
		Cause: s.cause, Code: s.code, Reason: s.reason,
		Duration: time.Duration(s.relay.now()-s.began) * time.Millisecond,
		Client:   traffic(client), Upstream: traffic(upstream),
		Slowed: s.slowed(),
	}
}
