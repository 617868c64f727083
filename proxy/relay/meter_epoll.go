//go:build linux && !portable

package relay

import (
	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

const (
	// smallestFrame is the shortest frame of a client, in bytes.
	smallestFrame = 6
	// mostRest is how much of what a client has sent a read may take in vain,
	// because its messages are too many. It is kept until they may pass; TLS may
	// add a record.
	mostRest = 4 << 10
)

// stay is what a client that is held up leaves with its loop: what was read of it
// and may not pass yet, of a read with too many messages or of a record of TLS.
type stay struct {
	rest  []byte // a pooled chunk; rest[gone:] waits
	gone  int
	ended bool // behind it TLS has ended
}

func (w *stay) waits() bool { return w.rest != nil }

// keepRest keeps p behind what waits already.
func (s *session) keepRest(p []byte) {
	s.meter.rest = s.loop.chunks.extend(s.meter.rest, p)
	s.legs[client].set(readable) // before the socket
}

// dropRest gives back the chunk of what waited.
func (s *session) dropRest() {
	if m := s.meter; m != nil && m.rest != nil {
		s.loop.chunks.put(m.rest)
		m.rest, m.gone = nil, 0
	}
}

// deliver passes on n bytes in the loop's buffer, behind so many that were held.
func (l *loop) deliver(s *session, from side, held, n int) {
	if held > 0 {
		s.legs[from].held = nil
	}
	if left := s.data(from, l.buffer[headroom-held:headroom+n]); left > 0 {
		s.keepRest(l.buffer[headroom+n-left : headroom+n])
	}
}

// mayPass reports whether what comes from that side now may be looked at. It may
// not behind what waits, nor without tokens.
func (s *session) mayPass(from side) bool {
	if from == client && s.meter != nil && s.meter.waits() {
		return false
	}
	m := s.limited(from)
	return m == nil || m.quotas.close || m.ready(len(s.legs[client].held))
}

// passRest passes on up to size bytes of what waits.
func (l *loop) passRest(s *session, size int) {
	m, leg := s.meter, &s.legs[client]
	held := copy(l.buffer[headroom-len(leg.held):], leg.held)
	n := copy(l.buffer[headroom:headroom+size], m.rest[m.gone:])
	leg.held = nil
	left := s.data(client, l.buffer[headroom-held:headroom+n])
	if s.phase == over {
		return
	}
	if m.gone += n - left; m.gone < len(m.rest) {
		return
	}
	s.dropRest()
	if m.ended {
		l.unseal(s, client, -1) // TLS says again how it has ended
	}
}

// mayRead is how many bytes of a client may be read now, or taken of what waits. 0
// means none: it is held up, or has sent nothing.
func (l *loop) mayRead(s *session) int {
	m, leg := s.meter, &s.legs[client]
	if s.phase != open {
		return readSize
	}
	if m.until > 0 {
		return 0
	}
	m.fill(&l.relay.options.Load().quotas, l.clock)
	if !m.quotas.slows() {
		return readSize
	}
	if m.ready(len(leg.held)) {
		return m.bite(len(leg.held), leg.scan.Remaining())
	}
	if !m.waits() {
		// Whoever has used up its tokens and sends no more is not held up.
		switch n, errno := rawPeek(leg.fd); {
		case errno == unix.EAGAIN && !leg.is(broken):
			leg.state &^= readable
			return 0
		case n == 0 && errno != unix.EINTR:
			return readSize // its end
		}
	}
	wait := m.wait(len(leg.held))
	s.holdUp(l.clock, wait)
	l.heldUp.push(holdup{l.clock + wait, s})
	return 0
}

// bite is how much may be read behind so many bytes that are held, with so many
// to come of the frame under way: what there are tokens for, and no more messages
// than that but for a few.
func (m *meter) bite(held int, remaining uint64) int {
	size := min(m.bytes.left(m.quotas.bytes)-int64(held), readSize)
	if m.quotas.messages.rate > 0 {
		messages := min(m.messages.left(m.quotas.messages), readSize)
		size = min(size, int64(min(remaining, readSize))+messages*smallestFrame+mostRest)
	}
	return int(size)
}

// hauls is how much of a large frame may be moved through the pipe: less than is
// worth it means 0.
func (m *meter) hauls() int {
	if m.messages.left(m.quotas.messages) < 1 {
		return 0
	}
	most := m.bytes.left(m.quotas.bytes) - wsframe.MaxHeader
	if most < bulkFrame {
		return 0
	}
	return int(min(most, pipeSize))
}

// resume lets a client be read that was held up, in this turn of the loop.
func (s *session) resume() {
	if s.heldUp() {
		s.meter.letGo(s.loop.clock)
		s.loop.again = append(s.loop.again, readiness{s, client})
	}
}

// holdups are the clients that are held up, as a heap: the first one is next to
// have its turn. One that is let go before its time stays until then.
type holdups []holdup

// holdupsKept is how much room is kept for them after a rush.
const holdupsKept = 1 << 10

type holdup struct {
	at      int64
	session *session
}

func (h *holdups) push(x holdup) {
	*h = append(*h, x)
	q := *h
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if q[up].at <= q[i].at {
			return
		}
		q[up], q[i] = q[i], q[up]
		i = up
	}
}

func (h *holdups) pop() holdup {
	q := *h
	first, last := q[0], len(q)-1
	q[0], q[last] = q[last], holdup{}
	q = q[:last]
	for i := 0; ; {
		least := i
		for _, down := range [...]int{2*i + 1, 2*i + 2} {
			if down < len(q) && q[down].at < q[least].at {
				least = down
			}
		}
		if least == i {
			break
		}
		q[least], q[i] = q[i], q[least]
		i = least
	}
	if len(q) == 0 && cap(q) > holdupsKept {
		q = nil
	}
	*h = q
	return first
}

// takeTurns reads the clients whose time has come.
func (l *loop) takeTurns() {
	for len(l.heldUp) > 0 && l.heldUp[0].at <= l.clock {
		x := l.heldUp.pop()
		if s := x.session; s.phase != over && s.meter.until == x.at {
			s.meter.letGo(l.clock)
			l.pump(s, client)
		}
	}
}
