package load

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pointsman/pointsman/bench/internal/epoll"
	"github.com/pointsman/pointsman/bench/internal/latency"
	"github.com/pointsman/pointsman/bench/internal/secure"
	"github.com/pointsman/pointsman/bench/internal/upgrade"
)

const (
	readBuffer = 256 << 10
	// sweepEvery is how often a loop looks for sessions that got no answer.
	sweepEvery = 250 * time.Millisecond
)

// loop is one thread of a run. It owns everything below; other goroutines use only wake, and read the results after the
// loop has ended.
type loop struct {
	run    *run
	poller *epoll.Poller
	target unix.SockaddrInet4
	begun  time.Time
	swept  time.Duration
	phase  phase // as last seen
	told   bool  // the run knows that this phase is done here

	sessions int // Relay and Idle: how many to open in all
	width    int // how many handshakes may be under way
	started  int // sessions begun
	opened   int // sessions that reached the 101
	underway int // handshakes under way
	waiting  int // messages without an answer

	conns   []*conn // by slot; nil where free
	free    []*conn // closed ones to use again with their slots
	buf     []byte
	message message
	request upgrade.Request

	parts  []part // of the run, by interval
	errors Errors
	pacer
	err error // what made the loop give up
}

// part is what is counted in one interval.
type part struct {
	done    int64
	latency *latency.Histogram
	cpu     time.Duration // at first the reading at the begin of the interval, then the difference
}

func (p *part) count(took time.Duration) {
	p.done++
	p.latency.Record(took)
}

// part returns where to count in this phase, nil if nothing is counted.
func (l *loop) part() *part {
	if i, counted := l.phase.interval(); counted {
		return &l.parts[i]
	}
	return nil
}

func newLoop(r *run, target netip.AddrPort, sessions, width, number int) (*loop, error) {
	p, err := epoll.New(256)
	if err != nil {
		return nil, err
	}
	parts := make([]part, r.intervals)
	for i := range parts {
		parts[i].latency = latency.New()
	}
	return &loop{
		run:      r,
		poller:   p,
		target:   unix.SockaddrInet4{Port: int(target.Port()), Addr: target.Addr().As4()},
		begun:    time.Now(),
		sessions: sessions,
		width:    width,
		buf:      make([]byte, readBuffer),
		message:  newMessage(r.opts.Size, number),
		request:  upgrade.NewRequest(target.String(), r.opts.Path),
		parts:    parts,
	}, nil
}

func (l *loop) wake() { l.poller.Wake() }

// now is the time since the loop was made.
func (l *loop) now() time.Duration { return time.Since(l.begun) }

// work moves the sessions until the run's last phase. One thread is kept for it, so that its processor time can be told.
func (l *loop) work() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer l.abandon()
	for l.err == nil {
		if p := phase(l.run.phase.Load()); p != l.phase {
			l.change(p)
			if p == ending {
				break
			}
		}
		l.fill()
		events, err := l.poller.Wait(l.untilDue())
		if err != nil {
			return err
		}
		for _, e := range events {
			if c := l.conns[e.Slot]; c != nil && l.err == nil {
				l.ready(c, e.Flags)
			}
		}
		l.sendDue()
		if now := l.now(); now-l.swept > sweepEvery {
			l.sweep(now, l.run.opts.Patience)
		}
	}
	return l.err
}

// change enters phase p. Phases may have been skipped: what they begin is done all the same.
func (l *loop) change(p phase) {
	was := l.phase
	if part := l.part(); part != nil {
		part.cpu = threadTime() - part.cpu
	}
	l.phase, l.told = p, false
	if part := l.part(); part != nil {
		part.cpu = threadTime()
	}
	switch {
	case was >= running || p < running || p == ending || l.run.mode == handshakes:
	case l.run.opts.Every > 0 && l.run.mode == relay:
		l.startPace()
	default:
		for _, c := range l.conns {
			if c != nil {
				l.send(c)
			}
		}
		l.settled()
	}
	if p == ending && l.run.mode == relay {
		// A message older than the whole interval will not come back; younger ones are simply not counted. In an
		// interval below a second, a slow machine alone could make a message that old.
		l.sweep(l.now(), min(l.run.opts.Patience, max(l.run.opts.Duration, time.Second)))
	}
}

