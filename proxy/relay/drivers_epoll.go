//go:build linux && !portable

package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// drivers are the event loops of a Relay.
type drivers struct {
	loops []*loop
	next  atomic.Uint32
	looks atomic.Uint32 // surveys so far

	bridges bridges
}

func (r *Relay) open() error {
	for range r.options.Load().Loops {
		l, err := newLoop(r)
		if err != nil {
			for _, l := range r.loops {
				l.closeFiles()
			}
			return err
		}
		r.loops = append(r.loops, l)
	}
	return nil
}

func (r *Relay) run(ctx context.Context) error {
	errs := make([]error, len(r.loops))
	var group sync.WaitGroup
	for i, l := range r.loops {
		group.Go(func() { errs[i] = l.run() })
	}
	<-ctx.Done()
	for _, l := range r.loops {
		l.post(order{kind: stop})
	}
	group.Wait()
	r.bridges.wait()
	return errors.Join(errs...)
}

// joinSockets makes a session of a pair of sockets.
func (r *Relay) joinSockets(p Pair) (*Session, error) {
	s := newSession(r, p)
	var sockets [2]net.Conn
	o := order{kind: adopt, session: s}
	sockets[client], o.wires[client] = unwrap(p.Client)
	sockets[upstream], o.wires[upstream] = unwrap(p.Upstream)
	if near, ok := sockets[client].(*conn); ok && near.loop.relay == r {
		s.loop = near.loop
	} else {
		s.loop = r.pickLoop()
	}
	for d, from := range sockets {
		var err error
		if near, ok := from.(*conn); ok {
			if s.legs[d].fd, o.parked[d] = near.take(s.loop); s.legs[d].fd < 0 {
				err = net.ErrClosed
			}
		} else {
			var fd int
			fd, err = takeDescriptor(from)
			s.legs[d].fd = int32(fd)
		}
		if err != nil {
			if d == int(upstream) {
				s.abandon(o.parked[client], client)
			} else {
				below(p.Upstream).Close()
			}
			return nil, err
		}
	}
	o.early = [2][]byte{append([]byte(nil), p.FromClient...), append([]byte(nil), p.FromUpstream...)}
	if !s.loop.post(o) {
		s.abandon(o.parked[client], client)
		s.abandon(o.parked[upstream], upstream)
		return nil, net.ErrClosed
	}
	return &Session{s}, nil
}

// abandon closes a socket that no loop has adopted.
func (s *session) abandon(parked *conn, d side) {
	if parked != nil {
		s.loop.unpark(s.legs[d].fd)
	}
	rawClose(s.legs[d].fd)
}

func (r *Relay) closeAll(code uint16, reason string) {
	for _, l := range r.loops {
		l.post(order{kind: closeEvery, code: code, reason: reason})
	}
}

// post asks the owner of s for its end, from any goroutine; begun is called when
// it has been asked.
func (s *session) post(code uint16, reason string, begun func()) {
	if !s.loop.post(order{kind: closeOne, session: s, code: code, reason: reason, begun: begun}) {
		begun()
	}
}

// takeDescriptor takes a socket out of the runtime's poller, which would
// otherwise be woken by every packet, and closes what it was taken from.
func takeDescriptor(from io.Closer) (int, error) {
	defer from.Close()
	sc, ok := from.(syscall.Conn)
	if !ok {
		return -1, errors.New("take descriptor: not a system socket")
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	if cerr := raw.Control(func(own uintptr) {
		fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0)
	}); cerr != nil {
		return -1, cerr
	}
	if err != nil {
		return -1, &net.OpError{Op: "dup", Net: "tcp", Err: err}
	}
	return fd, nil
}
