package relay

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// ErrNoPlace ends a handshake that has waited for a place until its deadline. It
// says nothing about the other end.
var ErrNoPlace = errors.New("too many TLS handshakes at once")

// Places bound how many handshakes of TLS compute at the same time, so that a crowd
// of them takes the processors from nobody else. A handshake has a place as long as
// it computes, however long that is, and none while it waits for the other end: who
// begins many and leaves them there keeps nobody out. It may be used concurrently.
type Places struct {
	// Clients that have been answered need not wait behind those that are new, else
	// in a rush all would be begun, and few finished in time. Nor need handshakes
	// with an upstream, for a client that has done its own.
	fresh, begun chan struct{}
}

// NewPlaces returns n places, at least one, for handshakes with clients before the
// first answer, and as many for all others.
func NewPlaces(n int) *Places {
	n = max(n, 1)
	return &Places{fresh: make(chan struct{}, n), begun: make(chan struct{}, n)}
}

// ServerHandshake does the handshake of a connection of [Server], whose deadlines are
// the caller's to set, and waits for a place until by. No other call may be under way.
// The error is that of [tls.Conn.Handshake], or [ErrNoPlace].
func (p *Places) ServerHandshake(conn *tls.Conn, by time.Time) error {
	s := &shaking{places: p, by: by}
	return s.do(conn)
}

// ClientHandshake is as [Places.ServerHandshake], for a connection of [Client].
func (p *Places) ClientHandshake(conn *tls.Conn, by time.Time) error {
	s := &shaking{places: p, by: by, begun: true}
	if err := s.enter(); err != nil { // a client computes before it waits for anything
		return err
	}
	return s.do(conn)
}

// shaking stands below TLS during a handshake. What is computed is computed between
// its calls.
type shaking struct {
	net.Conn
	places *Places
	by     time.Time
	begun  bool
	inside chan struct{} // where it has a place; nil for none
}

func (s *shaking) do(conn *tls.Conn) error {
	w := conn.NetConn().(*wire)
	s.Conn = w.Conn
	w.Conn = s
	err := conn.Handshake()
	s.leave()
	w.Conn = s.Conn
	return err
}

// enter takes a place.
func (s *shaking) enter() error {
	places := s.places.fresh
	if s.begun {
		places = s.places.begun
	}
	select {
	case places <- struct{}{}:
		s.inside = places
		return nil
	default:
	}
	late := time.NewTimer(time.Until(s.by))
	defer late.Stop()
	select {
	case places <- struct{}{}:
		s.inside = places
		return nil
	case <-late.C:
		return ErrNoPlace
	}
}

// leave gives the place back, if it has one.
func (s *shaking) leave() {
	if s.inside != nil {
		<-s.inside
		s.inside = nil
	}
}

// Read implements [net.Conn].
func (s *shaking) Read(p []byte) (int, error) {
	s.leave()
	n, err := s.Conn.Read(p)
	if err == nil {
		err = s.enter()
	}
	return n, err
}

// Write implements [net.Conn]. Who takes nothing can make it wait, too.
func (s *shaking) Write(p []byte) (int, error) {
	s.leave()
	s.begun = true
	n, err := s.Conn.Write(p)
	if err == nil {
		err = s.enter()
	}
	return n, err
}
