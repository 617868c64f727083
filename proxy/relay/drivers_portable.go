//go:build !linux || portable

package relay

import (
	"context"
	"net"
	"sync"
	"time"
)

// drivers are the goroutines of a Relay where there is no event loop: two per
// session, and one that visits all sessions.
type drivers struct {
	mu       sync.Mutex // taken after a session's lock, never before
	sessions map[*session]struct{}
	stopped  bool
	group    sync.WaitGroup
}

func (r *Relay) open() error {
	r.sessions = make(map[*session]struct{})
	return nil
}

func (r *Relay) run(ctx context.Context) error {
	sweep := time.NewTicker(r.options.Load().sweepPeriod())
	defer sweep.Stop()
	for {
		select {
		case <-sweep.C:
			for _, s := range r.all() {
				s.do(func() { s.visit(s.clock()) })
			}
			sweep.Reset(r.options.Load().sweepPeriod())
			continue
		case <-ctx.Done():
		}
		r.mu.Lock()
		r.stopped = true
		r.mu.Unlock()
		for _, s := range r.all() {
			s.do(func() {
				s.because(Aborted, 0, "")
				s.release()
			})
		}
		r.group.Wait()
		return nil
	}
}

func (r *Relay) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*session, 0, len(r.sessions))
	for s := range r.sessions {
		list = append(list, s)
	}
	return list
}

func (r *Relay) join(p Pair) (*Session, error) {
	s := newSession(r, p)
	s.changed.L = &s.mu
	s.legs[client].conn, s.legs[upstream].conn = p.Client, p.Upstream
	for _, conn := range [...]net.Conn{p.Client, p.Upstream} {
		_ = conn.SetDeadline(time.Time{}) // those of the handshake; where it fails the first read does, too
	}
	early := [2][]byte{append([]byte(nil), p.FromClient...), append([]byte(nil), p.FromUpstream...)}
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		below(p.Client).Close()
		below(p.Upstream).Close()
		return nil, net.ErrClosed
	}
	r.sessions[s] = struct{}{}
	r.group.Add(2)
	r.mu.Unlock()
	s.mu.Lock()
	var rest [2][]byte
	for d, p := range early {
		if len(p) > 0 && s.phase != over {
			s.legs[d].bytes += uint64(len(p))
			rest[d] = p[len(p)-s.data(side(d), p):]
		}
	}
	s.unlock()
	go s.read(client, rest[client])
	go s.read(upstream, rest[upstream])
	return &Session{s}, nil
}

func (r *Relay) look(ctx context.Context, keep func(tag any) bool) ([]Sight, error) {
	var found []Sight
	for _, s := range r.all() {
		s.do(func() {
			if s.phase == open && keep(s.tag) {
				found = append(found, s.sight(s.clock()))
			}
		})
	}
	return found, ctx.Err()
}

func (r *Relay) closeAll(code uint16, reason string) {
	for _, s := range r.all() {
		s.post(code, reason, func() {})
	}
}

// post asks for the end of s, from any goroutine; begun is called when that has
// been done.
func (s *session) post(code uint16, reason string, begun func()) {
	s.do(func() { s.ask(Asked, code, reason) })
	begun()
}
