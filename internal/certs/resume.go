package certs

import (
	"crypto/tls"
	"sync"
)

// sessionsKept is how many sessions with upstreams can be resumed. One upstream
// is one name, seldom some more.
const sessionsKept = 16

// ownSessions are the sessions that were begun with our own certificate. To an
// upstream a session that is resumed is one of whoever began it, and nobody is asked
// for a certificate again: so another certificate ends them all. A ticket that an old
// connection brings after that counts as one of the new certificate; upstreams send
// theirs right behind the handshake. It implements [tls.ClientSessionCache].
type ownSessions struct {
	own *ownCertificate

	mu    sync.Mutex
	with  *certificate // that they were begun with
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
	now := s.own.now()
	if s.with != now {
		s.with, s.cache = now, tls.NewLRUClientSessionCache(sessionsKept)
	}
	return s.cache
}
