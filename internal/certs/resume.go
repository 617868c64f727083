package certs

import (
	"crypto/tls"
	"sync"
	"time"
)

// sessionsKept is how many sessions with upstreams can be resumed. One upstream
// is one name, seldom some more.
const sessionsKept = 16

// sessionsLast is how long sessions that were begun with our own certificate are
// kept, and all that have come of them by being resumed.
const sessionsLast = time.Hour

// ownSessions are the sessions that were begun with our own certificate. To an
// upstream a session that is resumed is one of whoever began it, and nobody is asked
// for a certificate again: so another certificate ends them all. A ticket that an old
// connection brings after that cannot be told from one of the new certificate;
// upstreams send theirs right behind the handshake. Like all sessions, and those that
// have come of them, it is of use for sessionsLast at most. It implements
// [tls.ClientSessionCache].
type ownSessions struct {
	own *ownCertificate

	mu    sync.Mutex
	with  *certificate // that they were begun with
	since time.Time    // when the first one could be
	cache tls.ClientSessionCache
}

// Get implements [tls.ClientSessionCache].
func (s *ownSessions) Get(name string) (*tls.ClientSessionState, bool) {
	return s.present().Get(name)
}

// Put implements [tls.ClientSessionCache].
func (s *ownSessions) Put(name string, session *tls.ClientSessionState) {
	s.present().Put(name, session)
}

func (s *ownSessions) present() tls.ClientSessionCache {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.own.now(); !s.with.same(now) || time.Since(s.since) >= sessionsLast {
		s.with, s.since, s.cache = now, time.Now(), tls.NewLRUClientSessionCache(sessionsKept)
	}
	return s.cache
}
