//go:build linux && !portable

package relay

import (
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Guest is a client before it is joined, as a [Reception] sees it. Its methods are
// for the funcs of that, and do not wait.
type Guest struct {
	// Tag is for the Reception.
	Tag any

	loop      *loop
	reception *Reception
	remote    netip.AddrPort
	address   netip.AddrPort // of the upstream that is asked
	fd        [2]int32       // of the upstream's -1 before it is asked
	seen      [2]uint32      // what epoll has said of each and nobody has taken up
	news      [2]uint32      // what epoll has said of each since the guest's last turn
	queued    bool           // it waits for its turn
	unsent    []byte         // rest of the request, or, once answered, of what the client is told
	armed     bool           // the upstream's is also registered for room to write
	stage     stage
	patience  time.Duration // until its request is whole
	ignored   int           // bytes that it may still send once it is refused
	answerBy  int64         // ms
	due       int64         // when this stage ends, ms
	before    *Guest
	behind    *Guest // in the queue of its stage
}

// stage is how far a guest has come.
type stage uint8

const (
	arriving   stage = iota // it is heard until its request is whole
	connecting              // to the upstream, or the question is not all sent
	asked                   // the upstream has the question
	refused                 // it was told so, and goes
	limbo                   // its question has failed, or it is not here any more
	stages     = limbo
)

// Client returns where the client is.
func (g *Guest) Client() netip.AddrPort { return g.remote }

// Left is how much is left of the time in which its request has to be whole, if that
// is bounded; it can be asked while the request is not.
func (g *Guest) Left() (left time.Duration, bounded bool) {
	return max(0, time.Duration(g.due-g.loop.clock)*time.Millisecond), g.patience > 0
}

// Read reads what the client has sent. It returns 0 and no error if there is
// nothing, and [io.EOF] at its end.
func (g *Guest) Read(p []byte) (int, error) { return g.read(client, p) }

// ReadAnswer reads what the upstream has sent, as Read does.
func (g *Guest) ReadAnswer(p []byte) (int, error) { return g.read(upstream, p) }

func (g *Guest) read(from side, p []byte) (int, error) {
	for {
		n, errno := rawRead(g.fd[from], p)
		switch {
		case errno == 0 && n == 0:
			return 0, io.EOF
		case errno == 0:
			if n < len(p) { // the next byte is a new edge
				g.seen[from] &^= unix.EPOLLIN
			}
			return n, nil
		case errno == unix.EAGAIN:
			g.seen[from] &^= unix.EPOLLIN
			return 0, nil
		case errno != unix.EINTR:
			return 0, g.failure("read", from, "recvfrom", errno)
		}
	}
}

func (g *Guest) failure(operation string, with side, call string, err error) error {
	at := g.remote
	if with == upstream {
		at = g.address
	}
	return &net.OpError{Op: operation, Net: "tcp", Addr: net.TCPAddrFromAddrPort(at), Err: os.NewSyscallError(call, err)}
}

// Ask asks an upstream: it connects and sends the request. Either it returns an
// error, or Answered or Failed is called later.
func (g *Guest) Ask(q *Question) error {
	if g.loop.stopping {
		return errLoopEnds
	}
	g.address = netip.AddrPortFrom(q.Address.Addr().Unmap(), q.Address.Port())
	family := unix.AF_INET
	if g.address.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, errno := rawSocket(family)
	if errno != 0 {
		return g.failure("dial", upstream, "socket", errno)
	}
	g.fd[upstream], g.seen[upstream], g.armed = fd, 0, false
	switch errno := rawConnect(fd, g.address, 0); errno {
	case 0, unix.EINPROGRESS, unix.EINTR:
	default:
		g.HangUp()
		return g.failure("dial", upstream, "connect", errno)
	}
	g.unsent = q.Request
	now := g.loop.relay.now() // its turn may have come late in that of the loop
	g.answerBy = now + inMS(q.Answer)
	g.enter(connecting, min(g.answerBy, now+inMS(q.Connect)))
	// To an upstream on the same host it is connected already.
	if err := g.ask(); err != nil {
		g.HangUp()
		return err
	}
	what := uint32(interest)
	if g.armed = g.stage == connecting; g.armed {
		what |= unix.EPOLLOUT
	}
	g.loop.guests.set(fd, g)
	if err := rawWatch(g.loop.epoll, unix.EPOLL_CTL_ADD, fd, what); err != nil {
		g.HangUp()
		return g.failure("dial", upstream, "epoll_ctl", err)
	}
	return nil
}

// ask sends what is left of the request. A socket that is not connected yet takes
// nothing of it, and one that will not be says why.
func (g *Guest) ask() error {
	n, errno := rawWrite(g.fd[upstream], g.unsent)
	switch {
	case errno == 0:
		if g.unsent = g.unsent[n:]; len(g.unsent) == 0 {
			g.unsent = nil
			g.enter(asked, g.answerBy)
		}
		return nil
	case errno == unix.EAGAIN:
		return nil
	}
	return g.failure("dial", upstream, "connect", errno)
}

// Say sends the client what it is told before it is joined, once and last: only Join
// sends what the socket has not taken. It returns false if the client has gone.
func (g *Guest) Say(p []byte) bool {
	n, errno := rawWrite(g.fd[client], p)
	if errno != 0 && errno != unix.EAGAIN {
		return false
	}
	g.unsent = p[n:]
	return true
}

// Refuse tells the client its last word and ends our stream; what the socket does not
// take of it at once is lost. A connection that is closed while something is unread may
// lose the word, so what the client still sends is read and thrown away until its end
// comes, but no longer than grace and no more than so many bytes. Then it is closed, and
// Over is called, which may be before Refuse returns. A connection to an upstream is
// closed at once.
func (g *Guest) Refuse(word []byte, grace time.Duration, most int) {
	g.HangUp()
	n, errno := rawWrite(g.fd[client], word)
	if errno != 0 || n < len(word) || grace <= 0 || g.loop.stopping {
		g.end()
		return
	}
	rawShutdown(g.fd[client])
	g.ignored = most
	g.enter(refused, g.loop.relay.now()+inMS(grace))
	if g.seen[client]&arrival != 0 {
		g.ignore()
	}
}

// ignoredAtOnce is how much of what a refused client sends is thrown away in one turn.
const ignoredAtOnce = 16 << 10

// ignore throws away what the client sends after its last word.
func (g *Guest) ignore() {
	n, err := g.Read(g.loop.buffer[:min(ignoredAtOnce, g.ignored)])
	g.ignored -= n
	switch {
	case err != nil || g.ignored == 0:
		g.end()
	case n > 0:
		g.loop.note(g, client, unix.EPOLLIN) // there may be more, or the end
	}
}

// end closes a guest of whom nothing is expected any more.
func (g *Guest) end() {
	g.Close()
	g.reception.Over(g)
}

// Join makes a session of the guest and the upstream that was asked: Client and
// Upstream of p are left out. What was read of both and stands behind their
// handshakes goes first.
func (g *Guest) Join(p Pair) *Session {
	l := g.loop
	s := newSession(l.relay, p)
	s.loop = l
	g.forget()
	for d := range s.legs {
		s.legs[d].fd = g.fd[d]
	}
	if g.armed {
		s.legs[upstream].set(armed)
	}
	l.seat(s)
	if len(g.unsent) > 0 {
		s.keep(client, g.unsent)
	}
	l.early(s, [...][]byte{p.FromClient, p.FromUpstream})
	if s.meter != nil && s.meter.waits() {
		l.again = append(l.again, readiness{s, client})
	}
	for d, what := range g.seen {
		if what &= arrival; what != 0 && s.phase != over {
			l.event(int(g.fd[d]), what)
		}
	}
	return &Session{s}
}

// Conns hands the guest over: its connection, and that to an upstream that was
// asked, which is nil if there is none. They wait in the loop like those of
// [Relay.Listen] and [Relay.Dial], and are for the caller to close.
func (g *Guest) Conns() (toClient, toUpstream net.Conn) {
	g.forget()
	l := g.loop
	var conns [2]net.Conn
	for d, fd := range g.fd {
		if fd < 0 {
			continue
		}
		remote := g.remote
		if side(d) == upstream {
			remote = g.address
		}
		c := newConn(l, fd, remote)
		c.registered, c.armed = true, side(d) == upstream && g.armed
		c.events.Store(g.seen[d])
		conns[d] = c
		if !l.park(c) {
			c.registered = false
			c.Close()
		}
	}
	return conns[client], conns[upstream]
}

// Close closes the connection to the client, and that to the upstream.
func (g *Guest) Close() {
	g.forget()
	for _, fd := range g.fd {
		if fd >= 0 {
			rawClose(fd)
		}
	}
}

// HangUp closes the connection to the upstream, if there is one. Another one may be
// asked.
func (g *Guest) HangUp() {
	l := g.loop
	if g.fd[upstream] < 0 {
		return
	}
	l.guests.set(g.fd[upstream], nil)
	rawClose(g.fd[upstream])
	g.fd[upstream], g.news[upstream], g.unsent = -1, 0, nil
	g.leave()
}

// forget takes the guest out of its loop.
func (g *Guest) forget() {
	l := g.loop
	for _, fd := range g.fd {
		if fd >= 0 {
			l.guests.set(fd, nil)
		}
	}
	g.news = [2]uint32{} // it has no turn any more
	g.leave()
}

// leave ends a stage before its time.
func (g *Guest) leave() {
	if g.stage != limbo {
		g.loop.stays[g.stage].remove(g)
		g.stage = limbo
	}
}

// enter brings the guest to another stage, which ends at a given time.
func (g *Guest) enter(s stage, due int64) {
	g.leave()
	g.stage, g.due = s, due
	g.loop.stays[s].add(g)
}

// fail ends the question with an error.
func (g *Guest) fail(err error) {
	asked := g.stage == asked
	g.HangUp()
	g.reception.Failed(g, asked, err)
}

// takeTurn takes what epoll has said of the guest's sockets since its last turn.
func (g *Guest) takeTurn() {
	news := g.news
	g.queued, g.news = false, [2]uint32{}
	if what := news[client]; what&arrival != 0 {
		switch {
		case g.stage == arriving:
			g.hear()
			return
		case g.stage == refused:
			g.ignore()
			return
		case g.hasGone():
			g.reception.Gone(g)
			return
		}
	}
	if news[upstream] == 0 {
		return
	}
	if g.stage == connecting {
		if err := g.ask(); err != nil {
			g.fail(err)
			return
		}
	}
	if g.stage == asked && g.seen[upstream]&arrival != 0 {
		g.reception.Answered(g)
	}
}

// hear has the reception hear the client, which may have gone behind what it has said.
func (g *Guest) hear() {
	if g.reception.Heard(g); g.hasGone() {
		g.reception.Gone(g)
	}
}

// hasGone reports whether an upstream is asked for a client that has gone.
func (g *Guest) hasGone() bool {
	return (g.stage == connecting || g.stage == asked) && g.seen[client]&(unix.EPOLLERR|unix.EPOLLHUP) != 0
}