// fill begins handshakes until as many as allowed are under way.
func (l *loop) fill() {
	switch {
	case l.run.mode == handshakes && l.phase != running && l.part() == nil:
		return
	case l.run.mode != handshakes && l.phase != opening:
		return
	}
	for l.underway < l.width && (l.run.mode == handshakes || l.started < l.sessions) {
		if !l.open() {
			return
		}
	}
}

// open begins one handshake. Running out of descriptors or ports is the load's own fault and ends the run.
func (l *loop) open() bool {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.err = fmt.Errorf("create socket for session %d: %w", l.started, err)
		return false
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		_ = unix.Close(fd)
		l.err = fmt.Errorf("switch off Nagle's algorithm: %w", err)
		return false
	}
	begun := l.now()
	if err := unix.Connect(fd, &l.target); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		_ = unix.Close(fd)
		if errors.Is(err, unix.EADDRNOTAVAIL) || l.run.mode != handshakes {
			l.err = fmt.Errorf("connect session %d: %w", l.started, err)
		}
		l.errors.Connect++
		return false
	}
	c := l.take()
	c.fd, c.since = fd, begun
	c.key, c.accept = upgrade.Draw()
	if config := l.run.opts.TLS; config != nil {
		c.secure = secure.Client(fd, config)
	}
	l.started++
	l.underway++
	if err := l.poller.Add(fd, c.slot); err != nil {
		l.err = err
		return false
	}
	return true
}

// take returns a fresh connection with a slot of its own.
func (l *loop) take() *conn {
	if n := len(l.free); n > 0 {
		c := l.free[n-1]
		l.free = l.free[:n-1]
		*c = conn{slot: c.slot, serial: c.serial + 1}
		l.conns[c.slot] = c
		return c
	}
	c := &conn{slot: len(l.conns)}
	l.conns = append(l.conns, c)
	return c
}

// drop ends a connection and frees its slot.
func (l *loop) drop(c *conn) {
	if c.secure != nil {
		c.secure.Drop()
	}
	epoll.Reset(c.fd)
	if c.state != established {
		l.underway--
	}
	if c.flying {
		l.waiting--
		c.flying = false
	}
	l.conns[c.slot] = nil
	l.free = append(l.free, c)
}

// fail counts an error and ends the connection. While the sessions of Relay or Idle are being opened, it ends the run:
// the figures would be those of another load.
func (l *loop) fail(c *conn, kind *int64, cause string) {
	*kind++
	l.drop(c)
	if l.phase == opening && l.run.mode != handshakes {
		l.err = fmt.Errorf("session %d of %d: %s", l.started, l.sessions, cause)
	}
	l.settled()
}

// settled tells the run that each session of an idle run has been checked.
func (l *loop) settled() {
	if l.run.mode == idle && l.phase == running && l.waiting == 0 {
		l.reached()
	}
}

// reached tells the run, once per phase, that this loop has nothing more to do in it.
func (l *loop) reached() {
	if !l.told {
		l.told = true
		l.run.reached <- struct{}{} // has room: see start
	}
}

// sweep fails every connection that has waited for longer than patience.
func (l *loop) sweep(now, patience time.Duration) {
	l.swept = now
	for _, c := range l.conns {
		if c != nil && (c.state != established || c.flying) && now-c.since > patience {
			l.fail(c, &l.errors.Stalled, "no answer in time")
		}
	}
}

// close ends what is left of the loop. It must not be running.
func (l *loop) close() {
	for _, c := range l.conns {
		if c != nil {
			epoll.Reset(c.fd)
		}
	}
	l.conns = nil
	l.poller.Close()
}

// threadTime is the processor time of the calling thread.
func threadTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		panic("BUG: own processor time cannot be read: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
