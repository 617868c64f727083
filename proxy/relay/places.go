package relay

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// ErrNoPlace ends a handshake that has waited too long for a place. It says nothing
// about the other end.
var ErrNoPlace = errors.New("too many TLS handshakes at once")

// Places bound how many handshakes of TLS compute at the same time, so that a crowd
// of them does not take the processors from everybody else. A handshake has a place as
// long as it computes, however long that is, and none while it waits for the other
// end: who begins many and leaves them there keeps nobody out. They may be used
// concurrently.
type Places struct {
	// Clients that have been answered need not wait behind those that are new, else
	// in a rush all would be begun, and few finished in time. Nor need handshakes
	// with an upstream, for a client that has done its own.
	fresh, others chan struct{}

	stop <-chan struct{}
}

// NewPlaces returns n places, at least one, for handshakes with clients until their
// hello is answered, and as many for all others. When stop is closed nobody waits for
// a place any more.
func NewPlaces(n int, stop <-chan struct{}) *Places {
	n = max(n, 1)
	return &Places{fresh: make(chan struct{}, n), others: make(chan struct{}, n), stop: stop}
}

// ServerHandshake does the handshake of a connection of [Server], which is to be done
// by then; its deadlines are the caller's to set. Until the hello is answered it waits
// for places for half of that time at most: who has been answered needs the rest. No
// other call may be under way, but for the close of what is below TLS. The error is
// that of [tls.Conn.Handshake], or [ErrNoPlace], or [net.ErrClosed] behind the stop; the
// connection is of no more use than to be closed then.
func (p *Places) ServerHandshake(conn *tls.Conn, by time.Time) error {
	s := &shaking{places: p, by: by, left: time.Until(by) / 2, fresh: true}
	return s.do(conn)
}

// ClientHandshake is as [Places.ServerHandshake], for a connection of [Client]. It waits
// for a quarter of the time at most, in all: the rest is for the other end, who would be
// blamed for what is missing.
func (p *Places) ClientHandshake(conn *tls.Conn, by time.Time) error {
	s := &shaking{places: p, by: by, left: time.Until(by) / 4, client: true}
	return s.do(conn)
}

// shaking stands below TLS during a handshake. What is computed is computed between
// its calls.
type shaking struct {
	net.Conn
	places *Places
	by     time.Time
	client bool          // it is our handshake with somebody else
	fresh  bool          // it has no answer yet
	left   time.Duration // how long it may wait; it is of no account behind the answer
	read   recordCount
	inside chan struct{} // where it has a place; nil for none
}

func (s *shaking) do(conn *tls.Conn) error {
	w := conn.NetConn().(*wire)
	s.Conn = w.Conn
	w.Conn = s
	defer func() {
		s.leave()
		w.Conn = s.Conn
	}()
	if s.client { // who computes before it waits for anything
		if err := s.enter(); err != nil {
			return err
		}
	}
	return conn.Handshake()
}

// enter takes a place.
func (s *shaking) enter() error {
	places := s.places.others
	if s.fresh {
		places = s.places.fresh
	}
	select {
	case places <- struct{}{}:
		s.inside = places
		return nil
	default:
	}
	now := time.Now()
	most := s.by.Sub(now)
	if s.fresh || s.client {
		most = s.left
	}
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case places <- struct{}{}:
		s.inside = places
		s.left -= time.Since(now)
		return nil
	case <-late.C:
		return ErrNoPlace
	case <-s.places.stop:
		return net.ErrClosed
	}
}

// leave gives the place back, if it has one.
func (s *shaking) leave() {
	if s.inside != nil {
		<-s.inside
		s.inside = nil
	}
}

// Read implements [net.Conn]. There is nothing to compute before a record is whole.
func (s *shaking) Read(p []byte) (int, error) {
	s.leave()
	n, err := s.Conn.Read(p)
	before := s.read.whole
	if s.read.count(p[:n]); err == nil && s.read.whole > before {
		err = s.enter()
	}
	return n, err
}

// Write implements [net.Conn]. Who takes nothing can make it wait, too.
func (s *shaking) Write(p []byte) (int, error) {
	s.leave()
	n, err := s.Conn.Write(p)
	if answers(p) {
		s.fresh = false
	}
	// A server may have the client's next word already; a client waits for it.
	if err == nil && !s.client && !isAlert(p) {
		err = s.enter()
	}
	return n, err
}

// retryRandom stands in place of the random of a server's hello that asks for another
// one of the client (RFC 8446 §4.1.3).
var retryRandom = sha256.Sum256([]byte("HelloRetryRequest"))

// Types of records, and of the message of a handshake (RFC 8446 §5.1 and §4).
const (
	alertRecord     = 21
	handshakeRecord = 22
	serverHello     = 2
)

// answers reports whether the records that a server sends answer the client's hello.
// Nearly everything is still to be computed behind one that asks for another hello.
func answers(p []byte) bool {
	const random = recordHeader + 4 + 2 // behind the header of the message, and the version
	return len(p) >= random+len(retryRandom) && p[0] == handshakeRecord && p[recordHeader] == serverHello &&
		!bytes.Equal(p[random:random+len(retryRandom)], retryRandom[:])
}

// isAlert reports whether a record ends the handshake.
func isAlert(p []byte) bool { return len(p) > 0 && p[0] == alertRecord }
