//go:build !linux || portable

package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pointsman/pointsman/proxy/wsframe"
)

// portableReadSize is the most that one read takes, and with it what a stuck
// session holds.
const portableReadSize = 32 << 10

// transport is a connection and what it has not taken yet.
type transport struct {
	conn      net.Conn
	out       []byte
	writing   bool  // a goroutine writes what was in out
	parting   bool  // behind that TLS says good-bye
	blockedAt int64 // when the connection last took bytes, ms
}

func (t *transport) blocked() bool { return t.pending() || t.writing }

func (t *transport) pending() bool { return len(t.out) > 0 || t.parting }

// owner is the lock of a session. Whoever holds it drives the session, and
// lets go of it with unlock, so that what was sent gets written.
type owner struct {
	mu      sync.Mutex
	changed sync.Cond // a connection took its bytes, or the session is over
	timer   *time.Timer
}

// do runs f as the owner of s, unless the session is over.
func (s *session) do(f func()) {
	s.mu.Lock()
	if s.phase != over {
		f()
	}
	s.unlock()
}

// unlock starts writers for what was sent and lets go of the session.
func (s *session) unlock() {
	s.startWriter(client)
	s.startWriter(upstream)
	s.mu.Unlock()
}

// read passes on what one side sends, until its end. Before that it passes on what
// was read already and might not pass.
func (s *session) read(from side, early []byte) {
	defer s.relay.group.Done()
	l := &s.legs[from]
	buffer := make([]byte, wsframe.MaxControl+portableReadSize)
	space := buffer[wsframe.MaxControl:]
	if len(early) > 0 {
		s.mu.Lock()
		s.pass(from, append(make([]byte, wsframe.MaxControl), early...), len(early))
		s.unlock()
	}
	for {
		n, err := l.conn.Read(space)
		s.mu.Lock()
		if n > 0 && s.phase != over {
			l.bytes += uint64(n)
			l.heard = s.clock()
			s.pass(from, buffer[:wsframe.MaxControl+n], n)
		}
		if err != nil && s.phase != over {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				l.set(broken)
				s.dropOutput(from)
				s.finish(from) // if TLS has sent an alert, it was the last word
			}
			s.endOfStream(from, ClientLost+Cause(from))
		}
		s.waitForRoom(from)
		stop := err != nil || s.phase == over
		s.unlock()
		if stop {
			return
		}
	}
}

// startWriter starts a writer for what was sent to one side.
func (s *session) startWriter(d side) {
	if l := &s.legs[d]; l.pending() && !l.writing {
		l.writing = true
		s.relay.group.Add(1)
		go s.write(d)
	}
}

// write writes what was sent to one side until nothing is left.
func (s *session) write(to side) {
	defer s.relay.group.Done()
	s.mu.Lock()
	defer s.unlock()
	l := &s.legs[to]
	for l.pending() {
		p := l.out
		l.out = nil
		if len(p) == 0 {
			l.parting = false
		}
		s.mu.Unlock()
		var err error
		if len(p) > 0 {
			_, err = l.conn.Write(p)
		} else {
			err = l.conn.(*tls.Conn).CloseWrite() // waits for 5 s at most
		}
		s.mu.Lock()
		l.blockedAt = s.clock()
		if err != nil {
			l.set(broken)
			l.out, l.parting = nil, false
		}
	}
	l.writing = false
	s.changed.Broadcast()
	if s.phase == over {
		return
	}
	if l.is(fin) {
		s.finish(to)
	}
	s.settle()
}

// send keeps p for the writer of that side.
func (s *session) send(to side, p []byte) {
	l := &s.legs[to]
	if !l.blocked() {
		l.blockedAt = s.clock()
	}
	l.out = append(l.out, p...)
}

// dropOutput gives up what waits for a connection, and lets go on who waited
// for that: only a broken connection loses its output.
func (s *session) dropOutput(d side) {
	s.legs[d].out, s.legs[d].parting = nil, false
	s.changed.Broadcast()
}

// endStream ends our stream to that side; its own goes on if it can.
func (s *session) endStream(d side) {
	if c, ok := below(s.legs[d].conn).(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
}

// farewell says the good-bye of TLS behind all that was sent to that side. The
// writer does it: the socket may be full.
func (s *session) farewell(d side) {
	l := &s.legs[d]
	_, l.parting = l.conn.(*tls.Conn)
	l.parting = l.parting && !l.is(broken)
}

// schedule makes expire be called when the phase of s has lasted d.
func (s *session) schedule(d time.Duration) {
	phase := s.phase
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(d, func() {
		s.do(func() {
			if s.phase == phase {
				s.expire()
			}
		})
	})
}

// release closes both connections.
func (s *session) release() {
	s.phase = over
	for d := range s.legs {
		s.dropOutput(side(d))
		below(s.legs[d].conn).Close()
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	s.changed.Broadcast()
	s.relay.mu.Lock()
	delete(s.relay.sessions, s)
	s.relay.mu.Unlock()
	if s.ended != nil {
		s.ended(s.report())
	}
}

func (s *session) clock() int64 { return s.relay.now() }
