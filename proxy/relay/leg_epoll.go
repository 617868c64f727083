//go:build linux && !portable

package relay

import (
	"golang.org/x/sys/unix"
)

// transport is a non-blocking socket and what it has not taken yet.
type transport struct {
	out       []byte // a pooled chunk; out[sent:] waits for the socket
	sent      int
	blockedAt int64 // when the socket last took a byte, ms
	fd        int32
	answers   int32 // bytes among them that nobody but TLS itself has sent
}

// blocked reports whether bytes wait for the socket.
func (t *transport) blocked() bool { return t.out != nil }

// send writes p, through TLS if there is any, and keeps what the socket does not
// take.
func (s *session) send(to side, p []byte) {
	if s.legs[to].is(hasTLS) {
		var ok bool
		if p, ok = s.seal(to, p); !ok {
			return
		}
	}
	s.write(to, p)
}

// write writes p as it is, and keeps what the socket does not take.
func (s *session) write(to side, p []byte) {
	t := &s.legs[to]
	if !t.blocked() {
		n, errno := rawWrite(t.fd, p)
		if errno != 0 && errno != unix.EAGAIN {
			s.writeFailed(to)
			return
		}
		if n == len(p) {
			return
		}
		p = p[n:]
	}
	s.keep(to, p)
}

// keep keeps p for a socket that is full.
func (s *session) keep(to side, p []byte) {
	t := &s.legs[to]
	first := !t.blocked()
	t.out = s.loop.chunks.extend(t.out, p)
	if first {
		s.full(to)
	}
}

// full notes that a socket takes no more for now.
func (s *session) full(to side) {
	t := &s.legs[to]
	t.blockedAt = s.loop.clock
	if !t.is(armed) {
		t.set(armed)
		_ = rawWatch(s.loop.epoll, unix.EPOLL_CTL_MOD, t.fd, interest|unix.EPOLLOUT)
	}
}

// flush writes what waits for the socket.
func (s *session) flush(to side) {
	t := &s.legs[to]
	n, errno := rawWrite(t.fd, t.out[t.sent:])
	if errno == unix.EAGAIN {
		return
	}
	if errno != 0 {
		s.writeFailed(to)
		return
	}
	t.sent += n
	t.blockedAt = s.loop.clock
	if t.sent < len(t.out) {
		return
	}
	s.freeOutput(to)
	if t.is(fin) {
		s.finish(to)
	}
	s.settle()
}

// writeFailed notes that nothing can be written to a socket. What it still has
// to say is read to its end, which then ends the session.
func (s *session) writeFailed(to side) {
	s.legs[to].set(broken | readable | hungUp)
	s.dropOutput(to)
	s.loop.again = append(s.loop.again, readiness{s, to})
}

// dropOutput gives up what waits for the socket. The other side, which was not
// read until that was gone, has its turn again: there is no new edge for what
// it sent before.
func (s *session) dropOutput(d side) {
	if s.legs[d].blocked() {
		s.freeOutput(d)
		s.loop.again = append(s.loop.again, readiness{s, d.other()})
	}
}

// freeOutput gives back the chunk of what waited for the socket.
func (s *session) freeOutput(d side) {
	t := &s.legs[d]
	if t.out != nil {
		s.loop.chunks.put(t.out)
	}
	t.out, t.sent, t.answers = nil, 0, 0
}

// endStream ends our stream to that side; its own goes on.
func (s *session) endStream(d side) {
	if !s.legs[d].is(broken) {
		rawShutdown(s.legs[d].fd)
	}
}

// clock is the time of this turn of the loop, in ms.
func (s *session) clock() int64 { return s.loop.clock }
